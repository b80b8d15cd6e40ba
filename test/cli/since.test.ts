import {readFile, symlink, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {copiesOf, type CopyPlan} from '../../src/model/plan.ts';
import type {SourceDelta} from '../../src/plan/source-delta.ts';
import {type RepositoryPath, type Tag} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const name = (from: string, tag: string | undefined) =>
  `${from.slice(from.indexOf('/') + 1)}:${tag ?? ''}`;
const names = (entries: SourceDelta['added']) => entries.map(({from, tag}) => name(from, tag));
const layer = (text: string) => [Buffer.from(text)];

test('a later plan contains exactly the changes, and lists added, moved and removed tags', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  await using temp = await tempDirectory();
  const store = (path: string, tag: string, text = path + tag) =>
    storeImage(source.storage, path as RepositoryPath, tag, layer(text));
  for (const path of ['team/a', 'team/b', 'team/gone'])
    for (const tag of ['release-1', 'release-2', 'dev-1']) await store(path, tag);
  const file = temp.join('m.yaml');
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${destination.host}/x\nroutes:\n  - from: team/*\n    tags: {rename: {'release-(.*)': 'v$1'}}\n`,
  );
  const [first, second] = [temp.join('1.plan.json'), temp.join('2.plan.json')];
  expect((await transship(['plan', file, '--out', first, '--no-cache'])).code).toBe(0);
  expect((await transship(['apply', first])).code).toBe(0);

  await store('team/a', 'release-3');
  await store('team/c', 'release-1');
  await store('team/a', 'release-1', 'another');
  await store('team/b', 'dev-1', 'another');
  await source.storage.manifests.untag('team/a' as RepositoryPath, 'dev-1' as Tag);
  for (const tag of ['release-1', 'release-2', 'dev-1'])
    await source.storage.manifests.untag('team/gone' as RepositoryPath, tag as Tag);

  const report = temp.join('delta.json');
  const run = await transship([
    'plan',
    file,
    '--since',
    first,
    '--delta-report',
    report,
    '--out',
    second,
    '--detailed-exitcode',
    '--no-cache',
  ]);
  expect([run.code, run.stderr]).toEqual([2, '']);
  expect(run.stdout).toContain('Since the earlier plan: 2 added, 2 tags moved, 4 removed.');
  const made = await transship(['show', second, '--format=json']);
  const planned = copiesOf(JSON.parse(made.stdout) as CopyPlan);
  expect(planned.map(({to, tag}) => name(to, tag)).sort()).toEqual([
    'x/team/a:v1',
    'x/team/a:v3',
    'x/team/b:dev-1',
    'x/team/c:v1',
  ]);
  const delta = JSON.parse(await readFile(report, 'utf8')) as SourceDelta;
  expect(names(delta.added)).toEqual(['team/a:release-3', 'team/c:release-1']);
  expect(names(delta.moved)).toEqual(['team/a:release-1', 'team/b:dev-1']);
  expect(names(delta.removed)).toEqual([
    'team/a:dev-1',
    'team/gone:dev-1',
    'team/gone:release-1',
    'team/gone:release-2',
  ]);
  expect(delta.removed[0]).toMatchObject({why: 'it is no longer at the source'});

  expect((await transship(['apply', second])).code).toBe(0);
  const again = await transship([
    'plan',
    file,
    '--since',
    second,
    '--detailed-exitcode',
    '--no-cache',
  ]);
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('Since the earlier plan, nothing changed at the source.');
  const markdown = temp.join('delta.md');
  await transship(['plan', file, '--since', first, '--delta-report', markdown, '--no-cache']);
  expect(await readFile(markdown, 'utf8')).toContain('#### Moved (2)');
});

test.each([
  [['--delta-report', 'x.json'], '--delta-report needs an earlier plan'],
  [['--since', 'none.plan.json'], 'none.plan.json cannot be read'],
  [['--since', 'a.json', '--delta-report', './a.json'], '--delta-report and --since name the same'],
  [
    ['--since', 'a.json', '--out', 'b.json', '--delta-report', 'b.json'],
    '--delta-report and --out name the same file',
  ],
])('refuses %j', async (flags, words) => {
  await using temp = await tempDirectory();
  const file = temp.join('m.yaml');
  await writeFile(file, 'version: 1\nfrom: a.example\nto: b.example/x\nroutes:\n  - from: x\n');
  const run = await transship(['plan', file, ...flags]);
  expect([run.code, run.stdout]).toEqual([64, '']);
  expect(run.stderr).toContain(words);
});

test('a report that cannot be written is an error', async () => {
  await using source = await startSandbox();
  await using temp = await tempDirectory();
  await storeImage(source.storage, 'a' as RepositoryPath, 'v1', layer('a'));
  const out = temp.join('plan.json');
  const copy = ['plan', 'copy', `${source.host}/a`, `${source.host}/b`, '--no-cache'];
  expect((await transship([...copy, '--out', out])).code).toBe(0);
  const run = await transship([...copy, '--since', out, '--delta-report', temp.join('no/d.json')]);
  expect(run.code).toBe(1);
  expect(run.stderr).toContain('[FILE_WRITE_FAILED]');
});

test('a report that would replace the migration file is refused, by whatever name', async () => {
  await using temp = await tempDirectory();
  const [file, link] = [temp.join('m.yaml'), temp.join('link.yaml')];
  const text = 'version: 1\nfrom: a.example\nto: b.example/x\nroutes:\n  - from: x\n';
  await writeFile(file, text);
  await symlink(file, link);
  const run = await transship(['plan', file, '--since', 'old.json', '--delta-report', link]);
  expect(run.code).toBe(64);
  expect(run.stderr).toContain('--delta-report and the migration file name the same file');
  expect(await readFile(file, 'utf8')).toBe(text);
});

const routeTo = (to: string, platform: string) =>
  `  - {from: team/app, to: ${to}, platforms: [${platform}]}\n`;

test('a tag with several destinations, of different platforms, changes only with the source', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  await using temp = await tempDirectory();
  await loadLayout(source.storage, layoutDirectory('busybox'), 'team/app' as RepositoryPath);
  const file = temp.join('m.yaml');
  const write = (...lines: readonly string[]) =>
    writeFile(
      file,
      `version: 1\nfrom: ${source.host}\nto: ${destination.host}\nroutes:\n${lines.join('')}`,
    );
  await write(routeTo('one', 'linux/amd64'), routeTo('two', 'linux/arm64'));
  const [first, second, report] = [temp.join('1.json'), temp.join('2.json'), temp.join('d.json')];
  expect((await transship(['plan', file, '--out', first, '--no-cache'])).code).toBe(0);
  const since = ['--since', first, '--delta-report', report, '--out', second, '--no-cache'];
  const delta = async () => JSON.parse(await readFile(report, 'utf8')) as SourceDelta;
  expect((await transship(['plan', file, ...since])).code).toBe(0);
  expect(await delta()).toMatchObject({added: [], moved: [], removed: []});
  await write(routeTo('two', 'linux/arm64'), routeTo('three', 'linux/amd64'));
  expect((await transship(['plan', file, ...since])).code).toBe(0);
  expect(await delta()).toMatchObject({added: [], moved: [], removed: []});
});
