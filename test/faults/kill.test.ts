import {randomUUID} from 'node:crypto';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox, type Sandbox} from '../../src/sandbox/sandbox.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {type Forwarder, type Moment, startForwarder} from '../support/forwarder.ts';
import {runProgram} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const CHUNK = 16 * 1024;
const FROM = 'from/app' as RepositoryPath;
/** Two images with the first layer in common; 4, 3 and 2 chunks. */
const SHARED = someBytes(3 * CHUNK + 100);
const OWN = someBytes(2 * CHUNK + 7);
const OTHER = someBytes(CHUNK + 1);

let source: Sandbox;
let temp: TempDirectory;
let images: ReadonlyMap<string, Digest>;

beforeAll(async () => {
  source = await startSandbox();
  temp = await tempDirectory();
  const image = (tag: string, layers: readonly Uint8Array[]) =>
    storeImage(source.storage, FROM, tag, layers);
  images = new Map([
    ['one', await image('one', [SHARED, OWN])],
    ['two', await image('two', [SHARED, OTHER])],
  ]);
});
afterAll(async () => {
  await source.close();
  await temp[Symbol.asyncDispose]();
});

/** What came of a run that was killed and of applying again. */
interface Outcome {
  /** The request at which the run was killed; undefined: it had ended before. */
  readonly struck: string | undefined;
  /** Bytes of blobs that both runs passed on, beyond those that the blobs have. */
  readonly sentTwice: number;
  readonly tags: ReadonlyMap<string, string | null>;
}

async function killAndApply(
  registry: string,
  moment: Moment,
  flags: readonly string[],
): Promise<Outcome> {
  await using forwarder = await startForwarder(registry);
  const home = temp.join('home');
  const to = `to/${randomUUID()}`;
  const plan = temp.join(`${to.slice(3)}.json`);
  const places = [`${source.host}/${FROM}`, `${forwarder.host}/${to}`];
  expect(await transship(['plan', 'copy', ...places, '--out', plan], {home})).toMatchObject({
    code: 0,
  });
  forwarder.forget();
  const apply = ['apply', plan, '--chunk-size', String(CHUNK), '--progress', 'none', ...flags];
  let struck: string | undefined;
  await runProgram(process.execPath, [MAIN, ...apply], {
    env: {HOME: home},
    onStart: ({kill}) => {
      forwarder.at(moment, async ({method, path}) => {
        struck = `${method} ${path.includes('/blobs/uploads/') ? 'upload' : 'other'}`;
        kill('SIGKILL');
      });
    },
  });
  const sentBefore = bytesOfBlobs(forwarder);
  forwarder.forget();
  expect(await transship(apply, {home})).toMatchObject({code: 0});
  const {tags, bytes} = await readImages(registry, to);
  return {struck, sentTwice: sentBefore + bytesOfBlobs(forwarder) - bytes, tags};
}

function bytesOfBlobs({requests}: Forwarder): number {
  return requests
    .filter(({path}) => path.includes('/blobs/uploads/'))
    .reduce((sum, {sent}) => sum + sent, 0);
}

/** What the tags point to, and the bytes of all blobs, which must be there whole. */
async function readImages(registry: string, to: string) {
  const tags = new Map<string, string | null>();
  const sizes = new Map<string, number>();
  for (const tag of images.keys()) {
    const answer = await fetch(`http://${registry}/v2/${to}/manifests/${tag}`, {
      headers: {accept: 'application/vnd.oci.image.manifest.v1+json'},
    });
    tags.set(tag, answer.headers.get('docker-content-digest'));
    type Entry = {readonly digest: string; readonly size: number};
    const {layers, config} = (await answer.json()) as {layers: Entry[]; config: Entry};
    for (const {digest, size} of [...layers, config]) {
      const blob = await fetch(`http://${registry}/v2/${to}/blobs/${digest}`);
      expect((await blob.arrayBuffer()).byteLength).toBe(size);
      sizes.set(digest, size);
    }
  }
  return {tags, bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0)};
}

/** Some of the moments of a run of so many requests: all of them would take minutes. */
function moments(requests: number, step: number): readonly Moment[] {
  const whens = ['before', 'during', 'after'] as const;
  return Array.from({length: requests}, (_, at) => at + 1)
    .flatMap((number) => whens.map((when) => ({number, when})))
    .filter((_, at) => at % step === 1);
}

describe('killed at a request to docker-registry', () => {
  let registry: DockerRegistry;
  beforeAll(async () => {
    registry = await startDockerRegistry();
  });
  afterAll(() => registry[Symbol.asyncDispose]());

  // One blob at a time makes the order of requests certain: 23 of them.
  it.concurrent.each(moments(23, 4))('%o, apply completes', async (moment) => {
    const {struck, sentTwice, tags} = await killAndApply(registry.host, moment, ['--jobs', '1']);
    expect(tags).toEqual(images);
    // This registry ends an upload that got bytes which it could not acknowledge: that blob starts anew.
    const isLost = struck === 'PATCH upload' && moment.when !== 'before';
    const allowed = moment.when === 'before' ? 0 : CHUNK;
    expect(sentTwice).toBeLessThanOrEqual(isLost ? SHARED.length : allowed);
  });
});

describe('killed at a request to a registry that tells the offset at any time', () => {
  let registry: Sandbox;
  beforeAll(async () => {
    registry = await startSandbox();
  });
  afterAll(() => registry.close());

  it.concurrent.each(moments(20, 7))(
    '%o, no more than a chunk of each blob is sent again',
    async (moment) => {
      const {sentTwice, tags} = await killAndApply(registry.host, moment, []);
      expect(tags).toEqual(images);
      expect(sentTwice).toBeLessThanOrEqual(3 * CHUNK + 1000);
    },
  );
});
