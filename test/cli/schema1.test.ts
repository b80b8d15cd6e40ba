import {createHash} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {gunzipSync, gzipSync} from 'node:zlib';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {fixture} from '../support/fixtures.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
const SCHEMA2 = 'application/vnd.docker.distribution.manifest.v2+json';
/** Of the payload of `fixtures/schema1`, from `corpus.json`. */
const OLD = 'sha256:a4b5ffc5a83c066386b9efd1a39a8f75e75eb105d42711eaf4d6687e703bc571';
const EMPTY_LAYER = 'sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4';

const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
let destination: DockerRegistry;
let temp: TempDirectory;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startDockerRegistry({schema1: true}));
  destination = cleanup.use(await startDockerRegistry());
  await push('old/app', '1.35', await readFile(fixture('schema1/manifest.json')));
  const run = await transship(['copy', ...places('made/app'), '--convert-schema1']);
  if (run.code !== 0) throw new Error(run.stderr);
});
afterAll(() => cleanup.disposeAsync());

/** Pushes a manifest of schema 1 after the layers of the fixture. */
async function push(repository: string, tag: string, manifest: Uint8Array): Promise<void> {
  const {fsLayers} = JSON.parse(Buffer.from(manifest).toString()) as {
    fsLayers: {blobSum: string}[];
  };
  for (const {blobSum} of fsLayers) {
    const file = fixture(`schema1/blobs/sha256/${blobSum.slice(7)}`);
    await pushBlob(repository, await readFile(file));
  }
  await put(`${source.url}/v2/${repository}/manifests/${tag}`, manifest, SIGNED);
}

async function pushBlob(repository: string, bytes: Uint8Array): Promise<void> {
  const begun = await fetch(`${source.url}/v2/${repository}/blobs/uploads/`, {method: 'POST'});
  const location = new URL(begun.headers.get('location') ?? '', source.url);
  location.searchParams.set('digest', sha256(bytes));
  await put(location.href, bytes, 'application/octet-stream');
}

async function put(url: string, body: Uint8Array, type: string): Promise<void> {
  const headers = {'content-type': type};
  const answer = await fetch(url, {method: 'PUT', body: new Uint8Array(body), headers});
  expect(await answer.text()).toBe('');
  expect(answer.status).toBe(201);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function places(repository: string): readonly [string, string] {
  return [`${source.host}/old/app:1.35`, `${destination.host}/${repository}`];
}

async function fetched(path: string): Promise<Buffer> {
  const answer = await fetch(`${destination.url}/v2/${path}`, {headers: {accept: SCHEMA2}});
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

/** An image as it is at the destination; every digest in it is checked here. */
async function imageAt(repository: string, tag: string) {
  const bytes = await fetched(`${repository}/manifests/${tag}`);
  const manifest = JSON.parse(bytes.toString()) as {
    mediaType: string;
    config: {digest: string; size: number};
    layers: {digest: string; size: number; mediaType: string}[];
  };
  const config = await fetched(`${repository}/blobs/${manifest.config.digest}`);
  expect([sha256(config), config.byteLength]).toEqual([
    manifest.config.digest,
    manifest.config.size,
  ]);
  const diffIds: string[] = [];
  for (const {digest, size} of manifest.layers) {
    const layer = await fetched(`${repository}/blobs/${digest}`);
    expect([sha256(layer), layer.byteLength]).toEqual([digest, size]);
    diffIds.push(sha256(gunzipSync(layer)));
  }
  return {digest: sha256(bytes), manifest, config: JSON.parse(config.toString()), diffIds};
}

async function planned(name: string): Promise<CopyPlan> {
  const out = temp.join(name);
  const args = [...places('again/app'), '--convert-schema1', '--out', out];
  expect(await transship(['plan', 'copy', ...args])).toMatchObject({code: 0});
  const show = await transship(['show', out, '--format', 'json']);
  return JSON.parse(show.stdout) as CopyPlan;
}

describe('an image of Docker schema 1', () => {
  test('is refused with the way to convert it', async () => {
    const run = await transship(['copy', ...places('refused/app')]);
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('SCHEMA1_UNSUPPORTED');
    expect(run.stderr).toContain('--convert-schema1');
  });

  test('becomes an image of schema 2 that skopeo reads', async () => {
    const {digest, manifest, config, diffIds} = await imageAt('made/app', '1.35');
    expect(manifest.mediaType).toBe(SCHEMA2);
    expect(config).toMatchObject({
      architecture: 'amd64',
      os: 'linux',
      created: '2023-11-14T22:13:20Z',
      config: {Cmd: ['sh'], Env: ['PATH=/bin']},
      rootfs: {type: 'layers', diff_ids: diffIds},
    });
    // Three of the five entries only changed the config.
    expect(config.history.map((one: {empty_layer?: boolean}) => one.empty_layer ?? false)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(config.history[0].created_by).toContain('ADD file:');
    expect(config).not.toHaveProperty('id');
    expect(manifest.layers).toHaveLength(2);
    expect(manifest.layers.map((layer) => layer.digest)).not.toContain(EMPTY_LAYER);

    const name = `docker://${destination.host}/made/app:1.35`;
    const inspected = await skopeo(['inspect', '--tls-verify=false', name]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      Digest: digest,
      Architecture: 'amd64',
      Labels: {'org.opencontainers.image.title': 'busybox'},
      Layers: manifest.layers.map((layer) => layer.digest),
    });
    // All of it is read, and each layer compared with its diff id.
    const saved = `docker-archive:${temp.join('saved')}`;
    expect(await skopeo(['copy', '--src-tls-verify=false', name, saved])).toMatchObject({code: 0});
  });

  test('has the same digest each time, although its registry signs it anew', async () => {
    const first = await planned('first.plan.json');
    await source.restart();
    const second = await planned('second.plan.json');
    expect(second.id).toBe(first.id);
  });

  test('is shown in the plan with its old and its new digest', async () => {
    const run = await transship(['plan', 'copy', ...places('shown/app'), '--convert-schema1']);
    const {digest} = await imageAt('made/app', '1.35');
    expect(run.stdout).toContain(
      `shown/app:1.35 gets ${digest.slice(0, 19)} instead of ${OLD.slice(0, 19)}: Docker schema 1 becomes schema 2`,
    );
    expect(run.stdout).toMatch(/converted from schema 1, sha256:a4b5ffc5a83c/);
  });

  test('is made again from its plan on another machine, which reads each layer once', async () => {
    const plan = temp.join('away.plan.json');
    const args = [...places('away/app'), '--convert-schema1', '--out', plan];
    expect(await transship(['plan', 'copy', ...args])).toMatchObject({code: 0});
    await source.forgetRequests();

    const elsewhere = {home: temp.join('elsewhere')};
    const run = await transship(['apply', plan], elsewhere);
    expect(run.stderr).toBe('');
    expect(run).toMatchObject({code: 0});
    const made = await imageAt('away/app', '1.35');
    expect(made.digest).toBe((await imageAt('made/app', '1.35')).digest);
    const asked = await source.requests();
    const layers = asked.filter(({method, path}) => method === 'GET' && path.includes('/blobs/'));
    expect(layers).toHaveLength(2);

    expect(await transship(['verify', plan], elsewhere)).toMatchObject({code: 0});
    const again = await transship(['copy', ...places('away/app'), '--convert-schema1']);
    expect(again.stdout).toMatch(/nothing to do|1 already there/);
  });

  test('with a damaged layer is left out, not converted', async () => {
    const text = (await readFile(fixture('schema1/manifest.json'))).toString();
    const layer = gzipSync('cut short').subarray(0, 20);
    const manifest = JSON.parse(text) as {fsLayers: {blobSum: string}[]; name: string};
    const [, , , base] = manifest.fsLayers;
    const broken = Buffer.from(text.replace(base?.blobSum ?? '', sha256(layer)));
    const dir = temp.join('broken');
    const from = `docker://${source.host}/old/app:1.35`;
    expect(await skopeo(['copy', '--src-tls-verify=false', from, `dir:${dir}`])).toMatchObject({
      code: 0,
    });
    await writeFile(`${dir}/manifest.json`, broken);
    await writeFile(`${dir}/${sha256(layer).slice(7)}`, layer);
    const to = `${destination.host}/broken/app:1`;
    const run = await transship(['copy', `dir:${dir}`, to, '--convert-schema1']);
    expect(run.code).not.toBe(0);
    expect(run.stderr).toContain('MANIFEST_INVALID');
    expect((await fetch(`${destination.url}/v2/broken/app/tags/list`)).status).toBe(404);
  });
});
