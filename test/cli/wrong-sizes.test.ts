import {randomBytes} from 'node:crypto';
import {readFile, truncate} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {isWrite} from '../support/access-log.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {pushImage, put, sha256} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
let destination: DockerRegistry;
/** As registries that tell no digest with a blob. */
let terse: Sandbox;

const withoutDigest: Intercept = async ({path}, next) => {
  const reply = await next();
  if (!path.includes('/blobs/sha256:')) return reply;
  const {'docker-content-digest': _digest, ...headers} = reply.headers;
  return {...reply, headers};
};

beforeAll(async () => {
  source = cleanup.use(await startDockerRegistry());
  destination = cleanup.use(await startDockerRegistry());
  terse = cleanup.use(await startSandbox({intercept: withoutDigest}));
});
afterAll(() => cleanup.disposeAsync());

/** What a manifest says of a blob's size; undefined: nothing. */
type Wrong = (size: number) => number | undefined;

const WRONG: readonly (readonly [string, Wrong])[] = [
  ['0', () => 0],
  ['one too small', (size) => size - 1],
  ['one too large', (size) => size + 1],
  ['-1', () => -1],
  ['absent', () => undefined],
];

/** Pushes `REPOSITORY:1`, whose manifest gives wrong sizes. @returns the manifest's bytes */
async function pushWrong(
  at: {readonly url: string},
  repository: string,
  wrong: Wrong,
  {layer = Buffer.from(`layer of ${repository}`), parts = ['layer']} = {},
): Promise<string> {
  const options = {layers: [layer], created: '2026-01-01T00:00:00Z'};
  const {config, layers} = await pushImage(at.url, repository, 'right', options);
  const change = (part: string) => (blob: {readonly size: number}) =>
    parts.includes(part) ? {...blob, size: wrong(blob.size)} : blob;
  const bytes = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: change('config')(config),
    layers: layers.map(change('layer')),
  });
  await put(`${at.url}/v2/${repository}/manifests/1`, MANIFEST, bytes);
  return bytes;
}

async function has(at: {readonly url: string}, repository: string, bytes: string) {
  const headers = {accept: MANIFEST};
  const manifest = await fetch(`${at.url}/v2/${repository}/manifests/1`, {headers});
  expect(await manifest.text()).toBe(bytes);
  const {config, layers} = JSON.parse(bytes) as Record<string, {digest: string}> & {
    layers: readonly {digest: string}[];
  };
  for (const {digest} of [...(config ? [config] : []), ...layers]) {
    const blob = await fetch(`${at.url}/v2/${repository}/blobs/${digest}`);
    expect(sha256(Buffer.from(await blob.arrayBuffer()))).toBe(digest);
  }
}

let count = 0;

describe.each(WRONG)('a manifest with the size of a blob as %s', (_name, wrong) => {
  test('is copied unchanged, with one note', async () => {
    const repository = `wrong/r${++count}`;
    const bytes = await pushWrong(source, repository, wrong, {parts: ['layer', 'config']});
    const plan = cleanup.use(await tempDirectory()).join('plan.json');
    const [from, to] = [`${source.host}/${repository}:1`, `${destination.host}/${repository}:1`];
    expect((await transship(['plan', 'copy', from, to, '--out', plan])).code).toBe(0);

    const run = await transship(['apply', plan, '--yes']);

    expect(run).toMatchObject({code: 0});
    expect(run.stderr.match(/^note: /gm)).toHaveLength(1);
    expect(run.stderr).toContain(`${repository}@${sha256(bytes)} gives a wrong size for sha256:`);
    await has(destination, repository, bytes);
    expect(await transship(['verify', plan])).toMatchObject({code: 0, stderr: ''});
    await destination.forgetRequests();
    expect(await transship(['copy', from, to])).toMatchObject({code: 0, stderr: ''});
    expect(await transship(['apply', plan, '--yes'])).toMatchObject({code: 0, stderr: ''});
    expect((await destination.requests()).filter(isWrite)).toEqual([]);
  });

  test('is copied to a layout and from there to a registry', async () => {
    const repository = `wrong/r${++count}`;
    const bytes = await pushWrong(source, repository, wrong, {parts: ['layer', 'config']});
    const temp = cleanup.use(await tempDirectory());
    const [layout, plan] = [`oci:${temp.join('layout')}:1`, temp.join('plan.json')];
    const from = `${source.host}/${repository}:1`;
    expect((await transship(['plan', 'copy', from, layout, '--out', plan])).code).toBe(0);
    expect((await transship(['apply', plan, '--yes'])).code).toBe(0);
    expect((await transship(['verify', plan])).code).toBe(0);
    const again = await transship(['copy', from, layout]);
    expect(again).toMatchObject({code: 0, stderr: ''});
    expect(again.stdout).toContain('0 images copied');

    const to = `${destination.host}/${repository}:1`;
    const run = await transship(['copy', layout, to]);

    expect(run.code).toBe(0);
    expect(run.stderr).toContain('gives a wrong size');
    await has(destination, repository, bytes);
  });

  test('has its config read for --newest', async () => {
    const repository = `wrong/r${++count}`;
    await pushWrong(source, repository, wrong, {parts: ['config']});
    const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
    expect((await transship(['copy', ...places, '--newest', '1'])).code).toBe(0);
  });
});

test.each(WRONG.slice(0, 3))('a large layer of which the size is %s', async (_name, wrong) => {
  const repository = `wrong/r${++count}`;
  const bytes = await pushWrong(source, repository, wrong, {layer: randomBytes(24 * 2 ** 20)});
  const [from, to] = [`${source.host}/${repository}:1`, `${destination.host}/${repository}:1`];
  const run = await transship(['copy', from, to, '--chunk-size', '5MiB']);
  expect(run.code).toBe(0);
  await has(destination, repository, bytes);
});

test('an interrupted upload of a layer of size 0 is continued', async () => {
  const repository = `wrong/r${++count}`;
  const layer = randomBytes(24 * 2 ** 20);
  const bytes = await pushWrong(source, repository, () => 0, {layer});
  const plan = cleanup.use(await tempDirectory()).join('plan.json');
  const [from, to] = [`${source.host}/${repository}:1`, `${destination.host}/${repository}:1`];
  await transship(['plan', 'copy', from, to, '--out', plan]);
  const apply = ['apply', plan, '--yes', '--chunk-size', '5MiB', '--format', 'json'];
  const stop = new AbortController();
  const onStderr = (text: string) => {
    if (/"acknowledged":[1-9]\d{6}/.test(text)) stop.abort();
  };
  const options = {stopping: stop.signal, onStderr};
  expect((await transship([...apply, '--progress', 'json'], options)).code).toBe(130);

  const run = await transship(apply);

  expect(run.code).toBe(0);
  const {sent} = (JSON.parse(run.stdout) as RunResult).bytes;
  expect(sent).toBeLessThan(layer.byteLength - 4 * 2 ** 20);
  await has(destination, repository, bytes);
});

test('a registry that reports no digest for blobs does not receive them twice', async () => {
  const repository = `wrong/r${++count}`;
  await pushWrong(terse, repository, (size) => size + 1);
  const bytes = await pushWrong(source, repository, (size) => size + 1);
  const plan = cleanup.use(await tempDirectory()).join('plan.json');
  const [from, to] = [`${source.host}/${repository}:1`, `${terse.host}/${repository}:2`];
  await transship(['plan', 'copy', from, to, '--out', plan]);
  const run = await transship(['apply', plan, '--yes']);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('0 B in 0 blobs');
  expect((await transship(['verify', plan])).code).toBe(0);
  const tag = await terse.storage.manifests.resolve(repository as RepositoryPath, '2' as never);
  expect(tag).toBe(sha256(bytes));
});

test('a file of a layout that was cut short is damage, not a wrong size', async () => {
  const repository = `wrong/r${++count}`;
  const layer = Buffer.from('layer of a layout');
  await pushImage(source.url, repository, '1', {layers: [layer]});
  const temp = cleanup.use(await tempDirectory());
  const layout = `oci:${temp.join('layout')}:1`;
  expect((await transship(['copy', `${source.host}/${repository}:1`, layout])).code).toBe(0);
  const file = temp.join('layout', 'blobs', sha256(layer).replace(':', '/'));
  await truncate(file, 5);

  const run = await transship(['copy', layout, `${destination.host}/${repository}:1`]);

  expect(run.code).toBe(1);
  expect(run.stderr).toContain('[BLOB_SIZE_MISMATCH]');
  expect((await transship(['copy', `${source.host}/${repository}:1`, layout])).code).toBe(0);
  expect(await readFile(file)).toEqual(layer);
});

test('a project moves with such an image by way of a directory', async () => {
  const repository = `wrong/r${++count}`;
  await pushWrong(source, repository, (size) => size + 1, {parts: ['layer', 'config']});
  const temp = cleanup.use(await tempDirectory());
  const layout = temp.join('layout');
  expect(
    (await transship(['copy', `${source.host}/${repository}:1`, `oci:${layout}:1`])).code,
  ).toBe(0);
  const rig = cleanup.use(await startRig({seed: transferSeed({images: [{layout, tag: 'v1'}]})}));
  const env = {GITLAB_TOKEN: 'ada-api'};
  const plan = temp.join('move.plan.json');
  const wish = `plan transfer org/build/app --to new_org/build/ --gitlab ${rig.url}`.split(' ');
  const places = ['--donor', temp.join('donor'), '--out', plan];
  expect((await transship([...wish, ...places], {env})).code).toBe(0);

  const run = await transship(['apply', plan, '--yes'], {env});

  expect(run.code).toBe(0);
  expect(run.stderr).toContain('gives a wrong size');
  expect((await transship(['verify', plan], {env})).code).toBe(0);
  expect((await transship(['verify', plan, '--donor'], {env})).code).toBe(0);
});
