import type {IncomingMessage, ServerResponse} from 'node:http';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {testAuthority} from '../support/certificates.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type HttpServer, sendJson, startHttpServer} from '../support/http-server.ts';
import {startRawServer} from '../support/raw-server.ts';
import {startTunnelProxy} from '../support/tunnel-proxy.ts';
import {Content, serveRegistry} from './registry.ts';
import {type Case, expectEnd, formsOf, type Trial} from './trial.ts';

/*
 * Where servers lead: redirects, realms, upload locations, links to next pages, the URLs of layers. A registry of a
 * public name may lead to no address of this machine or of a private network, and no server that is led to gets a
 * credential.
 */

const GROUP = 'redirects and realms';
/** A name that is only known to the proxy, which stands for the whole network. */
const PUBLIC = 'registry.test';

/** Ways to write an address of this machine. PORT is where somebody listens. */
const NEAR: readonly string[] = [
  'http://127.0.0.1:PORT/x',
  'http://localhost:PORT/x',
  'http://LOCALHOST:PORT/x',
  'http://localhost.:PORT/x',
  'http://a.localhost:PORT/x',
  'http://127.0.0.1.:PORT/x',
  'http://127.1:PORT/x',
  'http://2130706433:PORT/x',
  'http://017700000001:PORT/x',
  'http://0x7f.0.0.1:PORT/x',
  'http://0x7f000001:PORT/x',
  'http://127.0.0.2:PORT/x',
  'http://0.0.0.0:PORT/x',
  'http://0:PORT/x',
  'http://[::1]:PORT/x',
  'http://[::]:PORT/x',
  'http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/x',
  'http://[::ffff:7f00:1]:PORT/x',
  'http://[::127.0.0.1]:PORT/x',
  'http://[64:ff9b::7f00:1]:PORT/x',
  'http://[2002:7f00:1::]:PORT/x',
  '//127.0.0.1:PORT/x',
  '\\\\127.0.0.1:PORT/x',
  'http:\\\\127.0.0.1:PORT/x',
  'http:///127.0.0.1:PORT/x',
  'http://%31%32%37.0.0.1:PORT/x',
  'http://registry.test@127.0.0.1:PORT/x',
  'http://registry.test%2f@127.0.0.1:PORT/x',
  'http://registry.test:80@127.0.0.1:PORT/x',
  'http://127.0.0.1:PORT\\@registry.test/x',
  'http://127.0.0.1:PORT#@registry.test/x',
  'http://127.0.0.1:PORT?@registry.test/x',
];

/** By characters that are not ASCII; a header has them as the bytes of UTF-8. */
const WIDE = ['http://①②⑦.0.0.1:PORT/x', 'http://127。0。0。1:PORT/x', 'http://ⓛocalhost:PORT/x'];

/** Addresses of networks that are nobody else's business, and things that are no web addresses. */
const PRIVATE: readonly string[] = [
  'http://169.254.169.254/latest/meta-data/',
  'http://0xa9fea9fe/latest',
  'http://2852039166/latest',
  'http://0251.0376.0251.0376/latest',
  'http://[::ffff:169.254.169.254]/latest',
  'http://[64:ff9b::169.254.169.254]/latest',
  'http://[fe80::1]/x',
  'http://[fd00:ec2::254]/x',
  'http://100.100.100.200/x',
  'http://10.0.0.1/x',
  'http://172.16.0.1/x',
  'http://192.168.0.1/x',
  'http://100.64.0.1/x',
  'http://[fc00::1]/x',
  'http://224.0.0.1/x',
  'http://255.255.255.255/x',
  'file:///etc/passwd',
  'ftp://files.test/x',
  'gopher://127.0.0.1:PORT/x',
  'javascript:alert(1)',
  'data:application/json,{}',
  'ws://127.0.0.1:PORT/x',
  'unix:/var/run/docker.sock',
  'about:blank',
  'http://',
  'http://[',
  'http://a b/',
  `http://${'a'.repeat(300)}.test/x`,
];

/** Elsewhere on the network: may be asked, but without a credential. */
const ELSEWHERE: readonly string[] = [
  'http://storage.test/x',
  'http://registry.test.evil.test/x',
  'http://registry.test:8080/x',
  'http://xn--rgistry-bya.test/x',
  'http://registry.test./x',
  'http://sub.registry.test/x',
];

interface Leader {
  readonly trial: Trial;
  /** The whole network, as a proxy. */
  readonly proxy: HttpServer;
  /** Somebody on this machine. */
  readonly near: HttpServer;
  /** Hosts that were asked over the proxy, besides the registry. */
  readonly reached: string[];
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
}

/** What the registry of a public name answers in place of what it should. */
type Lead = (
  request: IncomingMessage,
  path: string,
  response: ServerResponse,
  to: string,
) => boolean;

const redirect =
  (pattern: RegExp, status: number): Lead =>
  ({method = ''}, path, response, to) => {
    if (!pattern.test(`${method} ${path}`)) return false;
    response.writeHead(status, {location: to}).end();
    return true;
  };

/** Without credentials it asks for some; with them, it leads away. */
const LEADS: Readonly<Record<string, Lead>> = {
  'a redirect of the base': redirect(/^GET \/v2\/$/, 307),
  'a redirect of a list': redirect(/tags\/list/, 302),
  'a redirect of a manifest': redirect(/^GET .*\/manifests\//, 301),
  'a redirect of a HEAD': redirect(/^HEAD /, 308),
  'a redirect of a blob': redirect(/^GET .*\/blobs\//, 307),
  'a redirect of a POST': redirect(/^POST /, 308),
  'an upload location': (request, path, response, to) => {
    if (!/^POST .*\/uploads\//.test(`${request.method} ${path}`)) return false;
    response.writeHead(202, {location: to, range: '0-0'}).end();
    return true;
  },
  'the location of a chunk': (request, path, response, to) => {
    const line = `${request.method} ${path}`;
    if (/^POST .*\/uploads\//.test(line))
      response.writeHead(202, {location: '/v2/app/blobs/uploads/1'}).end();
    else if (/^(?:PATCH|PUT) .*\/uploads\//.test(line))
      response.writeHead(202, {location: to}).end();
    else return false;
    return true;
  },
  'a link to the next page': (request, path, response, to) => {
    if (!path.includes('tags/list') || path.includes('last=')) return false;
    sendJson(response, 200, {name: 'app', tags: ['v1']}, {link: `<${to}>; rel="next"`});
    return true;
  },
  'a realm': (request, path, response, to) => {
    if (request.headers.authorization !== undefined) return false;
    response.writeHead(401, {'www-authenticate': `Bearer realm="${to}",service="x"`}).end('{}');
    return true;
  },
  'a redirect of the token service': (request, path, response, to) => {
    if (path.startsWith('/token')) response.writeHead(307, {location: to}).end();
    else if (request.headers.authorization === undefined)
      response
        .writeHead(401, {'www-authenticate': `Bearer realm="http://${PUBLIC}/token",service="x"`})
        .end('{}');
    else return false;
    return true;
  },
};

async function startLeader(trial: Trial, lead: Lead, to: () => string): Promise<Leader> {
  const secrets = [trial.secret('source'), trial.secret('destination')];
  const [source = '', destination = ''] = secrets;
  const near = trial.use(
    await startHttpServer((_request, response) => sendJson(response, 200, {token: 'near-token'})),
  );
  const content = new Content();
  const image = content.image([content.layer('layer'.padEnd(20_000, 'x'))]);
  const reached: string[] = [];
  const proxy = trial.use(
    await serveRegistry({
      content,
      repositories: {app: {v1: image}},
      instead: (_method, path, response) => {
        const {host} = new URL(response.req.url ?? '', 'http://proxy.invalid');
        if (host !== PUBLIC) {
          reached.push(host);
          response.writeHead(404).end();
          return true;
        }
        const {authorization} = response.req.headers;
        const isKnown = authorization !== undefined;
        if (lead === LEADS['a realm'] || path.startsWith('/token') || isKnown)
          return lead(response.req, path, response, to());
        if (lead === LEADS['a redirect of the token service'])
          return lead(response.req, path, response, to());
        response.writeHead(401, {'www-authenticate': 'Basic realm="r"'}).end('{}');
        return true;
      },
    }),
  );
  const env = {
    HTTP_PROXY: proxy.url,
    HTTPS_PROXY: proxy.url,
    TRANSSHIP_PLAIN_HTTP: PUBLIC,
    TRANSSHIP_SOURCE_USERNAME: 'ada',
    TRANSSHIP_SOURCE_PASSWORD: source,
    TRANSSHIP_DESTINATION_USERNAME: 'ada',
    TRANSSHIP_DESTINATION_PASSWORD: destination,
  };
  return {trial, proxy, near, reached, env, secrets};
}

/** Commands that follow where a registry leads. */
const COMMANDS: readonly (readonly string[])[] = [
  ['copy', `${PUBLIC}/app:v1`, 'oci:got', '--progress', 'json'],
  ['copy', `${PUBLIC}/app`, 'oci:all', '--debug'],
  ['copy', 'oci:layout', `${PUBLIC}/app`, '--debug'],
  ['copy', 'oci:layout', `${PUBLIC}/app`, '--chunk-size', '4KiB'],
  ['inventory', PUBLIC],
  ['doctor', `${PUBLIC}/app`, '--write'],
  ['plan', 'delete', `${PUBLIC}/app`, '--tag', '*'],
];

async function runAll(leader: Leader, what: string): Promise<void> {
  const {trial, proxy, near, reached, env, secrets} = leader;
  expectEnd(await trial.transshipHere(['copy', `oci:${layoutDirectory('helm')}`, 'oci:layout']), 0);
  for (const args of COMMANDS)
    expectEnd(await trial.transshipHere(args, {env}), [0, 1, 2, 3, 4, 64]);
  if (near.requests.length > 0)
    throw new Error(
      `${what}: this machine was asked: ${near.requests.map(({target}) => target).join()}`,
    );
  for (const {target, headers, body} of proxy.requests) {
    if (new URL(target, 'http://proxy.invalid').host === PUBLIC) continue;
    const text = `${target} ${JSON.stringify(headers)} ${body.toString()}`;
    const login = /Basic (\S+)/.exec(headers.authorization ?? '')?.[1] ?? '';
    const whole = `${text} ${Buffer.from(login, 'base64').toString()}`;
    for (const secret of secrets)
      if (formsOf(secret).some((form) => whole.includes(form)))
        throw new Error(`${what}: a credential went to ${target}`);
  }
  const addresses = reached.filter((host) => /^[\d.]+(?::\d+)?$|^\[|localhost/.test(host));
  if (addresses.length > 0) throw new Error(`${what}: asked ${addresses.join(', ')}`);
}

const leads: readonly Case[] = Object.entries(LEADS).flatMap(([name, lead]) =>
  (
    [
      ['this machine', NEAR],
      ['this machine, in other letters', WIDE.map((url) => Buffer.from(url).toString('latin1'))],
      ['private networks', PRIVATE],
      ['elsewhere', ELSEWHERE],
    ] as const
  ).map(([where, targets]) => ({
    group: GROUP,
    name: `${name}, to ${where}`,
    seconds: 90,
    run: async (trial: Trial) => {
      let to = '';
      const leader = await startLeader(trial, lead, () => to);
      for (const target of targets) {
        // The protocol lets the registry name the server that its logins are for; docker follows it as well.
        const isRealm = name === 'a realm' && (where === 'elsewhere' || target.includes('.test/x'));
        to = target.replaceAll('PORT', new URL(leader.near.url).port);
        if (isRealm) await leader.trial.transshipHere(COMMANDS[0] ?? [], {env: leader.env});
        else await runAll(leader, target);
      }
    },
  })),
);

/** From TLS to none, by any of these; and a loop, and very many hops. */
const tls: Case = {
  group: GROUP,
  name: 'from TLS to plain HTTP',
  seconds: 90,
  run: async (trial) => {
    const authority = trial.use(await testAuthority());
    const tunnel = trial.use(await startTunnelProxy());
    const secret = trial.secret('login');
    const near = trial.use(
      await startHttpServer((_request, response) => sendJson(response, 200, {token: 'x'})),
    );
    for (const [name, lead] of Object.entries(LEADS)) {
      const plain = `http://other.test:${new URL(near.url).port}/x`;
      await using server = await startHttpServer(
        ({url, headers}, response) => {
          const path = url.pathname + url.search;
          if (headers.authorization === undefined && !name.includes('realm')) {
            response.writeHead(401, {'www-authenticate': 'Basic realm="r"'}).end('{}');
            return;
          }
          if (!lead(response.req, path, response, plain)) sendJson(response, 404, {});
        },
        {tls: authority.otherServer},
      );
      const host = `other.test:${new URL(server.url).port}`;
      const env = {
        HTTPS_PROXY: tunnel.url,
        HTTP_PROXY: near.url,
        TRANSSHIP_CA_FILE: authority.authority.certFile,
        TRANSSHIP_SOURCE_USERNAME: 'ada',
        TRANSSHIP_SOURCE_PASSWORD: secret,
        TRANSSHIP_DESTINATION_USERNAME: 'ada',
        TRANSSHIP_DESTINATION_PASSWORD: secret,
      };
      for (const args of [
        ['copy', `${host}/app:v1`, 'oci:got'],
        ['copy', `oci:${layoutDirectory('helm')}`, `${host}/app`],
      ])
        expectEnd(await trial.transshipHere(args, {env}), [0, 1]);
      if (near.requests.length > 0) throw new Error(`${name}: went on without TLS`);
      if (server.requests.length === 0) throw new Error(`${name}: nobody asked`);
    }
  },
};

const endless: readonly Case[] = (
  [
    ['a loop', (at: number) => `/v2/app/blobs/${at % 2}`],
    ['hops without end', (at: number) => `/hop/${at + 1}`],
    ['hops with queries', (at: number) => `?hop=${at + 1}`],
    ['a long location', () => `/${'x'.repeat(60_000)}`],
  ] as const
).map(([name, next]) => ({
  group: GROUP,
  name,
  seconds: 60,
  run: async (trial: Trial) => {
    let count = 0;
    const server = trial.use(
      await startHttpServer((_request, response) => {
        response.writeHead(302, {location: next(++count)}).end();
      }),
    );
    for (const args of [
      ['copy', `${server.host}/app:v1`, 'oci:got'],
      ['copy', `oci:${layoutDirectory('helm')}`, `${server.host}/app`],
      ['inventory', server.host],
      ['doctor', '--gitlab', server.url, '--project', 'a/b'],
    ]) {
      count = 0;
      expectEnd(await trial.transshipHere(args, {env: {GITLAB_TOKEN: 'x'}}), [1, 64]);
      if (count > 100) throw new Error(`${count} requests`);
    }
  },
}));

/** Header fields that would be two, or an answer that would be two. */
const split: Case = {
  group: GROUP,
  name: 'line breaks in a location',
  seconds: 60,
  run: async (trial) => {
    const near = trial.use(await startHttpServer((_request, response) => void response.end()));
    for (const location of [
      `/x\r\nlocation: ${near.url}/y`,
      `/x\n${near.url}`,
      `/x\r${near.url}`,
      '/x%0d%0aevil: 1',
      '/x\u0000y',
      '/x\ty',
    ]) {
      const server = trial.use(
        await startRawServer((socket) => {
          socket.end(`HTTP/1.1 307 Go\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`);
        }),
      );
      const run = await trial.transshipHere(['copy', `${new URL(server.url).host}/a:b`, 'oci:x']);
      expectEnd(run, 1);
    }
  },
};

/** GitLab leads elsewhere: the token stays. */
const gitlab: Case = {
  group: GROUP,
  name: 'a GitLab that leads elsewhere',
  seconds: 90,
  run: async (trial) => {
    const token = trial.secret('token');
    const near = trial.use(
      await startHttpServer((_request, response) => sendJson(response, 200, [])),
    );
    const {port} = new URL(near.url);
    let to = '';
    let status = 302;
    const sandbox = await startGitLabSandbox({
      seed: parseSeed({
        users: [{name: 'ada'}],
        groups: [{path: 'org', members: {ada: 'owner'}}],
        projects: [{path: 'org/app'}],
        tokens: [{value: token, user: 'ada', scopes: ['api']}],
      }),
      intercept: async ({path}, next) =>
        path.startsWith('/api/v4')
          ? {status, headers: {location: to, 'content-length': '0', link: `<${to}>; rel="next"`}}
          : next(),
    });
    trial.use({[Symbol.asyncDispose]: () => sandbox.close()});
    // A GitLab on this machine may lead to its private networks, where nobody answers.
    const silent = /10\.|172|192|fc00|100\.64|64:ff9b|2002|::127|224|255|a{300}/;
    for (const url of [...NEAR, ...PRIVATE].filter((one) => !silent.test(one)))
      for (status of [302, 307, 308]) {
        to = url.replaceAll('PORT', port);
        const args = ['doctor', '--gitlab', sandbox.url, '--project', 'org/app'];
        expectEnd(await trial.transshipHere(args, {env: {GITLAB_TOKEN: token}}), [0, 1, 64]);
        const heard = near.requests.map(
          ({target, headers}) => `${target} ${JSON.stringify(headers)}`,
        );
        if (heard.some((text) => text.includes(token))) throw new Error(`the token went to ${to}`);
      }
  },
};

export const redirects: readonly Case[] = [...leads, tls, ...endless, split, gitlab];
