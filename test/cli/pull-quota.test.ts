import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {bytesReply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {pushImage, put} from '../support/push-image.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const TAGS = Array.from({length: 10}, (_, n) => `v${n}`);
const INDEX = 'application/vnd.oci.image.index.v1+json';
const QUOTA = JSON.stringify({errors: [{code: 'TOOMANYREQUESTS', message: 'pull rate limit'}]});
const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
let home: TempDirectory;
let repository: RepositoryPath;
let count = 0;
/** Manifests that may yet be read; a HEAD is none, as at Docker Hub. */
let quota = Infinity;

beforeAll(async () => {
  destination = cleanup.use(await startSandbox());
  source = cleanup.use(
    await startSandbox({
      intercept: async ({method, route}, next) => {
        if (method !== 'GET' || route.kind !== 'manifest') return next();
        if (quota <= 0) return bytesReply(429, Buffer.from(QUOTA), {'retry-after': '86400'});
        quota -= 1;
        return next();
      },
    }),
  );
  home = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  repository = `library/r${++count}` as RepositoryPath;
  quota = Infinity;
  for (const tag of TAGS)
    await pushImage(source.url, repository, tag, {layers: [Buffer.from(`${repository}:${tag}`)]});
});

function run(command: readonly string[], ...flags: readonly string[]) {
  const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
  return transship([...command, ...places, ...flags], {home: home.path});
}

const cache = () => home.join('.cache', 'transship', 'content');

async function keptFiles(): Promise<readonly string[]> {
  const entries = await readdir(cache(), {recursive: true, withFileTypes: true});
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.pack'))
    .map(({parentPath, name}) => join(parentPath, name));
}

async function reads(what: () => Promise<unknown>): Promise<number> {
  quota = 1000;
  await what();
  return 1000 - quota;
}

test('a quota smaller than the repository is passed in several windows', async () => {
  const codes: number[] = [];
  for (let window = 0; window < 5 && codes.at(-1) !== 0; window++) {
    quota = 4;
    codes.push((await run(['copy'])).code);
  }
  expect(codes).toEqual([1, 1, 0]);
  expect([...(await destination.storage.manifests.tags(repository))].sort()).toEqual(TAGS);
});

test('what is kept is not read again, by plan or by apply, and is asked for', async () => {
  await run(['plan', 'copy']);
  source.log.clear();
  const file = home.join(`${count}.plan.json`);
  expect(await reads(() => run(['plan', 'copy'], '--out', file))).toBe(0);
  const heads = source.log.entries.filter(({method}) => method === 'HEAD');
  expect(heads).toHaveLength(TAGS.length);
  const applied = () => transship(['apply', file], {home: home.path});
  expect(await reads(applied)).toBe(0);
  expect([...(await destination.storage.manifests.tags(repository))].sort()).toEqual(TAGS);
});

test('configs that filters look into are kept likewise', async () => {
  await run(['plan', 'copy'], '--newest', '3');
  source.log.clear();
  await run(['plan', 'copy'], '--newest', '3');
  expect(source.log.entries.filter(({kind}) => kind === 'blob')).toEqual([]);
});

test('a tag that moved is read anew', async () => {
  await run(['plan', 'copy']);
  const {digest} = await pushImage(source.url, repository, 'v3', {layers: [Buffer.from('new')]});
  const again = await run(['plan', 'copy'], '--format', 'json');
  expect(again.stdout).toContain(digest);
});

test('what the registry has no longer is not there', async () => {
  const {digest, bytes} = await pushImage(source.url, repository, 'child');
  const child = {mediaType: 'application/vnd.oci.image.manifest.v1+json', digest};
  const manifests = [{...child, size: bytes.length}];
  const index = JSON.stringify({schemaVersion: 2, mediaType: INDEX, manifests});
  await put(`${source.url}/v2/${repository}/manifests/multi`, INDEX, index);
  await run(['plan', 'copy']);
  for (const reference of ['child', digest])
    await fetch(`${source.url}/v2/${repository}/manifests/${reference}`, {method: 'DELETE'});
  const place = `${source.host}/${repository}:multi`;
  const args = ['copy', place, `${destination.host}/${repository}`];
  const error = toldError(await transship(args, {home: home.path}));
  expect(error).toMatchObject({code: 'SOURCE_INCOMPLETE', exit: 3});
});

test('a damaged file is read again from the registry', async () => {
  await run(['plan', 'copy']);
  for (const file of await keptFiles()) await writeFile(file, '{"schemaVersion":2}');
  expect(await reads(() => run(['copy']))).toBe(TAGS.length);
  expect(await destination.storage.manifests.tags(repository)).toHaveLength(TAGS.length);
});

test('files are for their owner alone', async () => {
  await run(['plan', 'copy']);
  const [file = ''] = await keptFiles();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  for (const directory of [cache(), join(file, '..')])
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  expect(file).not.toContain(repository);
});

test.each([
  ['--no-cache', ['--no-cache'], {}],
  ['TRANSSHIP_NO_CACHE', [], {TRANSSHIP_NO_CACHE: '1'}],
])('with %s nothing is kept', async (_what, flags, env) => {
  await using empty = await tempDirectory();
  const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
  await transship(['plan', 'copy', ...places, ...flags], {home: empty.path, env});
  expect(await readdir(empty.path)).toEqual([]);
});

test('a cache directory that cannot be written is no failure', async () => {
  await using other = await tempDirectory();
  await mkdir(other.join('.cache'));
  await writeFile(other.join('.cache', 'transship'), 'in the way');
  const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
  expect((await transship(['copy', ...places], {home: other.path})).code).toBe(0);
  expect(await readFile(other.join('.cache', 'transship'), 'utf8')).toBe('in the way');
});
