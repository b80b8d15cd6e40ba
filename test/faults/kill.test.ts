import {COMPILE_CACHE, MAIN} from '../support/cli.ts';
import {randomUUID} from 'node:crypto';
import {afterAll, describe, expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {type Forwarded, type Forwarder, type Moment, startForwarder} from '../support/forwarder.ts';
import {type ProgramResult, runProgram} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const KiB = 1024;

/** Two images with the first layer in common: 4, 3 and 2 chunks. */
interface Images {
  readonly repository: RepositoryPath;
  readonly chunk: number;
  readonly tags: ReadonlyMap<string, Digest>;
}

/** Where images go, and how. */
interface Route {
  readonly images: Images;
  /** `127.0.0.1:PORT` */
  readonly registry: string;
  readonly flags: readonly string[];
}

type Side = 'source' | 'destination';

// What stands at the top is needed to know which tests there are.
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
const temp = cleanup.use(await tempDirectory());
const source = cleanup.use(await startSandbox());
const docker = cleanup.use(await startDockerRegistry());
const sandbox = cleanup.use(await startSandbox());

async function storeImages(chunk: number): Promise<Images> {
  const repository = `from/${chunk}` as RepositoryPath;
  const image = (tag: string, layers: readonly Uint8Array[]) =>
    storeImage(source.storage, repository, tag, layers);
  const shared = someBytes(3 * chunk + 100);
  const tags = new Map([
    ['one', await image('one', [shared, someBytes(2 * chunk + 7)])],
    ['two', await image('two', [shared, someBytes(chunk + 1)])],
  ]);
  return {repository, chunk, tags};
}

/**
 * A plan to copy the images to a repository of its own, with a forwarder before each registry, which has seen nothing.
 */
async function startCopy({images, registry, flags}: Route) {
  const stack = new AsyncDisposableStack();
  const forwarders: Readonly<Record<Side, Forwarder>> = {
    source: stack.use(await startForwarder(source.host)),
    destination: stack.use(await startForwarder(registry)),
  };
  const to = `to/${randomUUID()}`;
  const plan = temp.join(`${to.slice(3)}.json`);
  const places = [
    `${forwarders.source.host}/${images.repository}`,
    `${forwarders.destination.host}/${to}`,
  ];
  const home = temp.join('home');
  const planned = await transship(['plan', 'copy', ...places, '--out', plan], {home});
  endedWith(0, planned);
  forwarders.source.forget();
  forwarders.destination.forget();
  const apply = ['apply', plan, '--chunk-size', String(images.chunk), '--progress', 'none'];
  const args = [...apply, ...flags];
  const env = {HOME: home, ...COMPILE_CACHE};
  return {
    forwarders,
    to,
    run: (onStart?: (kill: () => void) => void) =>
      runProgram(process.execPath, [MAIN, ...args], {
        env,
        onStart: ({kill}) => onStart?.(() => kill('SIGKILL')),
      }),
    again: () => transship(args, {home}),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** @throws Error with what the program had to say */
function endedWith(wanted: number, {code, stderr}: ProgramResult): void {
  if (code !== wanted) throw new Error(`it ended with ${code} and not with ${wanted}: ${stderr}`);
}

/** What a run that nothing disturbs asks of either side. */
async function undisturbed(route: Route): Promise<Readonly<Record<Side, readonly Forwarded[]>>> {
  await using copy = await startCopy(route);
  endedWith(0, await copy.run());
  const {source: from, destination: to} = copy.forwarders;
  return {source: from.requests, destination: to.requests};
}

/** Each n-th moment of these requests; `TRANSSHIP_KILL_POINTS=all` tries each (npm run test:kills). */
function momentsOf(requests: readonly Forwarded[], n: number): readonly Moment[] {
  const step = process.env['TRANSSHIP_KILL_POINTS'] === 'all' ? 1 : n;
  const bodies = requests.filter(({hasBody}) => hasBody);
  return [
    ...requests.map((_, at): Moment => ({number: at + 1, when: 'before'})),
    ...bodies.map((_, at): Moment => ({number: at + 1, when: 'during'})),
    ...requests.map((_, at): Moment => ({number: at + 1, when: 'after'})),
  ].filter((_, at) => at % step === 0);
}

/** Kills the run at a moment of the traffic with one side, applies again, and looks at what came of it. */
async function killAndApply(route: Route, side: Side, moment: Moment) {
  await using copy = await startCopy(route);
  const {destination} = copy.forwarders;
  let struck: Forwarded | undefined;
  const killed = await copy.run((kill) =>
    copy.forwarders[side].at(moment, async (request) => {
      struck = request;
      kill();
    }),
  );
  endedWith(137, killed);
  expect(struck).toBeDefined();
  await destination.idle();
  const {requests} = destination;
  copy.forwarders.source.forget();
  destination.forget();
  endedWith(0, await copy.again());
  const {tags, bytes} = await readImages(route, copy.to);
  expect(tags).toEqual(route.images.tags);
  const sentTwice = bytesOf(uploadsIn([...requests, ...destination.requests])) - bytes;
  return {sentTwice, uploads: uploadsIn(requests)};
}

/** The requests to each upload. */
function uploadsIn(requests: readonly Forwarded[]): readonly (readonly Forwarded[])[] {
  const uploads = requests.filter(({path}) => path.includes('/blobs/uploads/'));
  return [...Map.groupBy(uploads, ({path}) => path.replace(/\?.*/, '')).values()];
}

function bytesOf(uploads: readonly (readonly Forwarded[])[]): number {
  return uploads.flat().reduce((sum, {sent}) => sum + sent, 0);
}

/** The run may not have learnt what came of the last request to each upload: what that has sent may be sent again. */
function inDoubt(uploads: readonly (readonly Forwarded[])[]): readonly (readonly Forwarded[])[] {
  return uploads.map((upload) => upload.slice(-1));
}

/** What the tags point to, and the bytes of all blobs, which must be there whole. */
async function readImages({images, registry}: Route, to: string) {
  const tags = new Map<string, string | null>();
  const sizes = new Map<string, number>();
  for (const tag of images.tags.keys()) {
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

const small = await storeImages(16 * KiB);
/** Chunks of more than 256 KiB wait in a lane of their own (`LARGE_BODY` in src/http/request.ts). */
const large = await storeImages(512 * KiB);
const oneByOne = ['--jobs', '1'];

describe('killed at a request to docker-registry', async () => {
  const route = {images: small, registry: docker.host, flags: oneByOne};
  const {destination} = await undisturbed(route);

  it.concurrent.each(momentsOf(destination, 4))('$when request $number', async (moment) => {
    const {sentTwice, uploads} = await killAndApply(route, 'destination', moment);
    // This registry ends an upload that got bytes which it could not acknowledge: that blob starts anew.
    const ended = uploads.filter((upload) => (upload.at(-1)?.sent ?? 0) > 0);
    expect(sentTwice).toBeLessThanOrEqual(bytesOf(ended));
  });
});

describe('killed at a request to the source of a copy to docker-registry', async () => {
  const route = {images: large, registry: docker.host, flags: oneByOne};
  const requests = await undisturbed(route);

  it.concurrent.each(momentsOf(requests.source, 6))('$when request $number', async (moment) => {
    const {sentTwice, uploads} = await killAndApply(route, 'source', moment);
    const ended = uploads.filter((upload) => (upload.at(-1)?.sent ?? 0) > 0);
    expect(sentTwice).toBeLessThanOrEqual(bytesOf(ended));
  });
});

describe('killed at a request to a registry that reports offsets', async () => {
  const route = {images: large, registry: sandbox.host, flags: []};
  const {destination} = await undisturbed(route);

  it.concurrent.each(momentsOf(destination, 7))(
    '$when request $number, no more than a chunk of each blob is sent again',
    async (moment) => {
      const {sentTwice, uploads} = await killAndApply(route, 'destination', moment);
      expect(sentTwice).toBeLessThanOrEqual(bytesOf(inDoubt(uploads)));
    },
  );
});
