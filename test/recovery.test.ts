import {readFile, rm, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {RepositoryPath, Tag} from '../src/model/reference.ts';
import {bytesReply, type Intercept, refusal} from '../src/sandbox/exchange.ts';
import {startSandbox} from '../src/sandbox/sandbox.ts';
import {fixture} from './support/fixtures.ts';
import {storeImage} from './support/small-images.ts';
import {NEVER} from './support/streams.ts';
import {tempDirectory} from './support/temp.ts';
import {transship} from './support/transship.ts';

/*
 * Runs the commands of the page on recovery that are about copies, each section once a run came to the state that it is
 * about; runbook.test.ts does the same for transfers.
 */

const PAGE = await readFile(new URL('../docs/recovery.md', import.meta.url), 'utf8');
const [, COPIES = ''] = PAGE.split(/^## /m);
const SECTIONS = [...COPIES.matchAll(/^### ((\d+)\. .*?)\n(.*?)(?=^### |(?![\s\S]))/gms)].map(
  ([, title = '', number = '', text = '']) => ({title, number, text}),
);
const APP = 'team/app' as RepositoryPath;

async function start() {
  await using parts = new AsyncDisposableStack();
  const refused: {by?: Intercept} = {};
  const stop = new AbortController();
  const intercept: Intercept = (exchange, next) =>
    refused.by === undefined ? next() : refused.by(exchange, next);
  const source = parts.use(await startSandbox({intercept}));
  const destination = parts.use(await startSandbox({intercept}));
  const directory = parts.use(await tempDirectory());
  for (const tag of ['v1', 'v2'])
    await storeImage(source.storage, APP, tag, [Buffer.from(`layer of ${tag}`)]);
  const own = parts.move();
  return {
    refused,
    source,
    destination,
    stop,
    file: (name: string) => directory.join(name),
    /** A line of the page. */
    run: async (line: string, stopping = NEVER) => {
      const args = line
        .replace(/\s+#.*$/, '')
        .replaceAll('old.example.com', source.host)
        .replaceAll('new.example.com', destination.host)
        .split(' ')
        .slice(1)
        .map((word) => (/\.(?:json|yaml)$/.test(word) ? directory.join(word) : word));
      return await transship(args, {home: directory.path, stopping});
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

type Copy = Awaited<ReturnType<typeof start>>;

const PLAN =
  'transship plan copy old.example.com/team/app new.example.com/team/app --out app.plan.json';
const APPLY = 'transship apply app.plan.json';

/** The first signal comes with the first blob. */
async function interrupt(at: Copy, line = APPLY): Promise<void> {
  at.refused.by = ({method}, next) => {
    if (method === 'POST') at.stop.abort();
    return next();
  };
  expect((await at.run(`${line} --jobs 1`, at.stop.signal)).code).toBe(130);
}

/** A killed run writes no end into its journal. */
async function forgetEnd(file: string): Promise<void> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  expect(lines.pop()).toContain('"end"');
  await writeFile(file, `${lines.join('\n')}\n`);
}

/** Brings a plan to the state of a section, after `PLAN`. */
const STATES: Readonly<Record<string, (at: Copy) => Promise<void>>> = {
  '1': async (at) => {
    await interrupt(at);
    await forgetEnd(at.file('app.journal.ndjson'));
  },
  '2': (at) => interrupt(at),
  '3': async (at) => {
    at.refused.by = async ({method, path}, next) => {
      if (method === 'PUT' && path.endsWith('/manifests/v1'))
        throw refusal(400, 'MANIFEST_INVALID', 'not today');
      return await next();
    };
    expect((await at.run(APPLY)).code).toBe(1);
  },
  '4': async (at) => {
    await storeImage(at.destination.storage, APP, 'v1', [Buffer.from('of somebody else')]);
    expect((await at.run(APPLY)).code).toBe(4);
  },
  '5': async (at) => {
    const schema1 = await readFile(fixture('schema1/manifest.json'));
    const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    await storeImage(at.source.storage, APP, 'old', [Buffer.from('old')]);
    at.refused.by = async ({path}, next) =>
      path.endsWith('/manifests/old')
        ? bytesReply(200, schema1, {'content-type': type})
        : await next();
    expect((await at.run(PLAN)).code).toBe(0);
    expect((await at.run(APPLY)).code).toBe(1);
  },
  '6': async (at) => {
    expect((await at.run(APPLY)).code).toBe(0);
    await at.destination.storage.manifests.untag(APP, 'v1' as Tag);
  },
  '7': async (at) => {
    const routes = `version: 1
from: ${at.source.host}
to: ${at.destination.host}
routes:
  - {from: team/app, to: [one, two]}
`;
    await writeFile(at.file('app.yaml'), routes);
    expect((await at.run('transship plan app.yaml --out app.plan.json')).code).toBe(0);
    expect((await at.run(`${APPLY} --shard 1/2`)).code).toBe(0);
    await interrupt(at, `${APPLY} --shard 2/2`);
    await forgetEnd(at.file('app.2-of-2.journal.ndjson'));
  },
  '8': async (at) => {
    await interrupt(at);
    await rm(at.file('app.journal.ndjson'));
  },
  '9': async (at) => {
    const deleted = 'transship plan delete old.example.com/team/app --tag v1 --out app.plan.json';
    expect((await at.run(deleted)).code).toBe(0);
    expect(await at.run(`${APPLY} --yes`)).toMatchObject({code: 0});
    expect(await at.source.storage.manifests.tags(APP)).toEqual(['v2']);
  },
};

test('every situation on the page is tried', () => {
  expect(SECTIONS.map(({number}) => number)).toEqual(Object.keys(STATES));
});

test.each(SECTIONS)('$title: its commands lead out of it', async ({title, number, text}) => {
  await using at = await start();
  expect((await at.run(PLAN)).code).toBe(0);
  await STATES[number]?.(at);
  const [, words = '.*'] = /status says: (.*)/.exec(title) ?? [];
  const status = await at.run('transship status app.plan.json');
  expect(status.stdout.trimEnd()).toMatch(new RegExp(`; ${words}\\.$`));
  delete at.refused.by;
  const lines = [...text.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const {code, stderr} = await at.run(line);
    const [, wanted = '0'] = /exit (\d)/.exec(line) ?? [];
    expect({line, code, stderr}).toMatchObject({line, code: Number(wanted)});
  }
  const healed = number === '9' ? at.source : at.destination;
  const expected = number === '7' ? [] : ['v1', 'v2'];
  expect(await healed.storage.manifests.tags(APP)).toEqual(expected);
});
