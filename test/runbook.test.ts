import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {type Exchange, jsonReply} from '../src/sandbox/exchange.ts';
import {startRig} from './sandbox/gitlab/rig.ts';
import {layoutDirectory} from './support/fixtures.ts';
import {tempDirectory} from './support/temp.ts';
import {transship} from './support/transship.ts';

/*
 * Runs the commands of the runbook, and those of the page on recovery that are about transfers: each block at a group
 * of its own, once a first run of apply was stopped where its section begins.
 */

const PAGE = await readFile(new URL('../docs/runbook.md', import.meta.url), 'utf8');
const RECOVERY = await readFile(new URL('../docs/recovery.md', import.meta.url), 'utf8');
const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};

/** What the sandbox refuses for once, so that status says what the section is about; and what it says. */
const STATES: Readonly<Record<string, {refuse: (exchange: Exchange) => boolean; says: string[]}>> =
  {
    '10': {
      refuse: ({method, path}) => method === 'DELETE' && path.includes('/manifests/'),
      says: ['at its old path', '(0 at the donor, 2 at the old path)'],
    },
    '11': {
      refuse: ({method, path}) => method === 'POST' && path.endsWith('/transfer'),
      says: ['at its old path', '(2 at the donor, 0 at the old path)', 'transship rollback'],
    },
    '12': {
      refuse: ({method, path}) => method === 'PUT' && /\/groups\/\d+$/.test(path),
      says: ['between its old and its new path', '(2 at the donor'],
    },
    '13': {
      refuse: ({method, path}) => method === 'PUT' && path.includes('/v2/new_org/moved/'),
      says: ['at its new path', '(2 at the donor'],
    },
    '14': {
      refuse: ({method, path}) => method === 'PUT' && path.includes('/v2/new_org/moved/'),
      says: [],
    },
    '6': {
      refuse: () => false,
      says: ['at the new path', '2 at the old path', 'transship rollback'],
    },
  };

/** A plan whose only way is GitLab's own. */
const NATIVE =
  'transship plan transfer org/build/app --to org/renamed --donor donors/missing --gitlab https://gitlab.example.com --out group.plan.json';

/** @param isNative GitLab is to move the images itself, and leaves them behind */
async function start(isNative = false) {
  await using parts = new AsyncDisposableStack();
  const faults: {refuse: (exchange: Exchange) => boolean} = {refuse: () => false};
  const rig = parts.use(
    await startRig({
      mode: isNative ? 'metadata-db' : 'legacy',
      switches: {nativeMove: 'lost'},
      seed: {
        users: [{name: 'ada'}],
        groups: [
          {path: 'org', members: {ada: 'owner'}},
          {path: 'new_org', members: {ada: 'owner'}},
          {path: 'donors', members: {ada: 'owner'}},
        ],
        projects: [
          {
            path: 'org/build/app',
            images: [{...CHART, tag: 'v1'}, ...(isNative ? [{...CHART, tag: 'v2'}] : [])],
          },
          {path: 'org/build/sub/lib', images: [{...CHART, tag: 'v1'}]},
          {path: 'donors/parking'},
        ],
        tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
      },
      intercept: async (exchange, next) =>
        faults.refuse(exchange) ? jsonReply(400, {message: 'not today'}) : await next(),
    }),
  );
  const directory = parts.use(await tempDirectory());
  await mkdir(directory.join('checkout'));
  await writeFile(directory.join('checkout/Dockerfile'), `FROM ${rig.host}/org/build/app:v1\n`);
  const own = parts.move();
  return {
    faults,
    directory,
    /** A line of the page. */
    run: async (line: string) => {
      const [command = '', redirected] = line.replace(/\s+#.*$/, '').split(' > ');
      const args = command
        .replaceAll('https://gitlab.example.com', rig.url)
        .split(' ')
        .slice(1)
        .map((word) => (/\.json$|^checkout$/.test(word) ? directory.join(word) : word));
      const result = await transship(args, {
        env: {GITLAB_TOKEN: 'ada-api'},
        home: directory.path,
        ...(isNative && {patience: {everyMs: 1, limitMs: 5}}),
      });
      if (redirected !== undefined) await writeFile(directory.join(redirected), result.stdout);
      return result;
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

type Runbook = Awaited<ReturnType<typeof start>>;

function section(name: string, page = PAGE): string {
  const [, rest = ''] = page.split(`## ${name}\n`);
  return rest.split(/^## /m)[0] ?? '';
}

function blocks(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/^ *```sh\n(.*?)^ *```/gms)].map(([, block = '']) =>
    block
      .trim()
      .split('\n')
      .map((line) => line.trim()),
  );
}

/** Runs lines of the page; each ends as it says, or with 0. */
async function runAll(at: Runbook, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const {code, stdout, stderr} = await at.run(line);
    const [, wanted = '0'] = /exit (\d)/.exec(line) ?? [];
    expect({line, code, stdout, stderr}).toMatchObject({line, code: Number(wanted)});
  }
}

test('the commands before, during and after a transfer do what the runbook says', async () => {
  await using at = await start();
  for (const name of ['Before', 'During', 'After']) {
    const lines = blocks(section(name)).flat();
    expect(lines.length).toBeGreaterThan(1);
    // After the way back there is nothing to be removed: the last one is for another day.
    await runAll(at, name === 'After' ? [...lines.slice(0, -2), lines.at(-1) ?? ''] : lines);
    if (name === 'After') await runAll(at, lines.slice(-2, -1));
  }
});

for (const [, title = '', text = ''] of section('Transfers', RECOVERY).matchAll(
  /^### (\d.*?)\n(.*?)(?=^### |\s*$(?![\s\S]))/gms,
)) {
  const state = STATES[title.slice(0, 2)];
  test.each(blocks(text).map((lines, at) => [at + 1, lines] as const))(
    `${title}: the commands of block %i`,
    async (_, lines) => {
      const isNative = title.startsWith('6');
      await using at = await start(isNative);
      const [plan = ''] = blocks(section('Before')).flat();
      await runAll(at, [isNative ? NATIVE : plan]);
      at.faults.refuse = state?.refuse ?? (() => false);
      expect((await at.run('transship apply group.plan.json --yes')).code).toBe(1);
      at.faults.refuse = () => false;
      const {stdout} = await at.run('transship status group.plan.json');
      for (const words of state?.says ?? []) expect(stdout).toContain(words);
      if (title.startsWith('14')) {
        await rm(at.directory.join('group.journal.ndjson'));
        await rm(at.directory.join('.local'), {recursive: true, force: true});
      }
      await runAll(at, lines);
    },
  );
}
