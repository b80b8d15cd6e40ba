import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {type IncomingMessage, request} from 'node:http';
import {text} from 'node:stream/consumers';

/*
 * Requests that show how GitLab's registry differs from the distribution specification. The same scenario is played
 * against the sandbox (recorded.test.ts) and against GitLab's registry (record-registry.ts).
 */

/** What a client can observe of a response. */
export interface Observed {
  readonly status: number;
  /** The error codes of the body. */
  readonly codes?: readonly string[];
  /** The body of a small response that has no error codes. */
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface RegistryUnderTest {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** The URL of its token service; `root` with the password `sandbox-root` may do everything. */
  readonly realm: string;
  /** A project in which repositories may be created. */
  readonly project: string;
}

const OCI = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const OCTETS = 'application/octet-stream';

const HEADERS = [
  'accept-ranges',
  'allow',
  'cache-control',
  'content-range',
  'content-type',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'gitlab-container-registry-database-enabled',
  'gitlab-container-registry-features',
  'link',
  'location',
  'range',
  'www-authenticate',
];

interface Step {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
  /** Default: a token for everything in the scenario. Empty: none. */
  readonly authorization?: string;
}

/** Plays the scenario in new repositories. @returns the responses by the name of the step */
export async function playScenario({
  host,
  realm,
  project,
}: RegistryUnderTest): Promise<Record<string, Observed>> {
  const run = `run${Date.now()}`;
  const [app, other, none] = [`${project}/${run}`, `${project}/${run}b`, `${project}/${run}none`];
  const token = await requestToken(realm, [app, other, none]);
  const observed: Record<string, Observed> = {};

  const ask = async (method: string, target: string, step: Step = {}) => {
    const {headers = {}, body = '', authorization = `Bearer ${token}`} = step;
    const url = new URL(target, `http://${host}`);
    const sends = body !== '' || ['POST', 'PUT', 'PATCH'].includes(method);
    const isChunked = 'transfer-encoding' in headers;
    const outgoing = request(url, {
      method,
      headers: {
        ...(authorization === '' ? {} : {authorization}),
        ...(sends && !isChunked ? {'content-length': Buffer.byteLength(body)} : {}),
        ...headers,
      },
    });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const {statusCode = 0, headers: fields} = response;
    return {status: statusCode, headers: fields, body: await text(response)};
  };
  const normalized = (value: string) =>
    value
      .replaceAll(realm, 'REALM')
      .replaceAll(host, 'HOST')
      .replaceAll(project, 'PROJECT')
      .replaceAll(run, 'RUN')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
      .replaceAll(/_state=[^&"]+/g, '_state=STATE')
      // Go's maps have no order.
      .replace(/scope="([^"]+)"/, (_, scopes: string) => `scope="${sortedScopes(scopes)}"`);
  /** A request whose response is part of the result. */
  const step = async (name: string, method: string, target: string, options: Step = {}) => {
    const answer = await ask(method, target, options);
    const fields = HEADERS.flatMap((header) => {
      const value = answer.headers[header];
      return value === undefined ? [] : [[header, normalized(String(value))] as const];
    });
    const codes = [...answer.body.matchAll(/"code":"(\w+)"/g)].map(([, code = '']) => code);
    const isShown = codes.length === 0 && answer.body.length <= 200 && method !== 'HEAD';
    observed[name] = {
      status: answer.status,
      ...(codes.length > 0 ? {codes} : {}),
      ...(isShown ? {body: normalized(answer.body.trim())} : {}),
      headers: Object.fromEntries(fields),
    };
    return answer.headers['location'] ?? '';
  };
  const open = async (repository = app) =>
    (await ask('POST', `/v2/${repository}/blobs/uploads/`)).headers['location'] ?? '';
  const push = async (content: string, repository = app) => {
    const digest = sha256(content);
    const headers = {'content-type': OCTETS};
    await ask('PUT', `${await open(repository)}&digest=${digest}`, {headers, body: content});
    return {digest, size: content.length};
  };
  const put = (name: string, reference: string, type: string, document: object | string) => {
    const body = typeof document === 'string' ? document : JSON.stringify(document);
    const headers = type === '' ? {} : {'content-type': type};
    return step(`put ${name}`, 'PUT', `/v2/${app}/manifests/${reference}`, {headers, body});
  };

  // Routes, authorization.
  const anonymous = {authorization: ''};
  await step('base', 'GET', '/v2/');
  await step('base by POST', 'POST', '/v2/');
  await step('base without a token', 'GET', '/v2/', anonymous);
  await step('base with another token', 'GET', '/v2/', {authorization: 'Bearer abc'});
  await step('base with a password', 'GET', '/v2/', {authorization: 'Basic cm9vdDp4'});
  await step('unknown route', 'GET', '/v2/foo');
  await step('unknown route without a token', 'GET', '/foo', anonymous);
  await step('invalid name', 'GET', '/v2/Foo/tags/list');
  await step('tags without a token', 'GET', `/v2/${app}/tags/list`, anonymous);
  await step('tags of another scope', 'GET', '/v2/org/build/other/tags/list');
  await step('push without a token', 'PUT', `/v2/${app}/manifests/x`, anonymous);
  await step('delete without a token', 'DELETE', `/v2/${app}/manifests/x`, anonymous);
  await step('catalog without a token', 'GET', '/v2/_catalog', anonymous);
  const mounts = `/v2/${other}/blobs/uploads/?mount=${sha256('hello')}`;
  await step('mount without a token', 'POST', `${mounts}&from=org/build/x`, anonymous);
  await step('mount from another scope', 'POST', `${mounts}&from=org/build/x`);
  await step('mount from an invalid name', 'POST', `${mounts}&from=Foo`);

  // Repositories that do not exist.
  await step('tags of no repository', 'GET', `/v2/${none}/tags/list`);
  await step('blob of no repository', 'GET', `/v2/${none}/blobs/${sha256('x')}`);
  await step('blob of no repository by HEAD', 'HEAD', `/v2/${none}/blobs/${sha256('x')}`);
  await step('tag of no repository', 'GET', `/v2/${none}/manifests/x`);
  await step('manifest of no repository', 'GET', `/v2/${none}/manifests/${sha256('x')}`);
  await step('delete a tag of no repository', 'DELETE', `/v2/${none}/manifests/x`);
  await step(
    'delete a manifest of no repository',
    'DELETE',
    `/v2/${none}/manifests/${sha256('x')}`,
  );
  await step('delete a blob of no repository', 'DELETE', `/v2/${none}/blobs/${sha256('x')}`);
  await step('blob of an invalid digest', 'GET', `/v2/${app}/blobs/sha256:abc`);
  await step('blob of another algorithm', 'GET', `/v2/${app}/blobs/md5:${'d4'.repeat(16)}`);
  await step('manifest of an invalid tag', 'GET', `/v2/${app}/manifests/.abc`);
  for (const method of ['POST', 'DELETE', 'HEAD'])
    await step(`tags by ${method}`, method, `/v2/${app}/tags/list`);

  // Uploads.
  const chunk = {'content-type': OCTETS};
  const first = await step('open an upload', 'POST', `/v2/${app}/blobs/uploads/`);
  await step('query an upload', 'GET', first);
  await step('query an upload by HEAD', 'HEAD', first);
  const {pathname} = new URL(first, `http://${host}`);
  await step('query without a state', 'GET', pathname);
  await step('query an unknown upload', 'GET', `/v2/${app}/blobs/uploads/abc`);
  await step('chunk without a state', 'PATCH', pathname, {headers: chunk, body: 'abc'});
  const patch = (name: string, target: string, headers: Record<string, string>, body: string) =>
    step(`chunk ${name}`, 'PATCH', target, {headers, body});
  await patch('of another type', first, {'content-type': 'text/plain'}, 'abc');
  await patch('with a unit in its range', first, {...chunk, 'content-range': 'bytes 0-2/3'}, 'abc');
  await patch('of a later start', first, {...chunk, 'content-range': '5-7'}, 'abc');
  const second = await patch(
    'smaller than its range',
    first,
    {...chunk, 'content-range': '0-9'},
    'abc',
  );
  await patch('to an outdated location', first, chunk, 'def');
  const third = await step('query by an outdated location', 'GET', first);
  await step('cancel by an outdated location', 'DELETE', first);
  await patch('to another repository', second.replace(app, other), chunk, 'def');
  const fourth = await patch('without a type', third, {}, 'def');
  const fifth = await patch(
    'of unknown length',
    fourth,
    {...chunk, 'transfer-encoding': 'chunked'},
    'ghi',
  );
  await step('close without a digest', 'PUT', fifth);
  await step('close with an invalid digest', 'PUT', `${fifth}&digest=sha256:abc`);
  await step(
    'close with a range and another type',
    'PUT',
    `${fifth}&digest=${sha256('abcdefghijkl')}`,
    {
      headers: {'content-type': 'text/plain', 'content-range': '77-79'},
      body: 'jkl',
    },
  );
  await step('query a closed upload', 'GET', fifth);
  const wrong = `${await open()}&digest=${sha256('other')}`;
  await step('close with another digest', 'PUT', wrong, {headers: chunk, body: 'abc'});
  const cancelled = await open();
  await step('cancel an upload', 'DELETE', cancelled);
  await step('cancel an upload again', 'DELETE', cancelled);
  await step('open with a digest', 'POST', `/v2/${app}/blobs/uploads/?digest=${sha256('q')}`, {
    headers: chunk,
    body: 'q',
  });
  const sha512 = `sha512:${createHash('sha512').update('abc').digest('hex')}`;
  await step('close with sha512', 'PUT', `${await open()}&digest=${sha512}`, {
    headers: chunk,
    body: 'abc',
  });
  await step('blob by sha512', 'HEAD', `/v2/${app}/blobs/${sha512}`);
  await step('uploads by GET', 'GET', `/v2/${app}/blobs/uploads/`);

  // Mounts.
  const hello = await push('hello');
  const from = `&from=${app}`;
  await step('mount', 'POST', `${mounts}${from}`);
  await step('mount an unknown blob', 'POST', mounts.replace(hello.digest, sha256('no')) + from);
  await step('mount an invalid digest', 'POST', mounts.replace(hello.digest, 'sha256:abc') + from);
  await step('mount without from', 'POST', mounts);

  // Blobs.
  const layerBlob = await push('0123456789');
  const blob = `/v2/${app}/blobs/${layerBlob.digest}`;
  await step('blob', 'GET', blob);
  await step('blob by HEAD', 'HEAD', blob);
  await step('blob by POST', 'POST', blob);
  for (const range of ['bytes=2-5', 'bytes=-3', 'bytes=7-', 'bytes=20-30', 'bytes=5-2'])
    await step(`blob, Range ${range}`, 'GET', blob, {headers: {range}});
  await step('blob, Range by HEAD', 'HEAD', blob, {headers: {range: 'bytes=2-5'}});
  await step('blob, If-None-Match', 'GET', blob, {
    headers: {'if-none-match': `"${layerBlob.digest}"`},
  });
  await step('blob, If-Range of another', 'GET', blob, {
    headers: {range: 'bytes=2-5', 'if-range': '"x"'},
  });
  await step('tags of a repository without tags', 'GET', `/v2/${app}/tags/list`);

  // Manifests.
  const configBlob = await push('{"architecture":"amd64","os":"linux"}');
  const config = {mediaType: 'application/vnd.oci.image.config.v1+json', ...configBlob};
  const layer = {mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layerBlob};
  const image = (more: object = {}) => ({
    schemaVersion: 2,
    mediaType: OCI,
    config,
    layers: [layer],
    ...more,
  });
  const without = (name: string, more: object = {}) =>
    Object.fromEntries(Object.entries(image(more)).filter(([key]) => key !== name));
  const one = JSON.stringify(image());
  await put('an image', 'v1', OCI, one);
  await put('an image by digest', sha256(one), OCI, one);
  await put('an image by another digest', sha256('x'), OCI, one);
  await put('an image with a charset', 'v1', `${OCI}; charset=utf-8`, one);
  for (const type of ['', INDEX, DOCKER, 'application/json', 'application/vnd.foo'])
    await put(`an image as ${type === '' ? 'no type' : type}`, 'v1', type, one);
  await put('an image without mediaType', 'untyped', OCI, without('mediaType'));
  await put('an image of Docker without mediaType', 'v1', DOCKER, without('mediaType'));
  await put('no JSON', 'v1', OCI, 'foo');
  await put('an array', 'v1', OCI, '[]');
  await put('schemaVersion 3', 'v1', OCI, image({schemaVersion: 3}));
  await put('no schemaVersion', 'v1', OCI, without('schemaVersion'));
  await put('no layers', 'empty', OCI, image({layers: []}));
  await put('null layers', 'null', OCI, image({layers: null}));
  await put('a layer of another size', 'size', OCI, image({layers: [{...layer, size: 77}]}));
  const unknown = {...layer, digest: sha256('unknown')};
  await put('unknown blobs', 'v1', OCI, image({layers: [unknown, unknown]}));
  const odd = 'application/vnd.example.odd+json';
  await put('a config of unknown type', 'v1', OCI, image({config: {...config, mediaType: odd}}));
  await put('an unknown artifactType', 'v1', OCI, image({artifactType: odd}));
  await put('a layer of unknown type', 'odd', OCI, image({layers: [{...layer, mediaType: odd}]}));
  const urls = ['https://example.com/x'];
  const nondistributable = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  const elsewhere = (mediaType: string, more: object = {}) => ({
    layers: [{...unknown, mediaType, urls, ...more}],
  });
  await put('a foreign layer', 'v1', OCI, image(elsewhere(nondistributable)));
  await put('a foreign layer of Docker in OCI', 'far', OCI, image(elsewhere(foreign)));
  const dockerConfig = {...config, mediaType: 'application/vnd.docker.container.image.v1+json'};
  const docker = (more: object) => image({mediaType: DOCKER, config: dockerConfig, ...more});
  await put('a foreign layer of Docker', 'v1', DOCKER, docker(elsewhere(foreign)));
  await put('a foreign layer that exists', 'v1', DOCKER, docker(elsewhere(foreign, layerBlob)));
  await put('a foreign layer without urls', 'v1', DOCKER, docker(elsewhere(foreign, {urls: []})));
  const schema1 = 'application/vnd.docker.distribution.manifest.v1';
  const old = {schemaVersion: 1, name: 'x', tag: 'v1', architecture: 'amd64', fsLayers: []};
  await put('schema 1', 'v1', `${schema1}+json`, old);
  await put('signed schema 1', 'v1', `${schema1}+prettyjws`, {...old, signatures: []});
  const artifact = 'application/vnd.oci.artifact.manifest.v1+json';
  await put('an artifact manifest', 'v1', artifact, {mediaType: artifact, blobs: [layer]});
  await put('more than 4 MiB', 'v1', OCI, ' '.repeat(4 * 1024 * 1024 + 1));
  const subject = (digest: string) => ({subject: {mediaType: OCI, digest, size: one.length}});
  await put('an unknown subject', 'v1', OCI, image(subject(sha256('unknown'))));
  await put('a subject', 'referrer', OCI, image(subject(sha256(one))));
  await put('an invalid tag', '.x', OCI, one);
  await put('a tag of 128 characters', 'a'.repeat(128), OCI, one);
  await put('a tag of 129 characters', 'a'.repeat(129), OCI, one);

  // Indexes.
  const platform = {os: 'linux', architecture: 'amd64'};
  const child = {mediaType: OCI, digest: sha256(one), size: one.length, platform};
  const index = (manifests: readonly object[], more: object = {}) => ({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests,
    ...more,
  });
  await put('an index', 'index', INDEX, index([child]));
  await put('an empty index', 'none', INDEX, index([]));
  await put('an index of an unknown child', 'v1', INDEX, index([{...child, digest: sha256('no')}]));
  await put('an index of a blob', 'v1', INDEX, index([layer]));
  const cache = {mediaType: 'application/vnd.buildkit.cacheconfig.v0', ...configBlob};
  await put('a cache of BuildKit', 'cache', INDEX, index([layer, cache]));
  await put('an index of unknown artifactType', 'odds', INDEX, index([child], {artifactType: odd}));
  await put('an index of an unknown subject', 'odds', INDEX, index([child], subject(sha256('no'))));
  const nested = JSON.stringify(index([child]));
  const inner = {mediaType: INDEX, digest: sha256(nested), size: nested.length};
  await put('an index of an index', 'nested', INDEX, index([inner]));
  const two = JSON.stringify(
    docker({layers: [{...layer, mediaType: foreign.replace('foreign.', '')}]}),
  );
  await put('an image of Docker', 'docker', DOCKER, two);
  const dockerChild = {mediaType: DOCKER, digest: sha256(two), size: two.length};
  const list = (architecture: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: LIST,
      manifests: [{...dockerChild, platform: {os: 'linux', architecture}}],
    });
  await put('a list', 'list', LIST, list('amd64'));
  await put('a list for another platform', 'list2', LIST, list('s390x'));

  // Reading manifests.
  const all = [OCI, INDEX, DOCKER, LIST].join(', ');
  for (const tag of ['v1', 'untyped', 'index', 'docker', 'list', 'list2', 'cache', 'unknown']) {
    for (const [name, accept] of [
      ['nothing', undefined],
      ['everything', '*/*'],
      ['all types', all],
      ['Docker', DOCKER],
      ['OCI in upper case', OCI.toUpperCase()],
    ] as const) {
      const headers = accept === undefined ? {} : {accept};
      await step(`get ${tag}, accept ${name}`, 'GET', `/v2/${app}/manifests/${tag}`, {headers});
    }
  }
  const manifest = `/v2/${app}/manifests/${sha256(one)}`;
  await step('get, two Accept headers', 'GET', manifest, {headers: {accept: [DOCKER, OCI]}});
  await step('get, by HEAD', 'HEAD', manifest, {headers: {accept: OCI}});
  await step('get a list by digest', 'GET', `/v2/${app}/manifests/${sha256(list('amd64'))}`, {
    headers: {accept: DOCKER},
  });
  for (const [name, etag] of [
    ['quoted', `"${sha256(one)}"`],
    ['unquoted', sha256(one)],
  ] as const) {
    const headers = {accept: OCI, 'if-none-match': etag};
    await step(`get, If-None-Match ${name}`, 'GET', manifest, {headers});
  }
  await step('manifest by PATCH', 'PATCH', manifest);
  await step('referrers', 'GET', `/v2/${app}/referrers/${sha256(one)}`);

  // Lists.
  for (const query of ['n=2', 'n=0', 'n=-1', 'n=abc', 'n=2&last=index', 'n=1001', 'last=zzz'])
    await step(`tags, ${query}`, 'GET', `/v2/${app}/tags/list?${query}`);
  await step('catalog, n=1001', 'GET', '/v2/_catalog?n=1001');
  await push('0123456789', other);
  await push('{"architecture":"amd64","os":"linux"}', other);
  for (const tag of ['B', 'a', '_x', '1', 'Z.9', 'a-b', 'a_b', 'a.b', 'ab']) {
    const headers = {'content-type': OCI};
    await ask('PUT', `/v2/${other}/manifests/${tag}`, {headers, body: one});
  }
  await step('tags in order', 'GET', `/v2/${other}/tags/list`);
  await step('tags in order, n=3&last=a', 'GET', `/v2/${other}/tags/list?n=3&last=a`);

  // GitLab's extension.
  const v1 = `/gitlab/v1/repositories/${app}`;
  await step('extension', 'GET', '/gitlab/v1/');
  await step('extension without a token', 'GET', '/gitlab/v1/', anonymous);
  await step('extension, unknown route', 'GET', '/gitlab/v1/foo');
  await step('extension, no repository', 'GET', `/gitlab/v1/repositories/${none}/`);
  await step(
    'extension, tags of no repository',
    'GET',
    `/gitlab/v1/repositories/${none}/tags/list/`,
  );
  for (const query of ['n=2', 'n=0', 'n=1001', 'n=abc', 'n=2&last=index'])
    await step(`extension, tags, ${query}`, 'GET', `${v1}/tags/list/?${query}`);
  await step('extension, rename', 'PATCH', `${v1}/`, {body: '{"name":"x"}'});
  await step('extension, by POST', 'POST', `${v1}/`);

  // Deletion.
  await step('delete a blob in use', 'DELETE', blob);
  await step('delete a blob again', 'DELETE', blob);
  await step('read a deleted blob', 'HEAD', blob);
  await step('delete a child of an index', 'DELETE', manifest);
  await step('delete a tag', 'DELETE', `/v2/${app}/manifests/list`);
  await step('delete a tag again', 'DELETE', `/v2/${app}/manifests/list`);
  await ask('DELETE', `/v2/${app}/manifests/list2`);
  await step('delete a child of untagged lists', 'DELETE', `/v2/${app}/manifests/${sha256(two)}`);
  await step('delete an unknown manifest', 'DELETE', `/v2/${app}/manifests/${sha256('unknown')}`);
  await step('tags in the end', 'GET', `/v2/${app}/tags/list`);
  return observed;
}

function sortedScopes(scopes: string): string {
  return scopes
    .split(' ')
    .map((scope) => scope.replace(/[^:]+$/, (actions) => actions.split(',').sort().join(',')))
    .sort()
    .join(' ');
}

async function requestToken(realm: string, repositories: readonly string[]): Promise<string> {
  const query = new URLSearchParams({service: 'container_registry'});
  for (const name of repositories) query.append('scope', `repository:${name}:pull,push,delete`);
  query.append('scope', 'registry:catalog:*');
  const basic = Buffer.from('root:sandbox-root').toString('base64');
  const response = await fetch(`${realm}?${query.toString()}`, {
    headers: {authorization: `Basic ${basic}`},
  });
  return ((await response.json()) as {token: string}).token;
}

function sha256(content: string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
