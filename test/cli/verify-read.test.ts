import {readdir, readFile, stat, unlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {VerifyResult} from '../../src/model/outcome.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {type PushedImage, pushImage, pushIndex} from '../support/push-image.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let source: Sandbox;
let destination: Sandbox;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({storage: {kind: 'directory', path: temp.join('storage')}}),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}` as RepositoryPath;
});

/** An index of two images, the first of which has a tag of its own. */
async function copied(to: string): Promise<readonly PushedImage[]> {
  const images: PushedImage[] = [];
  for (const name of ['amd', 'arm']) {
    const layers = [Buffer.from(`${repository} ${name} `.repeat(20_000))];
    images.push(await pushImage(source.url, repository, name, {layers}));
  }
  await pushIndex(source.url, repository, 'v1', images);
  await source.storage.manifests.untag(repository, 'arm' as Tag);
  await plan(to);
  const run = await transship(['apply', fileName()]);
  expect([run.stderr, run.code]).toEqual(['', 0]);
  return images;
}

const fileName = () => temp.join(`${count}.plan.json`);
const plan = async (to: string, ...flags: readonly string[]) => {
  const places = [`${source.host}/${repository}`, `${to}/${repository}`];
  const run = await transship(['plan', 'copy', ...places, '--out', fileName(), ...flags]);
  expect([run.stderr, run.code]).toEqual(['', 0]);
};

async function verify(...flags: readonly string[]) {
  const run = await transship(['verify', fileName(), '--format', 'json', ...flags]);
  const {differences, repaired, checked} = JSON.parse(run.stdout) as VerifyResult;
  return {code: run.code, wrong: differences.map(({what}) => what), repaired, checked};
}

/** The file of a blob, wherever a registry has it. */
async function fileOf(directory: string, digest: string): Promise<string> {
  const hex = digest.replace(/^.*:/, '');
  const found = await readdir(directory, {recursive: true, withFileTypes: true});
  for (const entry of found) {
    const file = join(entry.parentPath, entry.name);
    const isNamed = file.endsWith(hex) || file.endsWith(`${hex}/data`);
    // Others only say that a repository has it.
    if (entry.isFile() && isNamed && (await stat(file)).size > 1000) return file;
  }
  throw new Error(`${directory} does not have ${digest}`);
}

async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

const layerOf = (image: PushedImage | undefined) => image?.layers[0]?.digest ?? '';

describe('verify', () => {
  test('--read finds one flipped bit, and --repair heals it', async () => {
    const [, image] = await copied(destination.host);
    await flipBit(await fileOf(temp.join('storage'), layerOf(image)));
    expect(await verify()).toMatchObject({code: 0, wrong: []});
    expect(await verify('--read')).toMatchObject({code: 2, wrong: ['blob']});
    expect(await verify('--read', '--repair')).toMatchObject({
      code: 0,
      wrong: [],
      repaired: {images: 1, failures: []},
    });
    expect(await verify('--read')).toMatchObject({code: 0, wrong: []});
  });

  test('--repair copies missing content of an existing manifest', async () => {
    const [amd, arm] = await copied(destination.host);
    const {manifests, blobs} = destination.storage;
    await manifests.untag(repository, 'amd' as Tag);
    await manifests.delete(repository, arm?.digest as Digest);
    await blobs.unlink(repository, layerOf(arm) as Digest);
    expect(await verify()).toMatchObject({code: 2, wrong: ['tag', 'manifest', 'blob']});
    expect(await verify('--repair')).toMatchObject({code: 0, wrong: []});
    expect(await manifests.resolve(repository, 'amd' as Tag)).toBe(amd?.digest);
  });

  test('--repair brings parts of an image that was there before the plan', async () => {
    const [image] = await copied(destination.host);
    await plan(destination.host);
    await destination.storage.blobs.unlink(repository, layerOf(image) as Digest);
    expect(await verify('--repair')).toMatchObject({code: 0, wrong: [], repaired: {images: 2}});
  });

  test('--repair does not change a tag that was moved', async () => {
    const [image] = await copied(destination.host);
    await pushImage(destination.url, repository, 'amd', {layers: [Buffer.from('other')]});
    expect(await verify('--repair')).toMatchObject({code: 2, wrong: ['tag']});
    expect(await destination.storage.manifests.resolve(repository, 'amd' as Tag)).not.toBe(
      image?.digest,
    );
  });

  test('--repair says what the source no longer has', async () => {
    const [image] = await copied(destination.host);
    for (const {storage} of [source, destination])
      await storage.blobs.unlink(repository, layerOf(image) as Digest);
    const run = await transship(['verify', fileName(), '--repair']);
    expect(run.code).toBe(2);
    expect(run.stdout).toMatch(/BLOB_NOT_FOUND[^]*0 of 2 images sent again/);
  });

  test('reports a registry that keeps its damaged copy', async () => {
    await using docker = await startDockerRegistry();
    const [image] = await copied(docker.host);
    const file = await fileOf(docker.storage, layerOf(image));
    await flipBit(file);
    const run = await transship(['verify', fileName(), '--read', '--repair']);
    expect(run.code).toBe(2);
    expect(run.stdout).toContain('kept its damaged copy');
    await unlink(file);
    expect(await verify('--repair')).toMatchObject({code: 0, wrong: []});
    expect(await verify('--read')).toMatchObject({code: 0, wrong: []});
  });

  test('--read reads on where a connection breaks', async () => {
    const bytes = Buffer.alloc(600_000, 'x');
    await pushImage(source.url, repository, 'big', {layers: [bytes]});
    let broken = 0;
    await using flaky = await startSandbox({
      intercept: async ({method, path}, next) => {
        const reply = await next();
        const {body} = reply;
        if (
          method !== 'GET' ||
          !path.includes('/blobs/') ||
          typeof body !== 'function' ||
          broken > 0
        )
          return reply;
        broken += 1;
        return {
          ...reply,
          body: async function* () {
            for await (const chunk of body()) {
              yield chunk.subarray(0, 1000);
              throw new Error('the connection is cut');
            }
          },
        };
      },
    });
    await plan(flaky.host);
    await transship(['apply', fileName()]);
    expect(await verify('--read')).toMatchObject({code: 0, wrong: []});
    expect(broken).toBe(1);
  });
});
