import {mkdir, writeFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {type HttpServer, sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {sha256} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const REF_NAME = 'org.opencontainers.image.ref.name';
const cleanup = new AsyncDisposableStack();
let destination: Sandbox;

beforeAll(async () => {
  destination = cleanup.use(await startSandbox());
});
afterAll(() => cleanup.disposeAsync());

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Manifests by digest, as a registry or a layout holds them. */
class Content {
  readonly bytes = new Map<string, string>();

  index(manifests: readonly Entry[], more: object = {}): Entry {
    const bytes = JSON.stringify({schemaVersion: 2, mediaType: INDEX, manifests, ...more});
    const digest = sha256(bytes);
    this.bytes.set(digest, bytes);
    return {mediaType: INDEX, digest, size: bytes.length};
  }

  /** Indexes, each of which lists the one before, and on what level it is. */
  nested(levels: number, last = this.index([])): Entry {
    let entry = last;
    for (let level = 0; level < levels; level++) entry = this.index([entry], {level});
    return entry;
  }
}

type Referrers = (subject: string, response: ServerResponse) => void;

/** A registry that has nothing but the content, and these tags. */
function serve(
  content: Content,
  tags: Readonly<Record<string, Entry>>,
  referrers: Referrers = (_subject, response) => sendError(response, 404, 'NOT_FOUND'),
): Promise<HttpServer> {
  return startHttpServer(({url}, response) => {
    const [, kind = '', reference = ''] = /^\/v2\/app\/(\w+)\/(.+)$/.exec(url.pathname) ?? [];
    if (kind === 'tags') return sendJson(response, 200, {tags: Object.keys(tags)});
    if (kind === 'referrers') return referrers(reference, response);
    if (kind === '') return sendJson(response, 200, {});
    const digest = tags[reference]?.digest ?? reference;
    const bytes = content.bytes.get(digest);
    if (bytes === undefined) return sendError(response, 404, 'MANIFEST_UNKNOWN');
    response.writeHead(200, {'content-type': INDEX, 'docker-content-digest': digest}).end(bytes);
  });
}

let count = 0;
const copy = (from: string) =>
  transship(['copy', from, `${destination.host}/to/r${++count}`, '--progress', 'none']);

describe('indexes inside each other', () => {
  test('are copied up to 32 levels', async () => {
    const content = new Content();
    await using source = await serve(content, {deep: content.nested(32)});
    expect((await copy(`${source.host}/app:deep`)).code).toBe(0);
  });

  test.each([33, 3000])('on %i levels are an error, found after few requests', async (levels) => {
    const content = new Content();
    await using source = await serve(content, {deep: content.nested(levels)});
    const error = toldError(await copy(`${source.host}/app:deep`));
    expect(error).toMatchObject({code: 'MANIFEST_INVALID', exit: 1, side: 'the source'});
    expect(error.message).toContain('nested deeper than 32 levels');
    expect(source.requests.length).toBeLessThan(50);
  });

  test('are found whatever was read before, and keep no other image back', async () => {
    const content = new Content();
    const half = content.nested(20);
    const tags = {half, whole: content.nested(20, half), other: content.nested(1)};
    await using source = await serve(content, tags);
    const place = `${destination.host}/to/others`;
    const run = await transship(['copy', `${source.host}/app`, place]);
    // An image that no filter excluded is left out.
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^note: .*app:whole .*nested deeper than 32 levels/m);
    expect(run.stdout).toContain('2 images copied');
  });

  test('in a layout are bounded likewise', async () => {
    const content = new Content();
    const entries = [
      {...content.nested(300), annotations: {[REF_NAME]: 'deep'}},
      {...content.nested(1), annotations: {[REF_NAME]: 'good'}},
    ];
    await using temp = await tempDirectory();
    await mkdir(temp.join('blobs', 'sha256'), {recursive: true});
    for (const [digest, bytes] of content.bytes)
      await writeFile(temp.join('blobs', 'sha256', digest.slice('sha256:'.length)), bytes);
    await writeFile(temp.join('oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const index = {schemaVersion: 2, manifests: entries};
    await writeFile(temp.join('index.json'), JSON.stringify(index));
    const error = toldError(await copy(`oci:${temp.path}:deep`));
    expect(error).toMatchObject({code: 'MANIFEST_INVALID', exit: 1});
    const run = await copy(`oci:${temp.path}`);
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('1 image copied');
  });

  test('that list each other many times do not multiply where tags are deleted', async () => {
    const content = new Content();
    let level = [content.index([])];
    for (let depth = 0; depth < 10; depth++)
      level = Array.from({length: 10}, (_, at) => content.index(level, {at, depth}));
    await using source = await serve(content, {top: content.index(level)});
    const run = await transship(['plan', 'delete', `${source.host}/app`, '--tag', '*']);
    expect(run).toMatchObject({code: 0});
    expect(source.requests.length).toBeLessThan(300);
  });

  test('that list each other many times are read once each', async () => {
    const content = new Content();
    let pair = [content.index([], {n: 0}), content.index([], {n: 1})];
    for (let level = 0; level < 30; level++)
      pair = [0, 1].map((n) => content.index(pair, {level, n}));
    await using source = await serve(content, {wide: content.index(pair)});
    const place = `${destination.host}/to/wide`;
    expect((await transship(['copy', `${source.host}/app`, place])).code).toBe(0);
    // Once more, where all of it is found there below another tag.
    const again = await transship(['copy', `${source.host}/app:wide`, `${place}:other`]);
    expect(again.code).toBe(0);
  });
});

test('an image with more manifests than 16 MiB is an error', async () => {
  const content = new Content();
  const children = Array.from({length: 7}, (_, n) =>
    content.index([], {n, annotations: {padding: ' '.repeat(3 * 2 ** 20)}}),
  );
  await using source = await serve(content, {large: content.index(children)});
  const error = toldError(await copy(`${source.host}/app:large`));
  expect(error).toMatchObject({code: 'MANIFEST_TOO_LARGE', exit: 1, side: 'the source'});
});

/** Each subject has so many of its own, of so many bytes. */
function referrersOf(content: Content, each: number, size: number): Referrers {
  const annotations = {padding: ' '.repeat(size)};
  return (digest, response) => {
    const subject = {mediaType: INDEX, digest, size: 1};
    const manifests = Array.from({length: each}, (_, n) =>
      content.index([], {n, subject, annotations}),
    );
    sendJson(response, 200, {schemaVersion: 2, mediaType: INDEX, manifests});
  };
}

describe('referrers without end', () => {
  test.each([
    ['a chain', 1, 1, 'referrers nested deeper than 32 levels'],
    ['a tree', 8, 600_000, 'has more manifests than the limit'],
  ])('in %s are an error', async (_what, each, size, message) => {
    const content = new Content();
    const tags = {one: content.index([], {n: 1}), two: content.index([], {n: 2})};
    await using source = await serve(content, tags, referrersOf(content, each, size));
    const run = await copy(`${source.host}/app`);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(new RegExp(`error: .*${message}.* .RESPONSE_INVALID`));
  });
});

test('more layers than a plan may have are an error, with few images read', async () => {
  const each = 30_000;
  const content = new Content();
  const tags = Object.fromEntries(
    Array.from({length: 8}, (_, tag) => {
      const layers = Array.from({length: each}, (__, n) => ({
        mediaType: 'l',
        digest: `sha256:${(tag * each + n).toString(16).padStart(64, '0')}`,
        size: 1,
      }));
      return [`t${tag}`, content.index(layers)];
    }),
  );
  await using source = await serve(content, tags);
  const run = await copy(`${source.host}/app`);
  expect(toldError(run)).toMatchObject({code: 'RESPONSE_INVALID', exit: 1, side: 'the source'});
  expect(run.stderr).toContain('more than 150000 manifests and layers');
});

const manifestsRead = ({requests}: HttpServer) =>
  requests.filter(({method, url}) => method === 'GET' && url.pathname.includes('/manifests/'));

describe('manifests of more bytes than are kept in memory', () => {
  const content = new Content();
  const tags = Object.fromEntries(
    Array.from({length: 8}, (_, n) => [
      `t${n}`,
      content.index([], {n, annotations: {padding: ' '.repeat(2 ** 20)}}),
    ]),
  );
  test('are read from the source once, and then from the cache', async () => {
    await using source = await serve(content, tags);
    await using home = await tempDirectory();
    const places = [`${source.host}/app`, `${destination.host}/to/cached`];
    const run = await transship(['copy', ...places], {home: home.path});
    expect(run.stdout).toContain('8 images copied');
    expect(manifestsRead(source)).toHaveLength(8);
  });

  test('are read again where nothing may be kept', async () => {
    await using source = await serve(content, tags);
    const place = `${destination.host}/to/uncached`;
    const run = await transship(['copy', `${source.host}/app`, place, '--no-cache']);
    expect(run.stdout).toContain('8 images copied');
    expect(manifestsRead(source).length).toBeGreaterThan(8);
  });
});

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

describe('JSON that is nested deep', () => {
  test('in an index is an error', async () => {
    const content = new Content();
    const bytes = `{"schemaVersion":2,"mediaType":"${INDEX}","manifests":[],"x":${deep(10 ** 6)}}`;
    content.bytes.set(sha256(bytes), bytes);
    const tags = {deep: {mediaType: INDEX, digest: sha256(bytes), size: bytes.length}};
    await using source = await serve(content, tags);
    const error = toldError(await copy(`${source.host}/app:deep`));
    expect(error).toMatchObject({code: 'MANIFEST_INVALID', exit: 1, side: 'the source'});
    expect(error.message).toContain('nested deeper than 100 levels');
  });

  test('in the message of a refusal is not printed', async () => {
    await using source = await startHttpServer((_request, response) => {
      response.writeHead(403, {'content-type': 'application/json'});
      response.end(`{"errors":[{"code":"DENIED","detail":${deep(20_000)}}]}`);
    });
    const error = toldError(await copy(`${source.host}/app:1`));
    expect(error).toMatchObject({code: 'FORBIDDEN', exit: 1, side: 'the source'});
  });
});
