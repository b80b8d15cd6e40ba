import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {Plan} from '../../src/model/plan.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {bytesReply, type Intercept, type Reply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {fixture} from '../support/fixtures.ts';
import {pushImage, put, sha256} from '../support/push-image.ts';
import {transship} from '../support/transship.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
const cleanup = new AsyncDisposableStack();
/** What stands for a manifest or a blob, by the end of its path, in place of what was pushed. */
const instead = new Map<string, Reply>();
let source: Sandbox;
let destination: Sandbox;
let schema1: Buffer;
let count = 0;
let repository: RepositoryPath;

const replace: Intercept = async ({path, method}, next) => {
  const reply = instead.get(path.slice(path.lastIndexOf('/') + 1));
  return method === 'GET' || method === 'HEAD' ? (reply ?? next()) : next();
};

beforeAll(async () => {
  schema1 = await readFile(fixture('schema1/manifest.json'));
  source = cleanup.use(await startSandbox({intercept: replace}));
  destination = cleanup.use(await startSandbox());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  repository = `test/r${++count}` as RepositoryPath;
  instead.clear();
  await pushImage(source.url, repository, 'good');
});

function copy(tag: string, ...flags: readonly string[]) {
  const [from, to] = [`${source.host}/${repository}${tag}`, `${destination.host}/${repository}`];
  return transship(['copy', from, to, ...flags]);
}

async function tagsThere(): Promise<readonly string[]> {
  return [...(await destination.storage.manifests.tags(repository))].sort();
}

function manifest(bytes: Uint8Array, mediaType = MANIFEST): Reply {
  return bytesReply(200, bytes, {'content-type': mediaType});
}

describe('an image that cannot be read', () => {
  const cases: readonly (readonly [string, () => Reply, string, number])[] = [
    ['Docker schema 1', () => manifest(schema1, SCHEMA1), 'SCHEMA1_UNSUPPORTED', 3],
    ['no JSON', () => manifest(Buffer.from('{"schemaVersion": 2')), 'MANIFEST_INVALID', 1],
    ['a page', () => manifest(Buffer.from('<html></html>'), 'text/html'), 'MANIFEST_INVALID', 1],
    ['no image', () => manifest(Buffer.from('{"schemaVersion": 2}')), 'MANIFEST_INVALID', 1],
    ['more than 4 MiB', () => manifest(Buffer.alloc(4 * 2 ** 20 + 1, 32)), 'MANIFEST_TOO_LARGE', 1],
    [
      'other bytes than its digest says',
      () =>
        bytesReply(200, Buffer.from('{"schemaVersion":2,"manifests":[]}'), {
          'content-type': 'application/vnd.oci.image.index.v1+json',
          'docker-content-digest': `sha256:${'a'.repeat(64)}`,
        }),
      'MANIFEST_DIGEST_MISMATCH',
      1,
    ],
  ];

  test.each(cases)('%s, asked for by itself, is an error', async (_what, reply, code, exit) => {
    await pushImage(source.url, repository, 'bad');
    instead.set('bad', reply());
    const error = toldError(await copy(':bad'));
    expect(error).toMatchObject({code, exit, side: 'the source'});
    expect(await tagsThere()).toEqual([]);
  });

  test.each(cases)('%s, in a repository, keeps no other back', async (_what, reply, code) => {
    await pushImage(source.url, repository, 'bad');
    instead.set('bad', reply());
    const planned = await transship([
      'plan',
      'copy',
      `${source.host}/${repository}`,
      `${destination.host}/${repository}`,
      '--format',
      'json',
    ]);
    const {skipped, checks} = JSON.parse(planned.stdout) as Plan;
    expect(planned.code).toBe(0);
    expect(skipped).toMatchObject([{reason: 'unsupported', tag: 'bad'}]);
    expect(checks).toMatchObject([{code, result: 'warn'}]);

    const run = await copy('');

    expect(run.code).toBe(1);
    expect(run.stdout).toContain('Incomplete: 1 image could not be copied; 1 image copied');
    expect(run.stderr).toMatch(new RegExp(`^note: ${source.host}/${repository}:bad .*\n$`));
    expect(await tagsThere()).toEqual(['good']);
  });
});

test('an image without a config, which registries and clients take, is copied', async () => {
  const {digest, layers} = await pushImage(source.url, repository, 'with');
  const bytes = JSON.stringify({schemaVersion: 2, mediaType: MANIFEST, config: null, layers});
  instead.set('without', manifest(Buffer.from(bytes)));
  instead.set(sha256(bytes), manifest(Buffer.from(bytes)));

  expect(await copy(':without')).toMatchObject({code: 0});

  const {manifests, blobs} = destination.storage;
  expect(await manifests.resolve(repository, 'without' as Tag)).toBe(sha256(bytes));
  expect(digest).not.toBe(sha256(bytes));
  expect(await blobs.size(repository, layers[0]?.digest as Digest)).toBe(layers[0]?.size);
});

describe('an incomplete image', () => {
  test('an index without one of its manifests', async () => {
    const {digest, bytes} = await pushImage(source.url, repository, 'child');
    const index = JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {mediaType: MANIFEST, digest, size: bytes.length},
        {mediaType: MANIFEST, digest: sha256('absent'), size: 10},
      ],
    });
    instead.set('bad', manifest(Buffer.from(index), 'application/vnd.oci.image.index.v1+json'));
    await pushImage(source.url, repository, 'bad');

    const error = toldError(await copy(':bad'));
    expect(error).toMatchObject({code: 'SOURCE_INCOMPLETE', exit: 3, side: 'the source'});
    expect(error.message).toContain(sha256('absent').slice(0, 19));
    expect(await tagsThere()).toEqual([]);

    const whole = await copy('');
    expect(whole.code).toBe(1);
    expect(whole.stderr).toContain(`${repository}:bad lists ${sha256('absent').slice(0, 19)}`);
    expect(await tagsThere()).toEqual(['child', 'good']);
  });

  test.each([
    ['is gone', () => bytesReply(404, Buffer.from('{"errors":[]}'), {}), 'BLOB_NOT_FOUND'],
    ['has other bytes', () => bytesReply(200, Buffer.from('lAyer!'), {}), 'BLOB_DIGEST_MISMATCH'],
    ['is shorter', () => bytesReply(200, Buffer.from('lay'), {}), 'BLOB_SIZE_MISMATCH'],
  ])('a layer that %s leaves no tag behind', async (_what, reply, code) => {
    const {layers} = await pushImage(source.url, repository, 'bad', {
      layers: [Buffer.from('layer!')],
    });
    instead.set(layers[0]?.digest ?? '', reply());
    const run = await copy('');
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      new RegExp(`:bad\nerror: .*\\[${code}\\]\n side: the source\n hint: `),
    );
    expect(run.stdout).toContain(`${destination.host}/${repository}:bad`);
    expect(await tagsThere()).toEqual(['good']);
  });

  test('a config that is too large to be read for --newest', async () => {
    await pushImage(source.url, repository, 'bad', {configSize: 4 * 2 ** 20 + 1});
    const error = toldError(await copy('', '--newest', '1'));
    expect(error).toMatchObject({code: 'CONFIG_TOO_LARGE', exit: 1, side: 'the source'});
    expect(error.hint).toContain('--newest');
    expect((await copy('')).code).toBe(0);
  });
});

test('a tag that is listed and has no manifest is named as left out, in each form of the report', async () => {
  const list = Buffer.from(JSON.stringify({tags: ['good', 'expired']}));
  instead.set('list', bytesReply(200, list, {'content-type': 'application/json'}));
  for (const form of ['text', 'markdown', 'json', 'html']) {
    const [from, to] = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
    const planned = await transship(['plan', 'copy', from, to, '--format', form]);
    expect(planned.code).toBe(0);
    expect(planned.stdout).toContain('expired');
    expect(planned.stdout).toContain('gone');
    expect(planned.stdout).toContain('does not have its manifest');
  }
  const run = await copy('');
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(
    /^note: .* lists expired, but does not have the manifest: left out\n$/,
  );
  expect(run.stdout).toMatch(/:expired +gone /);
  expect(await tagsThere()).toEqual(['good']);
  // What a filter excludes is nobody's loss.
  expect(await copy('', '--exclude-tag', 'expired')).toMatchObject({code: 0, stderr: ''});
});

test.each(['referrer', 'signature'])(
  'a %s that cannot be read keeps nothing back, and is named',
  async (kind) => {
    const {digest, bytes} = await pushImage(source.url, repository, 'subject');
    const subject = {mediaType: MANIFEST, digest, size: bytes.length};
    const tag = kind === 'signature' ? `${digest.replace(':', '-')}.sig` : 'reference';
    const attached = await pushImage(source.url, repository, tag, {
      layers: [Buffer.from(kind)],
      ...(kind === 'referrer' ? {manifest: {subject}} : {}),
    });
    if (kind === 'referrer')
      await fetch(`${source.url}/v2/${repository}/manifests/reference`, {method: 'DELETE'});
    instead.set(kind === 'referrer' ? attached.digest : tag, manifest(Buffer.from('{"a":')));
    const run = await copy('');
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^note: .* is left out: .*\n$/);
    expect(run.stdout).toContain('Incomplete: 1 image could not be copied; 2 images copied');
    expect(run.stdout).toContain(kind === 'referrer' ? attached.digest.slice(0, 19) : tag);
    expect(await tagsThere()).toEqual(['good', 'subject']);
  },
);

test('an image that is served as schema 1, but says that it is schema 2, is copied', async () => {
  const {bytes: pushed} = await pushImage(source.url, repository, 'typed');
  const {mediaType: _type, ...untyped} = JSON.parse(pushed) as {readonly mediaType: string};
  const bytes = JSON.stringify(untyped);
  await put(`${source.url}/v2/${repository}/manifests/old`, MANIFEST, bytes);
  instead.set('old', manifest(Buffer.from(bytes), SCHEMA1));
  expect((await copy(':old')).code).toBe(0);
  expect(await destination.storage.manifests.resolve(repository, 'old' as never)).toBe(
    sha256(bytes),
  );
});

test.each([
  ['an OCI artifact manifest', 'application/vnd.oci.artifact.manifest.v1+json', true],
  ['a manifest without "layers"', MANIFEST, false],
])('%s is copied, with its blobs', async (_what, mediaType, isArtifact) => {
  const {config, layers} = await pushImage(source.url, repository, 'parts');
  const parts = isArtifact ? {artifactType: 'a/sbom', blobs: layers} : {schemaVersion: 2, config};
  const bytes = JSON.stringify({mediaType, ...parts});
  instead.set('odd', manifest(Buffer.from(bytes), mediaType));
  const run = await copy(':odd');
  expect(run).toMatchObject({code: 0, stderr: ''});
  expect(await destination.storage.manifests.resolve(repository, 'odd' as never)).toBe(
    sha256(bytes),
  );
  const [part] = isArtifact ? layers : [config];
  expect(await destination.storage.blobs.size(repository, part?.digest as never)).toBe(part?.size);
});

/** Puts an image with a layer that only its URL has, and gives the layer. */
async function pushForeign() {
  const {config, layers} = await pushImage(source.url, repository, 'base');
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: sha256('elsewhere'),
    size: 9,
    urls: ['https://mcr.example.com/layer'],
  };
  const image = {schemaVersion: 2, mediaType: MANIFEST, config, layers: [...layers, foreign]};
  const to = `${source.url}/v2/${repository}/manifests/windows`;
  await put(to, MANIFEST, JSON.stringify(image));
  return foreign;
}

describe('an image with a layer that only its URL has', () => {
  test('is copied if the destination accepts it', async () => {
    await pushForeign();
    expect((await copy(':windows')).code).toBe(0);
    expect(await tagsThere()).toEqual(['windows']);
  });

  test('names the layer where the destination refuses it', async () => {
    const {digest} = await pushForeign();
    await using strict = await startSandbox({flavour: {foreignLayers: false}});
    const places = [`${source.host}/${repository}:windows`, `${strict.host}/a`];
    const {code, stderr} = await transship(['copy', ...places]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `has foreign layers: ${digest} [MANIFEST_PARTS_MISSING]\n side: the destination`,
    );
    expect(stderr).toMatch(/hint: .*--platform/);
  });
});

test('tags with invalid names are left out, with a note', async () => {
  const list = Buffer.from(JSON.stringify({tags: ['good', null, '-x', 'a b\u001b[2J']}));
  instead.set('list', bytesReply(200, list, {'content-type': 'application/json'}));
  const run = await copy('');
  expect(run.code).toBe(0);
  expect(run.stderr).toMatch(/^note: .* lists 3 tags with invalid names\n$/);
  expect(run.stdout).not.toContain('\u001b');
  expect(await tagsThere()).toEqual(['good']);
});

test('a permanent refusal by the destination is not retried, and its message is reported', async () => {
  const words = 'the storage quota is used up';
  const refuse: Intercept = async ({method, route}, next) => {
    if (method !== 'PUT' || route.kind !== 'manifest') return next();
    const error = {code: 'DENIED', message: words};
    return bytesReply(403, Buffer.from(JSON.stringify({errors: [error]})), {});
  };
  await using strict = await startSandbox({intercept: refuse});
  await put(
    `${source.url}/v2/${repository}/manifests/empty`,
    'application/vnd.oci.image.index.v1+json',
    '{"schemaVersion":2,"manifests":[]}',
  );
  const run = await transship(['copy', `${source.host}/${repository}:empty`, `${strict.host}/a`]);
  expect(run.code).toBe(1);
  expect(run.stderr).toContain(words);
  expect(run.stdout).toContain(words);
  expect(strict.log.entries.filter(({method}) => method === 'PUT')).toHaveLength(1);
});
