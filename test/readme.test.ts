import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {ERROR_CODES} from '../src/model/error-codes.ts';
import type {RepositoryPath} from '../src/model/reference.ts';
import {loadLayout} from '../src/sandbox/load-layout.ts';
import {startSandbox} from '../src/sandbox/sandbox.ts';
import {layoutDirectory} from './support/fixtures.ts';
import {tempDirectory} from './support/temp.ts';
import {transship} from './support/transship.ts';

async function page(name: string): Promise<string> {
  return await readFile(new URL(`../${name}`, import.meta.url), 'utf8');
}

test('the manual explains every error code, with its exit code', async () => {
  const manual = await page('docs/errors.md');
  const explained = new Map<string, number>();
  for (const [, codes = '', exit] of manual.matchAll(/^\| (`[A-Z_0-9`, ]+) \| (\d+) \|/gm)) {
    for (const [, code = ''] of codes.matchAll(/`([A-Z_0-9]+)`/g))
      explained.set(code, Number(exit));
  }
  expect(Object.fromEntries(explained)).toEqual(ERROR_CODES);
});

/** A command of a page, and what it prints there. */
interface Shown {
  readonly command: string;
  readonly output: string;
}

function shownIn(text: string): readonly Shown[] {
  return [...text.matchAll(/^```console\n(.*?)^```/gms)].flatMap(([, block = '']) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = '', ...output] = part.split('\n');
        return {command, output: output.join('\n')};
      }),
  );
}

function withoutIds(text: string): string {
  return text.replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:…').trimEnd();
}

test('the README shows what copies and plans print', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  await using directory = await tempDirectory();
  await loadLayout(source.storage, layoutDirectory('busybox'), 'team/busybox' as RepositoryPath);
  const [, section = ''] = (await page('README.md')).split('\n## Migrate images\n');
  const [migrate = ''] = section.split('\n### ');
  let exit = 0;
  for (const {command, output} of shownIn(migrate)) {
    const [line = '', redirected] = command.replace(/\s+#.*$/, '').split(' > ');
    const args = line
      .replaceAll('registry-a:5000', source.host)
      .replaceAll('registry-b:5000', destination.host)
      .split(' ')
      .slice(1)
      .map((word) => (word.endsWith('.json') ? directory.join(word) : word));
    const isEcho = line === 'echo $?';
    const run = isEcho
      ? {code: 0, stdout: `${exit}\n`}
      : await transship(args, {home: directory.path});
    exit = run.code;
    // Hosts of other lengths would move columns; the id of a plan depends on them.
    const printed = run.stdout
      .replaceAll(source.host.padEnd(15), 'registry-a:5000')
      .replaceAll(destination.host.padEnd(15), 'registry-b:5000')
      .replaceAll(directory.join('app.plan.json'), 'app.plan.json');
    const answer = redirected === undefined ? withoutIds(printed) : '';
    expect({command, answer}).toEqual({command, answer: withoutIds(output)});
  }
});

test('the page on errors shows what a failing command prints', async () => {
  await using source = await startSandbox();
  await loadLayout(source.storage, layoutDirectory('busybox'), 'team/busybox' as RepositoryPath);
  const [{command, output} = {command: '', output: ''}] = shownIn(await page('docs/errors.md'));
  const args = command
    .replaceAll(/registry-[ab]:5000/g, source.host)
    .split(' ')
    .slice(1);
  const {stderr} = await transship(args);
  expect(stderr.replaceAll(source.host, 'registry-a:5000')).toBe(output);
});

test('the page on doctor shows what is explained', async () => {
  const shown = shownIn(await page('docs/doctor.md')).filter(({command}) =>
    command.startsWith('transship explain '),
  );
  expect(shown.length).toBeGreaterThan(0);
  for (const {command, output} of shown) {
    const [, words = ''] = /explain '(.*)'$/.exec(command) ?? [];
    const {stdout} = await transship(['explain', words]);
    expect(stdout.trimEnd()).toBe(output.trimEnd());
  }
});
