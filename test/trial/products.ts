import type {ServerResponse} from 'node:http';
import {type ArrivedRequest, sendJson, startHttpServer} from '../support/http-server.ts';
import {HOSTILE_WORDS} from './hostile-words.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

/** How one product lists repositories: where, and what a page with these names is. */
interface Product {
  readonly list: RegExp;
  readonly page: (names: readonly unknown[], next: string | undefined) => unknown;
  /** Whether pages are linked by `Link`, not by what they say. */
  readonly isLinked?: boolean;
}

const PRODUCTS: Readonly<Record<string, Product>> = {
  harbor: {
    list: /^\/api\/v2\.0\/projects(?:\/[^/]+\/repositories)?$/,
    page: (names) => names.map((name) => ({name, update_time: name})),
    isLinked: true,
  },
  'docker-hub': {
    list: /^\/v2\/namespaces\/[^/]+\/repositories$/,
    page: (names, next) => ({
      next: next ?? null,
      results: names.map((name) => ({name, namespace: 'team', last_updated: name})),
    }),
  },
  quay: {
    list: /^\/api\/v1\/repository$/,
    page: (names, next) => ({
      repositories: names.map((name) => ({namespace: 'team', name, last_modified: 1e300})),
      ...(next === undefined ? {} : {next_page: next}),
    }),
  },
  github: {
    list: /^\/api\/v3\/(?:orgs|users)\/[^/]+\/packages$/,
    page: (names) => names.map((name) => ({name, updated_at: name})),
    isLinked: true,
  },
  catalog: {list: /^\/v2\/_catalog$/, page: (repositories) => ({repositories}), isLinked: true},
};

type Answer = (product: Product, request: ArrivedRequest, response: ServerResponse) => void;

/** A page with these names, and the address of the next one. */
function give(
  {page, isLinked = false}: Product,
  response: ServerResponse,
  names: readonly unknown[],
  next?: string,
): void {
  const link = next !== undefined && isLinked ? {link: `<${next}>; rel="next"`} : {};
  sendJson(response, 200, page(names, next), {...link, 'x-total-count': '999999999'});
}

const text =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (_product, _request, response) =>
    void response.writeHead(status, headers).end(body);

const ODD_NAMES = [
  '../../etc/passwd',
  '..',
  'team/../..',
  'Team/APP',
  '-rf',
  '',
  '/',
  'team//app',
  'a:b',
  'team/app@sha256:0',
  '__proto__',
  'constructor',
  'x'.repeat(1_000_000),
];

let count = 0;
const names = (length: number) => Array.from({length}, () => `team/r${count++}`);

const ANSWERS: Readonly<Record<string, Answer>> = {
  'pages without end': (product, {url}, response) =>
    give(product, response, names(100), `${url.pathname}?page=${count}`),
  'pages of names that were listed': (product, {url}, response) =>
    give(product, response, ['team/app'], `${url.pathname}?page=${count++}`),
  'empty pages without end': (product, {url}, response) =>
    give(product, response, [], `${url.pathname}?page=${count++}`),
  'a page that leads to itself': (product, {target}, response) =>
    give(product, response, ['team/app'], target),
  'pages on other hosts': (product, {url}, response) =>
    give(product, response, ['team/app'], `http://169.254.169.254${url.pathname}?page=${count++}`),
  'pages at other paths': (product, _request, response) =>
    give(product, response, ['team/app'], '../../../../etc/passwd'),
  'pages that are no addresses': (product, _request, response) =>
    give(product, response, ['team/app'], 'http://['),
  'totals that lie': (product, _request, response) => give(product, response, names(100)),
  'hostile names': (product, _request, response) =>
    give(product, response, [...HOSTILE_WORDS, ...ODD_NAMES]),
  'names that are no texts': (product, _request, response) =>
    give(product, response, [1, null, {}, [], true]),
  '200,000 names': (product, _request, response) => give(product, response, names(200_000)),
  'deep JSON': text(200, '['.repeat(1_000_000), {'content-type': 'application/json'}),
  '300,000 values': text(200, `[${Array(300_000).fill('{}').join()}]`),
  'a page of the web': text(200, '<html><title>Log in</title></html>', {
    'content-type': 'text/html',
  }),
  nothing: text(200, ''),
  'a text': text(200, '"x"'),
  'a number': text(200, '1e999'),
  null: text(200, 'null'),
  ...Object.fromEntries(
    ['1000000000', '-1', 'NaN', 'Thu, 01 Jan 1970 00:00:00 GMT', '1e9', '9'.repeat(400), ''].map(
      (after) => [`429 after "${after.slice(0, 30)}"`, text(429, '{}', {'retry-after': after})],
    ),
  ),
  '403 without end of the limit': text(403, '{}', {'x-ratelimit-remaining': '0'}),
  '401': text(401, '{}', {'www-authenticate': 'Basic realm="x"'}),
  '401 without a challenge': text(401, '{}'),
  '403': text(403, '{}'),
  '503': text(503, ''),
  '302 to itself': (_product, {target}, response) =>
    void response.writeHead(302, {location: target}).end(),
};

async function runAgainst(trial: Trial, kind: string, answer: Answer): Promise<void> {
  const product = PRODUCTS[kind];
  if (product === undefined) throw new Error(kind);
  const server = trial.use(
    await startHttpServer((request, response) => {
      if (product.list.test(request.url.pathname)) return answer(product, request, response);
      if (request.url.pathname === '/v2/auth/token')
        return sendJson(response, 200, {access_token: 'token'});
      if (request.url.pathname === '/v2/') return sendJson(response, 200, {});
      sendJson(response, 404, {errors: [{code: 'NAME_UNKNOWN'}]});
    }),
  );
  const password = trial.secret('password');
  const auth = Buffer.from(`robot$team+ci:${password}`).toString('base64');
  await trial.plant(
    trial.home('.docker', 'config.json'),
    JSON.stringify({auths: {[server.host]: {auth}}}),
  );
  const place = kind === 'harbor' || kind === 'catalog' ? server.host : `${server.host}/team`;
  const run = await trial.transship([
    'inventory',
    place,
    '--source-kind',
    kind,
    '--depth',
    'tags',
    '--format',
    'json',
  ]);
  expectEnd(run, [0, 1, 3]);
}

export const products: readonly Case[] = Object.entries(ANSWERS).flatMap(([name, answer]) =>
  Object.keys(PRODUCTS).map((kind) => ({
    group: 'lists of products',
    name: `${name}, ${kind}`,
    // A rate limit without Retry-After is waited for four minutes.
    seconds: 300,
    run: (trial: Trial) => runAgainst(trial, kind, answer),
  })),
);
