import {buffer} from 'node:stream/consumers';
import {Readable} from 'node:stream';
import {bytesReply, type Intercept, jsonReply, type Reply} from '../../src/sandbox/exchange.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type HttpServer, startHttpServer} from '../support/http-server.ts';
import {HOSTILE_WORDS, harmIn} from './hostile-words.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

/** Changes one value of an answer, with the name of its field. */
type Change = (value: unknown, field: string) => unknown;

const NAMES =
  /name|title|description|message|kind|visibility|status|label|created_at|state|cadence|keep_n|older_than|prefix|pattern/;
let turn = 0;
const hostile = () => HOSTILE_WORDS[turn++ % HOSTILE_WORDS.length] ?? '';

const CHANGES: Readonly<Record<string, Change>> = {
  'hostile names': (value, field) =>
    typeof value === 'string' && NAMES.test(field) ? hostile() : value,
  'hostile paths': (value, field) =>
    typeof value === 'string' && /path|location/.test(field) ? `${value}/../${hostile()}` : value,
  'hostile addresses': (value, field) =>
    typeof value === 'string' && /url/.test(field) ? `javascript:${hostile()}` : value,
  'all texts hostile': (value) => (typeof value === 'string' ? hostile() : value),
  'long texts': (value) => (typeof value === 'string' ? value.repeat(10_000) : value),
  'ids as texts': (value, field) => (field === 'id' ? String(value) : value),
  'negative ids': (value, field) => (field.endsWith('id') ? -1 : value),
  'huge numbers': (value) => (typeof value === 'number' ? 1e300 : value),
  'numbers as lists': (value) => (typeof value === 'number' ? [value] : value),
  'no values': () => null,
  'truth as texts': (value) => (typeof value === 'boolean' ? 'yes' : value),
};

function changed(value: unknown, change: Change, field = ''): unknown {
  if (Array.isArray(value)) return value.map((each) => changed(each, change, field));
  if (typeof value !== 'object' || value === null) return change(value, field);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, changed(each, change, key)]),
  );
}

const changing =
  (change: Change): Intercept =>
  async (exchange, next) => {
    const reply = await next();
    const body = await jsonOf(reply);
    if (!exchange.path.startsWith('/api/v4') || body === undefined) return reply;
    return jsonReply(reply.status, changed(body, change), withoutLength(reply.headers));
  };

async function jsonOf({body, headers}: Reply): Promise<unknown> {
  if (!String(headers['content-type']).includes('json') || body === undefined) return undefined;
  const bytes = typeof body === 'function' ? await buffer(Readable.from(body())) : body;
  return bytes.byteLength === 0 ? undefined : JSON.parse(Buffer.from(bytes).toString());
}

function withoutLength(headers: Reply['headers']): Reply['headers'] {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-length'),
  );
}

/** Answers lists in another way. */
const listing =
  (
    answer: (
      reply: Reply,
      list: readonly unknown[],
      page: number,
      origin: string,
      path: string,
    ) => Reply,
  ): Intercept =>
  async (exchange, next) => {
    const reply = await next();
    const list = await jsonOf(reply);
    if (!exchange.path.startsWith('/api/v4') || !Array.isArray(list)) return reply;
    return answer(
      reply,
      list,
      Number(exchange.query.get('page') ?? 1),
      exchange.origin,
      exchange.path,
    );
  };

const again = (list: readonly unknown[]) =>
  list.length > 0 ? list : [{id: 1, path: 'x', name: 'x'}];

const LISTS: Readonly<Record<string, (elsewhere: HttpServer) => Intercept>> = {
  'next page is the same': () =>
    listing((reply, list, page, origin, path) =>
      jsonReply(200, list, {
        ...withoutLength(reply.headers),
        link: `<${origin}${path}>; rel="next"`,
        'x-next-page': String(page),
      }),
    ),
  'pages without end': () =>
    listing((reply, list, page, origin, path) =>
      jsonReply(200, again(list), {
        ...withoutLength(reply.headers),
        link: `<${origin}${path}?page=${page + 1}>; rel="next"`,
        'x-next-page': String(page + 1),
        'x-total-pages': '1000000',
      }),
    ),
  'pages by random keys without end': () =>
    listing((reply, list, _page, origin, path) =>
      jsonReply(200, again(list), {
        ...withoutLength(reply.headers),
        link: `<${origin}${path}?cursor=${Math.random()}>; rel="next"`,
      }),
    ),
  'next page elsewhere': ({url}) =>
    listing((reply, list, _page, _origin, path) =>
      jsonReply(200, list, {
        ...withoutLength(reply.headers),
        link: `<${url}${path}?page=2>; rel="next"`,
        'x-next-page': '2',
      }),
    ),
  'a million entries': () =>
    listing((reply, list) => {
      const entry = JSON.stringify(again(list)[0]);
      const text = `[${`${entry},`.repeat(Math.min(1_000_000, Math.ceil(200e6 / entry.length)))}${entry}]`;
      return bytesReply(200, Buffer.from(text), withoutLength(reply.headers));
    }),
  'a deep list': () =>
    listing((reply) =>
      bytesReply(200, Buffer.from('['.repeat(3_000_000)), withoutLength(reply.headers)),
    ),
  'no list': () =>
    listing((reply) => jsonReply(200, {message: hostile()}, withoutLength(reply.headers))),
  'errors in words': () => async (exchange, next) =>
    exchange.path.startsWith('/api/v4')
      ? jsonReply(403, {
          message: HOSTILE_WORDS,
          error: HOSTILE_WORDS.join(''),
          error_description: HOSTILE_WORDS,
        })
      : next(),
  'redirects elsewhere':
    ({url}) =>
    async (exchange, next) =>
      exchange.path.startsWith('/api/v4')
        ? {status: 302, headers: {location: `${url}${exchange.path}`, 'content-length': '0'}}
        : next(),
  'permanent redirects elsewhere':
    ({url}) =>
    async (exchange, next) =>
      exchange.path.startsWith('/api/v4')
        ? {status: 308, headers: {location: `${url}${exchange.path}`, 'content-length': '0'}}
        : next(),
};

const LAYOUT = layoutDirectory('helm');

async function gitlab(token: string, intercept: Intercept) {
  return await startGitLabSandbox({
    intercept,
    switches: {deletionDelayMs: 0},
    seed: parseSeed({
      users: [{name: 'ada', password: 'ada-password'}],
      groups: [
        {path: 'org/build', members: {ada: 'owner'}},
        {path: 'org', members: {ada: 'owner'}},
        {path: 'new_org', members: {ada: 'owner'}},
      ],
      projects: [
        {path: 'org/build/app', images: [{name: 'cr', layout: LAYOUT}]},
        {path: 'org/build/other', images: [{layout: LAYOUT}]},
      ],
      tokens: [{value: token, user: 'ada', scopes: ['api']}],
    }),
  });
}

const COMMANDS: Readonly<Record<string, (url: string, host: string) => readonly string[]>> = {
  'plan transfer': (url) => [
    'plan',
    'transfer',
    'org/build/app',
    '--to',
    'new_org/',
    '--gitlab',
    url,
    '--donor',
    './donor',
    '--out',
    'plan.json',
    '--format',
    'markdown',
  ],
  'plan transfer --group': (url) => [
    'plan',
    'transfer',
    '--group',
    'org/build',
    '--to',
    'new_org/',
    '--gitlab',
    url,
    '--donor',
    './donor',
    '--out',
    'plan.json',
  ],
  doctor: (url) => ['doctor', '--gitlab', url, '--project', 'org/build/app'],
  inventory: (url, host) => [
    'inventory',
    `${host}/org`,
    '--source-kind',
    'gitlab',
    '--gitlab',
    url,
  ],
  'plan delete': (url, host) => [
    'plan',
    'delete',
    `${host}/org/build/app/cr`,
    '--gitlab',
    url,
    '--gitlab-policy',
  ],
  'migration file': () => ['plan', 'm.yaml', '--out', 'm.plan.json'],
};

/** The plan of an honest instance, and then one that is not. */
async function runAll(
  trial: Trial,
  command: string,
  hostileIntercept: (elsewhere: HttpServer) => Intercept,
): Promise<void> {
  const token = trial.secret('token');
  const elsewhere = trial.use(
    await startHttpServer((_request, response) => void response.end('[]')),
  );
  let intercept: Intercept | undefined;
  const sandbox = await gitlab(token, async (exchange, next) =>
    intercept ? intercept(exchange, next) : next(),
  );
  trial.use({[Symbol.asyncDispose]: () => sandbox.close()});
  const {url, host} = sandbox;
  const env = {
    GITLAB_TOKEN: token,
    TRANSSHIP_GITLAB_HOST: url,
  };
  await trial.plant(
    trial.path('m.yaml'),
    `version: 1\nfrom: oci:${LAYOUT}\nto: ${host}/new_org/fresh\ngitlab: {projects: create}\nroutes: [{from: oci:${LAYOUT}, to: ${host}/new_org/fresh/a}]\n`,
  );
  const args = COMMANDS[command]?.(url, host) ?? [];
  if (command === 'apply') {
    const plan = COMMANDS['plan transfer']?.(url, host) ?? [];
    expectEnd(await trial.transship(plan, {env}), 0);
    intercept = hostileIntercept(elsewhere);
    for (const each of [
      ['apply', 'plan.json', '--yes', '--junit', 'a.xml'],
      ['status', 'plan.json'],
      ['verify', 'plan.json'],
      ['rollback', 'plan.json', '--yes'],
      ['refs', 'plan.json'],
    ])
      await trial.transship(each, {env});
  } else {
    intercept = hostileIntercept(elsewhere);
    const run = await trial.transship(args, {env});
    const harm =
      harmIn(run.stdout, command === 'plan transfer' ? 'md' : 'log') ?? harmIn(run.stderr, 'log');
    if (harm !== undefined) throw new Error(`not harmless: ${harm}`);
  }
  for (const {headers, target} of elsewhere.requests)
    if (JSON.stringify([headers, target]).includes(token) || headers.authorization !== undefined)
      throw new Error('a credential reached a host that nobody named');
}

export const gitlabCases: readonly Case[] = [
  ...Object.entries(CHANGES).map(([name, change]) => [name, () => changing(change)] as const),
  ...Object.entries(LISTS),
].flatMap(([name, intercept]) =>
  [...Object.keys(COMMANDS), 'apply'].map((command) => ({
    group: 'hostile GitLab',
    name: `${name}, ${command}`,
    // GitLab may take two minutes for a change, and a list has 4,000 pages at most.
    seconds: command === 'apply' ? 240 : 60,
    run: (trial: Trial) => runAll(trial, command, intercept),
  })),
);
