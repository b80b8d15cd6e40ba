import {expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const CLEAR = '\u001b\\[0K';
const MARK = new RegExp(
  `${CLEAR}section_(start|end):(\\d{10}):([a-z_0-9]+)(\\[collapsed=true\\])?\\r${CLEAR}(.*)\\n`,
  'g',
);

test('the log of a GitLab job has sections, each closed, and their marks are on lines of their own', async () => {
  await using source = await startSandbox();
  await using temp = await tempDirectory();
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a')]);
  const plan = temp.join('a.plan.json');
  const env = {GITLAB_CI: 'true'};
  const ends = [`${source.host}/app`, `${source.host}/b`];
  const planned = await transship(['plan', 'copy', ...ends, '--out', plan], {env});
  const applied = await transship(['apply', plan], {env});
  const marksOf = (text: string) =>
    [...text.matchAll(MARK)].map(([, kind, , name, , heading]) => ({kind, name, heading}));
  expect(marksOf(planned.stderr)).toEqual([
    {kind: 'start', name: 'transship_read', heading: 'Reading'},
    {kind: 'end', name: 'transship_read', heading: ''},
  ]);
  expect(marksOf(applied.stderr)).toEqual([
    {kind: 'start', name: 'transship_run', heading: 'Applying the plan'},
    {kind: 'end', name: 'transship_run', heading: ''},
  ]);
  expect(applied.stderr.replaceAll(MARK, '')).toBe('');
  expect(applied.stdout).not.toContain('section_');
});

test('elsewhere there are no marks, also with other kinds of progress', async () => {
  await using source = await startSandbox();
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a')]);
  const copy = (to: string, flags: readonly string[], env: Record<string, string>) =>
    transship(['copy', `${source.host}/app`, `${source.host}/${to}`, ...flags], {env});
  const plain = await copy('b', ['--progress', 'plain'], {CI: 'true'});
  const json = await copy('c', ['--progress', 'json'], {GITLAB_CI: 'true'});
  expect(plain.stderr + json.stderr).not.toContain('section_');
});
