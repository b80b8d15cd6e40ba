import type {IncomingMessage, ServerResponse} from 'node:http';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {bytesReply, type Intercept, jsonReply} from '../../src/sandbox/exchange.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type HttpServer, sendJson, startHttpServer} from '../support/http-server.ts';
import {Content, serveRegistry} from './registry.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

/*
 * Servers that give back the credentials that they were shown, in every field that they control and in every form. No
 * output and no file has them, but the bytes of images (docs/security.md, "Where secrets go").
 */

const GROUP = 'secrets that come back';

const percent = (text: string, digits = (hex: string) => hex) =>
  Array.from(Buffer.from(text), (byte) => `%${digits(byte.toString(16).padStart(2, '0'))}`).join(
    '',
  );

/** How a server writes what it was shown. */
const FORMS: Readonly<Record<string, (secret: string) => string>> = {
  'as it is': (secret) => secret,
  'in a sentence': (secret) => `the token ${secret}, which`,
  'many times': (secret) => secret.repeat(20),
  'after a long text': (secret) => `${'x'.repeat(180)} ${secret}`,
  'at the end of a long word': (secret) => `${'x'.repeat(230)}${secret}${'x'.repeat(300)}`,
  'in base64': (secret) => Buffer.from(secret).toString('base64'),
  'in base64, shifted by one': (secret) => Buffer.from(`:${secret}:`).toString('base64'),
  'in base64, shifted by two': (secret) => Buffer.from(`a:${secret}:`).toString('base64url'),
  'percent-encoded': (secret) => encodeURIComponent(secret),
  'all percent-encoded': (secret) => percent(secret),
  'all percent-encoded, in capitals': (secret) => percent(secret, (hex) => hex.toUpperCase()),
  'percent-encoded twice': (secret) => encodeURIComponent(percent(secret)),
  'escaped as in JSON': (secret) =>
    Array.from(secret, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  'in a URL': (secret) => `https://ada:${secret}@storage.test/${secret}?token=${secret}#${secret}`,
  'in a signed URL': (secret) => `https://s3.test/b?X-Amz-Signature=${secret}&x=${secret}`,
  'in JSON in JSON': (secret) => JSON.stringify({a: JSON.stringify({token: secret})}),
};

/** What a request showed: the password of a login, or a token. */
function shownIn({headers}: IncomingMessage): string | undefined {
  const [scheme, value = ''] = headers.authorization?.split(' ') ?? [];
  if (scheme !== 'Basic') return scheme === undefined ? undefined : value;
  return Buffer.from(value, 'base64').toString().split(':').slice(1).join(':');
}

/** Where a registry gives it back. True: it answered. */
type Place = (said: string, path: string, response: ServerResponse) => boolean;

const refusing =
  (
    pattern: RegExp,
    status: number,
    headers: (said: string) => Record<string, string> = () => ({}),
  ): Place =>
  (said, path, response) => {
    if (!pattern.test(`${response.req.method} ${path}`)) return false;
    const errors = [{code: said, message: said, detail: {[said]: said}}];
    sendJson(response, status, {errors, message: said, error_description: said}, headers(said));
    return true;
  };

/** A header takes no line breaks. */
const inHeader = (said: string) => said.replaceAll(/[^\x20-\x7e]/g, '');

const PLACES: Readonly<Record<string, Place>> = {
  'the refusal of a list': refusing(/tags\/list/, 403),
  'the failure of a list': refusing(/tags\/list/, 500),
  'the refusal of a manifest': refusing(/GET .*manifests/, 400),
  'the refusal of a blob': refusing(/GET .*blobs\/sha/, 416),
  'the refusal of an upload': refusing(/^POST /, 422),
  'the refusal of a chunk': refusing(/^PATCH |^PUT .*uploads/, 400),
  'the refusal of a pushed manifest': refusing(/^PUT .*manifests/, 409),
  'a challenge': refusing(/tags\/list|^POST /, 401, (said) => ({
    'www-authenticate': `Bearer realm="http://127.0.0.1:1/${inHeader(said)}",service="${inHeader(said)}",scope="${inHeader(said)}",error="${inHeader(said)}"`,
  })),
  'headers of a refusal': refusing(/tags\/list|^POST /, 403, (said) =>
    Object.fromEntries(
      [
        'warning',
        'server',
        'location',
        'link',
        'x-request-id',
        'retry-after',
        'range',
        'via',
        'oci-subject',
        'docker-content-digest',
      ].map((name) => [name, inHeader(said)]),
    ),
  ),
  'a location': (said, path, response) => {
    if (!/manifests|uploads/.test(path)) return false;
    response
      .writeHead(307, {location: `http://127.0.0.1:1/${inHeader(said)}?x=${inHeader(said)}`})
      .end();
    return true;
  },
  'an upload location': (said, path, response) => {
    if (response.req.method === 'POST')
      response
        .writeHead(202, {
          location: `/v2/app/blobs/uploads/${encodeURI(inHeader(said))}?_state=${inHeader(said)}`,
        })
        .end();
    else if (/^(?:PATCH|PUT)$/.test(response.req.method ?? '') && path.includes('uploads'))
      response.writeHead(500).end();
    else return false;
    return true;
  },
  'a web page': (said, path, response) => {
    if (!/tags\/list/.test(path)) return false;
    response.writeHead(502, {'content-type': 'text/html'}).end(`<title>${said}</title>${said}`);
    return true;
  },
  'a media type': (said, path, response) => {
    if (!path.includes('manifests')) return false;
    response
      .writeHead(200, {'content-type': inHeader(said)})
      .end(`{"schemaVersion":2,"x":"${said}"`);
    return true;
  },
  'names of tags': (said, path, response) => {
    if (!path.includes('tags/list')) return false;
    sendJson(response, 200, {name: said, tags: [said, 'v1']});
    return true;
  },
  'names of repositories': (said, path, response) => {
    if (!path.includes('_catalog')) return false;
    sendJson(response, 200, {repositories: [said, `app/${said.toLowerCase()}`]});
    return true;
  },
  'fields of a manifest': (said, path, response) => {
    if (!/GET/.test(response.req.method ?? '') || !path.includes('manifests')) return false;
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const child = {
      mediaType: said,
      digest: `sha256:${'0'.repeat(64)}`,
      size: 1,
      artifactType: said,
      urls: [said],
      annotations: {[said]: said},
      platform: {os: said, architecture: said},
    };
    sendJson(
      response,
      200,
      {
        schemaVersion: 2,
        mediaType,
        artifactType: said,
        annotations: {[said]: said},
        manifests: [child],
      },
      {'content-type': mediaType},
    );
    return true;
  },
  referrers: (said, path, response) => {
    if (!path.includes('referrers')) return false;
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const one = {
      mediaType,
      digest: `sha256:${'1'.repeat(64)}`,
      size: 1,
      artifactType: said,
      annotations: {[said]: said},
    };
    sendJson(
      response,
      200,
      {schemaVersion: 2, mediaType, manifests: [one]},
      {'content-type': mediaType},
    );
    return true;
  },
};

/** Asks for a login, and for a token at its own token service, which gives back a token of its own. */
async function startParrot(
  trial: Trial,
  place: Place,
  write: (secret: string) => string,
  token: string | undefined,
): Promise<HttpServer> {
  const content = new Content();
  const image = content.image([content.layer('layer'.padEnd(20_000, 'x'))]);
  return trial.use(
    await serveRegistry({
      content,
      repositories: {app: {v1: image}},
      instead: (_method, path, response) => {
        const shown = shownIn(response.req);
        const {host = ''} = response.req.headers;
        if (path.startsWith('/token')) sendJson(response, 200, {token});
        else if (shown === undefined)
          response
            .writeHead(401, {
              'www-authenticate':
                token === undefined
                  ? 'Basic realm="r"'
                  : `Bearer realm="http://${host}/token",service="s"`,
            })
            .end('{}');
        else return place(write(shown), path, response);
        return true;
      },
    }),
  );
}

const registry: readonly Case[] = Object.entries(PLACES).map(([name, place]) => ({
  group: GROUP,
  name,
  seconds: 90,
  run: async (trial) => {
    expectEnd(await trial.transshipHere(['copy', `oci:${layoutDirectory('helm')}`, 'oci:in']), 0);
    const target = trial.use(await startSandbox());
    const password = trial.secret('password');
    const issued = trial.secret('issued');
    for (const write of Object.values(FORMS)) {
      for (const token of [undefined, issued]) {
        await using parrot = await startParrot(trial, place, write, token);
        const {host} = parrot;
        const login = {username: 'ada', password};
        const env = {DOCKER_AUTH_CONFIG: JSON.stringify({auths: {[host]: login}})};
        const reports = ['--junit', 'r.xml', '--dotenv', 'r.env', '--journal', 'j.ndjson'];
        for (const args of [
          [
            'plan',
            'copy',
            `${host}/app`,
            `${target.host}/x`,
            '--out',
            'p.json',
            '--format',
            'markdown',
          ],
          ['apply', 'p.json', '--progress', 'json', '--format', 'json', ...reports, '--debug'],
          ['show', 'p.json', '--format', 'html', '--all', '--journal', 'j.ndjson'],
          ['status', 'p.json', '--journal', 'j.ndjson', '--format', 'markdown'],
          ['verify', 'p.json', '--format', 'json'],
          [
            'copy',
            `${host}/app:v1`,
            'oci:got',
            '--debug',
            '--progress',
            'json',
            '--digestfile',
            'd',
          ],
          ['copy', 'oci:in', `${host}/app`, '--debug', '--chunk-size', '4KiB', ...reports],
          [
            'copy',
            'oci:in',
            `${host}/app`,
            '--progress',
            'plain',
            '--verbose',
            '--format',
            'markdown',
          ],
          ['inventory', host, '--format', 'yaml'],
          ['inventory', host, '--format', 'json', '--debug'],
          ['doctor', `${host}/app`, '--write', '--format', 'markdown', '--debug'],
          ['plan', 'delete', `${host}/app`, '--tag', '*', '--format', 'html'],
        ])
          await trial.transshipHere(args, {env});
      }
    }
  },
}));

/** GitLab gives back the token in its answers. */
const gitlab: readonly Case[] = Object.entries(FORMS).map(([name, write]) => ({
  group: GROUP,
  name: `GitLab: ${name}`,
  seconds: 60,
  run: async (trial) => {
    const token = trial.secret('token');
    let kind = 'names';
    const said = write(token);
    const intercept: Intercept = async (exchange, next) => {
      if (!exchange.path.startsWith('/api/v4')) return next();
      if (kind === 'refusals')
        return jsonReply(403, {message: {[said]: [said]}, error: said, error_description: said});
      if (kind === 'pages')
        return bytesReply(502, Buffer.from(`<title>${said}</title>`), {
          'content-type': 'text/html',
        });
      const reply = await next();
      const body = reply.body instanceof Uint8Array ? Buffer.from(reply.body).toString() : '';
      const changed = body.replaceAll(
        /"(name|description|title|message|name_with_namespace)":"[^"]*"/g,
        (_, field: string) => `"${field}":${JSON.stringify(said)}`,
      );
      return bytesReply(reply.status, Buffer.from(changed), {'content-type': 'application/json'});
    };
    const sandbox = await startGitLabSandbox({
      intercept,
      switches: {deletionDelayMs: 0},
      seed: parseSeed({
        users: [{name: 'ada'}],
        groups: [
          {path: 'org', members: {ada: 'owner'}},
          {path: 'new', members: {ada: 'owner'}},
        ],
        projects: [
          {path: 'org/app', images: [{layout: layoutDirectory('helm')}]},
          {path: 'org/park'},
        ],
        tokens: [{value: token, user: 'ada', scopes: ['api']}],
      }),
    });
    trial.use({[Symbol.asyncDispose]: () => sandbox.close()});
    const env = {GITLAB_TOKEN: token, TRANSSHIP_GITLAB_HOST: sandbox.url};
    for (kind of ['names', 'refusals', 'pages'])
      for (const args of [
        [
          'plan',
          'transfer',
          'org/app',
          '--to',
          'new/',
          '--donor',
          'org/park',
          '--out',
          'm.json',
          '--format',
          'markdown',
        ],
        [
          'plan',
          'transfer',
          '--group',
          'org',
          '--to',
          'new/',
          '--donor',
          './d',
          '--format',
          'html',
        ],
        ['apply', 'm.json', '--yes', '--progress', 'json', '--debug', '--junit', 'm.xml'],
        ['status', 'm.json'],
        ['verify', 'm.json', '--format', 'json', '--debug'],
        ['rollback', 'm.json', '--yes'],
        ['doctor', '--gitlab', sandbox.url, '--project', 'org/app', '--format', 'json'],
        ['inventory', `${sandbox.host}/org`, '--format', 'yaml', '--gitlab', sandbox.url],
      ])
        await trial.transshipHere(args, {env});
  },
}));

/** Files that hold a secret, in place of what a flag wants. */
const files: Case = {
  group: GROUP,
  name: 'a secret in a file of another kind',
  seconds: 60,
  run: async (trial) => {
    const secret = trial.secret('in-a-file');
    const server = trial.use(
      await startHttpServer((_request, response) => sendJson(response, 401, {})),
    );
    for (const text of [
      secret,
      `{"auths":{"x":{"auth":"${secret}"}}}`,
      `-----BEGIN ${secret}`,
      `a: ${secret}: [`,
    ]) {
      const file = await trial.plant(trial.path('file'), `${text}\n`);
      for (const args of [
        ['copy', `${server.host}/a:b`, 'oci:x', '--authfile', file, '--debug'],
        ['copy', 'r.invalid/a:b', 'oci:x', '--ca-file', file, '--debug'],
        ['plan', 'copy', 'oci:a', 'oci:b', '--sign-key', file, '--out', 'p.json', '--debug'],
      ])
        await trial.transshipHere(args);
    }
  },
};

export const secrets: readonly Case[] = [...registry, ...gitlab, files];
