import {randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {type HttpServer, startHttpServer} from '../support/http-server.ts';
import {OCI_INDEX_TYPE, put, pushImage, sha256} from '../support/push-image.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
const ORDINARY = 'application/vnd.oci.image.layer.v1.tar+gzip';
/** A tar of nothing, compressed, and bytes that a reader ignores after it. */
const LAYER = gzipSync(Buffer.concat([Buffer.alloc(1024), randomBytes(400_000)]));

const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
/** As installed: it refuses layers with URLs. */
let strict: DockerRegistry;
let lenient: DockerRegistry;
/** Where the layer is. */
let vendor: HttpServer;
let temp: TempDirectory;
let cutOnce = false;
let index: string;
let image: {readonly digest: string; readonly bytes: string};

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startDockerRegistry({foreignUrls: true}));
  strict = cleanup.use(await startDockerRegistry());
  lenient = cleanup.use(await startDockerRegistry({foreignUrls: true}));
  vendor = cleanup.use(
    await startHttpServer(({url, headers}, response) => {
      if (url.pathname !== '/layer') {
        response.writeHead(404).end();
        return;
      }
      const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
      const range = `bytes ${from}-${LAYER.length - 1}/${LAYER.length}`;
      const status = headers.range === undefined ? 200 : 206;
      response.writeHead(status, {
        'content-length': LAYER.length - from,
        ...(status === 206 ? {'content-range': range} : {}),
      });
      if (cutOnce) response.write(LAYER.subarray(from, from + 100_000), () => response.destroy());
      else response.end(LAYER.subarray(from));
      cutOnce = false;
    }),
  );
  await pushWindows();
});
beforeEach(() => {
  cutOnce = false;
});
afterAll(() => cleanup.disposeAsync());

/** An index of an image for Linux and one for Windows, whose base layer is at the vendor only. */
async function pushWindows(urls = [`${vendor.url}/gone`, `${vendor.url}/layer`], tag = 'v1') {
  const linux = await pushImage(source.url, 'app', `linux-${tag}`);
  const base = {mediaType: FOREIGN, digest: sha256(LAYER), size: LAYER.length, urls};
  const {config, layers} = JSON.parse(linux.bytes) as {config: object; layers: object[]};
  const bytes = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE_TYPE,
    config,
    layers: [base, ...layers],
    annotations: {kept: 'yes'},
  });
  image = {digest: sha256(bytes), bytes};
  await put(`${source.url}/v2/app/manifests/${image.digest}`, IMAGE_TYPE, bytes);
  const all = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_INDEX_TYPE,
    manifests: [
      {...described(linux), platform: {os: 'linux', architecture: 'amd64'}},
      {
        ...described(image),
        platform: {os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1'},
      },
    ],
  });
  await put(`${source.url}/v2/app/manifests/${tag}`, OCI_INDEX_TYPE, all);
  index = sha256(all);
}

function described({digest, bytes}: {readonly digest: string; readonly bytes: string}) {
  return {mediaType: IMAGE_TYPE, digest, size: bytes.length};
}

function copy(to: DockerRegistry, repository: string, ...flags: readonly string[]) {
  const args = ['copy', `${source.host}/app:v1`, `${to.host}/${repository}`];
  return transship([...args, '--allow-unsafe-redirects', vendor.host, ...flags]);
}

async function fetched({url}: DockerRegistry, path: string): Promise<Buffer> {
  const accept = `${IMAGE_TYPE}, ${OCI_INDEX_TYPE}`;
  const answer = await fetch(`${url}/v2/${path}`, {headers: {accept}});
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

function short(digest = ''): string {
  return digest.slice(0, 19);
}

describe('a foreign layer', () => {
  test('is not copied unless requested', async () => {
    const plan = await transship(['plan', 'copy', `${source.host}/app:v1`, `${lenient.host}/left`]);
    expect(plan.stdout).toContain('only at the URLs in the manifest');
    expect(plan.stdout).toContain('--include-foreign');
    expect(await copy(lenient, 'left')).toMatchObject({code: 0});
    expect((await fetch(`${lenient.url}/v2/left/blobs/${sha256(LAYER)}`)).status).toBe(404);
  });

  test('is copied from its URLs, which get no credentials, and the manifest stays as it is', async () => {
    cutOnce = true;
    const before = vendor.requests.length;
    expect(await copy(lenient, 'all/app', '--include-foreign')).toMatchObject({code: 0});
    expect(sha256(await fetched(lenient, 'all/app/manifests/v1'))).toBe(index);
    const layer = await fetched(lenient, `all/app/blobs/${sha256(LAYER)}`);
    expect(layer.equals(LAYER)).toBe(true);
    const asked = vendor.requests.slice(before);
    expect(asked.filter(({headers}) => 'authorization' in headers)).toEqual([]);
    // The first of them was cut, and is continued.
    const ranges = asked.map(({headers}) => headers.range ?? '');
    expect(ranges).toContainEqual(expect.stringMatching(/^bytes=[1-9]/));
  });

  test('is copied from its URLs by a plan on another machine', async () => {
    const plan = temp.join('away.plan.json');
    const places = [`${source.host}/app:v1`, `${lenient.host}/away/app`];
    const made = await transship(['plan', 'copy', ...places, '--include-foreign', '--out', plan]);
    expect(made).toMatchObject({code: 0});
    expect(made.stdout).toContain(`read from ${vendor.host}, which only the manifest names`);
    const elsewhere = {home: temp.join('elsewhere')};
    const refused = await transship(['apply', plan], elsewhere);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('[REDIRECT_REFUSED]');
    const run = await transship(
      ['apply', plan, '--allow-unsafe-redirects', vendor.host],
      elsewhere,
    );
    expect(run).toMatchObject({code: 0});
    const layer = await fetched(lenient, `away/app/blobs/${sha256(LAYER)}`);
    expect(layer.equals(LAYER)).toBe(true);
  });

  test('at a private address is not read without a flag', async () => {
    const args = ['copy', `${source.host}/app:v1`, `${lenient.host}/private`, '--include-foreign'];
    const before = vendor.requests.length;
    const run = await transship(args);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('[REDIRECT_REFUSED]');
    expect(run.stderr).toContain(`--allow-unsafe-redirects ${vendor.host}`);
    expect(vendor.requests).toHaveLength(before);
  });

  test('whose manifest the registry refuses: says what would change', async () => {
    const run = await copy(strict, 'refused', '--include-foreign');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('--convert-foreign');
    expect(run.stderr).toContain(image.digest);
  });

  test('becomes an ordinary layer; annotations name the original', async () => {
    const places = [`${source.host}/app:v1`, `${strict.host}/made/app`];
    const plan = await transship(['plan', 'copy', ...places, '--convert-foreign']);
    expect(await copy(strict, 'made/app', '--convert-foreign')).toMatchObject({code: 0});

    const bytes = await fetched(strict, 'made/app/manifests/v1');
    const {manifests} = JSON.parse(bytes.toString()) as {
      manifests: {digest: string; size: number; platform: {os: string}}[];
    };
    const [linux, windows] = manifests;
    const child = await fetched(strict, `made/app/manifests/${windows?.digest}`);
    expect(windows).toMatchObject({size: child.length, platform: {'os.version': '10.0.17763.1'}});
    const {layers, annotations} = JSON.parse(child.toString()) as {
      layers: {mediaType: string; digest: string; urls?: unknown}[];
      annotations: object;
    };
    expect(layers[0]).toEqual({mediaType: ORDINARY, digest: sha256(LAYER), size: LAYER.length});
    expect(annotations).toEqual({kept: 'yes'});
    expect(linux?.digest).toBe((await pushImage(source.url, 'app', 'same')).digest);
    const layer = await fetched(strict, `made/app/blobs/${sha256(LAYER)}`);
    expect(layer.equals(LAYER)).toBe(true);

    expect(plan.stdout).toContain(
      `made/app:v1 gets ${short(sha256(bytes))} instead of ${short(index)}: foreign layers become ordinary layers (${short(image.digest)} becomes ${short(windows?.digest)})`,
    );
    const read = await skopeo([
      'copy',
      '--all',
      '--src-tls-verify=false',
      `docker://${strict.host}/made/app:v1`,
      `dir:${temp.join('read')}`,
    ]);
    expect(read).toMatchObject({code: 0});
    const again = await copy(strict, 'made/app', '--convert-foreign');
    expect(again.stdout).toMatch(/1 already there|nothing to do/);
  });

  test('of one platform is converted without the others', async () => {
    const flags = ['--convert-foreign', '--platform', 'windows/amd64'];
    expect(await copy(strict, 'one/app', ...flags)).toMatchObject({code: 0});
    const {layers} = JSON.parse((await fetched(strict, 'one/app/manifests/v1')).toString()) as {
      layers: {mediaType: string}[];
    };
    expect(layers[0]?.mediaType).toBe(ORDINARY);
  });
});
