import type {ServerResponse} from 'node:http';
import {type HttpServer, sendJson, startHttpServer} from '../support/http-server.ts';
import {sha256} from '../support/push-image.ts';
import {HOSTILE_WORDS, LONG_WORD} from './hostile-words.ts';

const OCI = 'application/vnd.oci.image';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Content by digest, as a registry or a layout holds it. */
export class Content {
  readonly bytes = new Map<string, Uint8Array>();
  readonly types = new Map<string, string>();

  put(bytes: Uint8Array | string, mediaType: string): Entry {
    const buffer = Buffer.from(bytes);
    const digest = sha256(buffer);
    this.bytes.set(digest, buffer);
    this.types.set(digest, mediaType);
    return {mediaType, digest, size: buffer.byteLength};
  }

  json(value: object, mediaType: string): Entry {
    return this.put(JSON.stringify(value), mediaType);
  }

  image(layers: readonly Entry[], more: object = {}, config: object = {}): Entry {
    const configEntry = this.json(
      {architecture: 'amd64', os: 'linux', ...config},
      `${OCI}.config.v1+json`,
    );
    return this.json(
      {
        schemaVersion: 2,
        mediaType: `${OCI}.manifest.v1+json`,
        config: configEntry,
        layers,
        ...more,
      },
      `${OCI}.manifest.v1+json`,
    );
  }

  layer(text: string): Entry {
    return this.put(text, `${OCI}.layer.v1.tar`);
  }

  index(manifests: readonly object[], more: object = {}): Entry {
    return this.json(
      {schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests, ...more},
      `${OCI}.index.v1+json`,
    );
  }
}

export interface Registry {
  readonly content: Content;
  /** By repository. */
  readonly repositories: Readonly<Record<string, Readonly<Record<string, Entry>>>>;
  readonly referrers?: (subject: string, response: ServerResponse) => void;
  /** Answers instead, and says so. */
  readonly instead?: (method: string, path: string, response: ServerResponse) => boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A registry to read from. */
export async function serveRegistry({
  content,
  repositories,
  referrers,
  instead,
  headers = {},
}: Registry): Promise<HttpServer> {
  return await startHttpServer(({method, url}, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (instead?.(method, url.pathname + url.search, response) === true) return;
    const missing = (code: string) => sendJson(response, 404, {errors: [{code, message: code}]});
    if (url.pathname === '/v2/') return sendJson(response, 200, {});
    if (url.pathname === '/v2/_catalog')
      return sendJson(response, 200, {repositories: Object.keys(repositories)});
    const [, path = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(tags|manifests|blobs|referrers)\/(.+)$/.exec(url.pathname) ?? [];
    const tags = repositories[path];
    if (tags === undefined) return missing('NAME_UNKNOWN');
    if (kind === 'tags') return sendJson(response, 200, {name: path, tags: Object.keys(tags)});
    if (kind === 'referrers')
      return referrers ? referrers(reference, response) : missing('NOT_FOUND');
    const digest = tags[reference]?.digest ?? reference;
    const bytes = content.bytes.get(digest);
    if (bytes === undefined) return missing('MANIFEST_UNKNOWN');
    response.writeHead(200, {
      'content-type':
        kind === 'blobs' ? 'application/octet-stream' : (content.types.get(digest) ?? ''),
      'content-length': bytes.byteLength,
      'docker-content-digest': digest,
    });
    response.end(method === 'HEAD' ? undefined : bytes);
  });
}

/** A registry with one good image, and hostile words wherever a registry has words. */
export async function serveHostileWords(): Promise<HttpServer> {
  const content = new Content();
  const words = Object.fromEntries(HOSTILE_WORDS.map((word, at) => [`${word}${at}`, word]));
  const layer = {...content.layer('layer'), annotations: words};
  const image = content.image(
    [layer],
    {annotations: words},
    {
      created: '2020-01-01T00:00:00Z',
      author: HOSTILE_WORDS.join(' '),
      history: HOSTILE_WORDS.map((word) => ({created_by: word, comment: word})),
      config: {Labels: words, Env: HOSTILE_WORDS},
    },
  );
  const platforms = HOSTILE_WORDS.map((word) => ({
    ...content.image([content.layer(word)]),
    platform: {os: word, architecture: word, variant: word, 'os.version': word},
    annotations: words,
  }));
  const index = content.index([
    {...image, platform: {os: 'linux', architecture: 'amd64'}},
    ...platforms,
  ]);
  const odd = HOSTILE_WORDS.map((word) =>
    content.image([content.layer(`odd ${word}`)], {artifactType: word}),
  );
  const typed = HOSTILE_WORDS.map((word) =>
    content.json({schemaVersion: 2, mediaType: word}, 'text/x'),
  );
  const broken = content.put(`{"${HOSTILE_WORDS.join()}`, `${OCI}.manifest.v1+json`);
  const tags: Record<string, Entry> = {good: image, index, broken};
  for (const [at, entry] of [...odd, ...typed].entries()) tags[`odd-${at}`] = entry;
  for (const word of [...HOSTILE_WORDS, LONG_WORD, '../../etc', '-rf', '', '%2e%2e'])
    tags[word] = image;
  return await serveRegistry({
    content,
    repositories: {
      app: tags,
      ...Object.fromEntries(HOSTILE_WORDS.map((word) => [`app/${word}`, tags])),
    },
    referrers: (subject, response) =>
      sendJson(response, 200, {
        schemaVersion: 2,
        mediaType: `${OCI}.index.v1+json`,
        manifests:
          subject === image.digest
            ? odd.map((entry, at) => ({
                ...entry,
                artifactType: HOSTILE_WORDS[at],
                annotations: words,
              }))
            : [],
      }),
    headers: {
      warning: '299 - "a\u009b31mb <img src=x onerror=EVIL()>"',
      'docker-distribution-api-version': 'registry/2.0 \u009b31m',
      server: '<img src=x onerror=EVIL()>\u0085',
    },
  });
}

/** Refuses every write, and whatever is named, with hostile words. */
export async function serveHostileRefusals(status: number): Promise<HttpServer> {
  return await startHttpServer(({method, url}, response) => {
    if (url.pathname === '/v2/' && status !== 401) return sendJson(response, 200, {});
    if (method === 'GET' && url.pathname.endsWith('/tags/list') && status !== 401)
      return sendJson(response, 404, {errors: [{code: 'NAME_UNKNOWN'}]});
    if (status === 401 && url.pathname !== '/token')
      response.setHeader(
        'www-authenticate',
        `Bearer realm="http://${String(response.req.headers.host)}/token",service="<img src=x onerror=EVIL()>\u009b",scope="\u0085"`,
      );
    sendJson(response, method === 'HEAD' ? 404 : status, {
      errors: HOSTILE_WORDS.map((word) => ({code: word, message: word, detail: {[word]: word}})),
      message: HOSTILE_WORDS.join(' '),
      error: HOSTILE_WORDS.join(' '),
      details: HOSTILE_WORDS.join(' '),
    });
  });
}
