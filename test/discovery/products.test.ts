import {describe, expect, test} from 'vitest';
import {dockerHubLister} from '../../src/discovery/docker-hub.ts';
import {githubLister} from '../../src/discovery/github.ts';
import {harborLister} from '../../src/discovery/harbor.ts';
import {quayLister} from '../../src/discovery/quay.ts';
import {type Handler, sendJson, startHttpServer} from '../support/http-server.ts';
import {startDockerHub, startGitHub, startHarbor, startQuay} from '../support/products.ts';
import {failure, listWith} from './lister-rig.ts';

const many = (count: number, prefix = 'app') =>
  Array.from({length: count}, (_, n) => `${prefix}-${String(n).padStart(4, '0')}`);
const below = (namespace: string, names: readonly string[]) =>
  names.map((name) => `${namespace}/${name}`);

describe('Harbor', () => {
  const robot = {
    name: 'robot$mover',
    password: 'a:b',
    projects: ['team', 'locked'],
    list: ['team'],
  };
  const projects = [
    {name: 'team', repositories: [...many(205), 'deep/er/name']},
    {name: 'locked', repositories: ['secret']},
    {name: 'library', public: true, repositories: ['nginx']},
  ];

  test('lists all pages of all projects to a robot, and names those that it may not list', async () => {
    await using harbor = await startHarbor(projects, [robot]);
    const {names, updated, unlisted} = await listWith(harborLister, harbor, '', [
      robot.name,
      robot.password,
    ]);
    expect(names).toEqual([...below('team', many(205)), 'team/deep/er/name', 'library/nginx']);
    expect(unlisted).toEqual({locked: 'REPOSITORIES_NOT_LISTED'});
    expect([...updated]).toEqual(['2026-03-01T10:00:00.000Z']);
  });

  test('is asked for one project where the prefix names it', async () => {
    await using harbor = await startHarbor(projects, [robot]);
    const login = [robot.name, robot.password] as const;
    const {names} = await listWith(harborLister, harbor, 'team/deep', login);
    expect(names).toEqual(['team/deep/er/name']);
    expect(harbor.asked.every(({target}) => target.includes('/projects/team/'))).toBe(true);
  });

  test('lists public projects without a login', async () => {
    await using harbor = await startHarbor(projects);
    expect((await listWith(harborLister, harbor, '')).names).toEqual(['library/nginx']);
    expect(harbor.asked.map(({authorization}) => authorization)).toEqual([undefined, undefined]);
  });

  test('behind a proxy that drops Link is read by the total count', async () => {
    await using harbor = await startHarbor(
      [{name: 'team', public: true, repositories: many(300)}],
      [],
      {dropsLink: true},
    );
    expect((await listWith(harborLister, harbor, 'team')).names).toHaveLength(300);
  });

  test('that refuses says what the account needs and what to write instead', async () => {
    await using harbor = await startHarbor(projects, [robot]);
    const login = [robot.name, robot.password] as const;
    const error = await failure(listWith(harborLister, harbor, 'locked', login));
    expect(error).toMatchObject({code: 'REPOSITORIES_NOT_LISTED', status: 403, side: 'source'});
    expect(error.hint).toMatch(/List Repository.*--repositories FILE/s);
  });
});

describe('Docker Hub', () => {
  const login = {identifier: 'ada', secret: 'dckr_pat_secret'};
  const acme = [...many(230).map((name) => ({name})), {name: 'hidden', isPrivate: true}];

  test('lists all pages of a namespace, and asks no host that a page names', async () => {
    await using hub = await startDockerHub({acme});
    const {names, updated} = await listWith(dockerHubLister, hub, 'acme');
    expect(names).toEqual(below('acme', many(230)));
    expect([...updated]).toEqual(['2026-02-03T04:05:06.000007Z']);
    expect(hub.asked).toHaveLength(3);
  });

  test('lists private repositories with a token for the login, got once', async () => {
    await using hub = await startDockerHub({acme}, {login});
    const {names, tokens} = await listWith(dockerHubLister, hub, 'acme', ['ada', login.secret]);
    expect(names).toContain('acme/hidden');
    expect(tokens).toEqual(['hub-access-token']);
    expect(hub.asked.filter(({method}) => method === 'POST')).toHaveLength(1);
    const lists = hub.asked.filter(({method}) => method === 'GET');
    expect(lists.map(({authorization}) => authorization)).not.toContain(undefined);
  });

  test('that wants fewer requests is waited for', async () => {
    await using hub = await startDockerHub({acme}, {limits: 2});
    expect((await listWith(dockerHubLister, hub, 'acme')).names).toHaveLength(230);
  });

  test('with a Retry-After of an hour ends with RATE_LIMITED', async () => {
    await using hub = await startDockerHub({acme}, {limits: 9, retryAfterS: 3600});
    const error = await failure(listWith(dockerHubLister, hub, 'acme'));
    expect(error.code).toBe('RATE_LIMITED');
    expect(error.retryAfterMs).toBeGreaterThan(3_000_000);
  });

  test.each([
    ['a wrong password', 'acme', ['ada', 'wrong'] as const, 'UNAUTHORIZED'],
    ['an unknown namespace', 'nobody', undefined, 'REPOSITORIES_NOT_LISTED'],
    ['no namespace', '', undefined, 'REPOSITORIES_NOT_LISTED'],
  ])('refuses %s', async (_what, prefix, account, code) => {
    await using hub = await startDockerHub({acme}, {login});
    const error = await failure(listWith(dockerHubLister, hub, prefix, account));
    expect(error.code).toBe(code);
    expect(`${error.message}${error.hint}`).not.toContain('wrong');
  });
});

describe('Quay', () => {
  const repositories = [
    ...many(7).map((name) => ({namespace: 'acme', name, isPublic: true})),
    {namespace: 'acme', name: 'hidden', isPublic: false},
    {namespace: 'other', name: 'thing', isPublic: true},
  ];

  test('lists public repositories of a namespace over all pages', async () => {
    await using quay = await startQuay(repositories, {pageSize: 3});
    const {names, updated} = await listWith(quayLister, quay, 'acme');
    expect(names).toEqual(below('acme', many(7)));
    expect([...updated]).toEqual(['2026-02-02T02:40:00.000Z']);
    expect(quay.asked).toHaveLength(3);
  });

  test('lists private ones with an OAuth token, and never gets the password of a robot', async () => {
    await using quay = await startQuay(repositories, {token: 'oauth'});
    const withToken = await listWith(quayLister, quay, 'acme', ['$oauthtoken', 'oauth']);
    expect(withToken.names).toContain('acme/hidden');
    const withRobot = await listWith(quayLister, quay, 'acme', ['acme+robot', 'its-password']);
    expect(withRobot.names).not.toContain('acme/hidden');
    expect(quay.asked.at(-1)?.authorization).toBeUndefined();
  });

  test('refuses a token that it does not know', async () => {
    await using quay = await startQuay(repositories, {token: 'oauth'});
    const error = await failure(listWith(quayLister, quay, 'acme', ['$oauthtoken', 'old']));
    expect(error.code).toBe('REPOSITORIES_NOT_LISTED');
    expect(error.hint).toContain('$oauthtoken');
  });
});

describe('GitHub', () => {
  const owners = {
    organisations: {Acme: ['App', ...many(130), 'tools/lint']},
    users: {ada: ['cli']},
  };
  const login = ['ada', 'ghp_token'] as const;

  test('lists the packages of an organisation over all pages, in lower case', async () => {
    await using github = await startGitHub(owners, {token: 'ghp_token'});
    const {names} = await listWith(githubLister, github, 'acme', login);
    expect(names).toEqual(['acme/app', ...below('acme', many(130)), 'acme/tools/lint']);
    expect(github.asked.every(({url}) => url.host === github.host)).toBe(true);
  });

  test('lists the packages of a user', async () => {
    await using github = await startGitHub(owners, {token: 'ghp_token'});
    const {names, updated} = await listWith(githubLister, github, 'ada', login);
    expect(names).toEqual(['ada/cli']);
    expect([...updated]).toEqual(['2026-01-02T03:04:05Z']);
  });

  test('distinguishes an exhausted rate limit from a refusal', async () => {
    await using spent = await startGitHub(owners, {token: 'ghp_token', isExhausted: true});
    expect((await failure(listWith(githubLister, spent, 'ada', login))).code).toBe('RATE_LIMITED');
    await using github = await startGitHub(owners, {token: 'ghp_token'});
    const anonymous = await failure(listWith(githubLister, github, 'ada'));
    expect(anonymous).toMatchObject({code: 'REPOSITORIES_NOT_LISTED', status: 401});
    expect(anonymous.hint).toContain('read:packages');
  });
});

/** Answers a list of Docker Hub with this page, whatever is asked. */
const always =
  (page: (url: URL) => unknown): Handler =>
  ({url}, response) =>
    sendJson(response, 200, page(url));

describe('a list that is not as it should be', () => {
  test.each([
    ['names itself as the next page', {results: [], next: 'https://hub.docker.com/v2/x'}, 'loop'],
    ['names no URL as the next page', {results: [], next: 'http://['}, 'not a URL'],
    ['has another form', {repositories: []}, 'is invalid at results'],
    ['has an invalid item', {results: [{name: 5}]}, 'is invalid at results.0.name'],
  ])('%s: is an error', async (_what, page, message) => {
    await using server = await startHttpServer(always(() => page));
    const error = await failure(listWith(dockerHubLister, server, 'acme'));
    expect(error.code).toBe('RESPONSE_INVALID');
    expect(error.message).toContain(message);
    expect(server.requests.length).toBeLessThanOrEqual(2);
  });

  test('without end is given up', async () => {
    await using server = await startHttpServer(
      always(({searchParams}) => {
        const page = Number(searchParams.get('page') ?? '1');
        return {results: [{name: `app-${page}`}], next: `?page=${page + 1}`};
      }),
    );
    const error = await failure(listWith(dockerHubLister, server, 'acme'));
    expect(error.message).toContain('has no end');
    expect(server.requests).toHaveLength(4000);
  });

  test('that is a web page is not taken for a product', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, {'content-type': 'text/html'}).end('<html><title>Login</title>');
    });
    const error = await failure(listWith(harborLister, server, 'team'));
    expect(error).toMatchObject({code: 'RESPONSE_INVALID', side: 'source'});
    expect(error.hint).toContain('--source-kind');
  });

  test('never gets a password to another host by a redirect', async () => {
    await using other = await startHttpServer(always(() => ({access_token: 'x', results: []})));
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(307, {location: `${other.url}/v2/auth/token`}).end();
    });
    const login = ['ada', 'the-password'] as const;
    const hub = await failure(listWith(dockerHubLister, server, 'acme', login));
    expect(hub.code).toBe('REDIRECT_REFUSED');
    expect(other.requests).toEqual([]);
    await failure(listWith(harborLister, server, 'team', login));
    expect(other.requests.map(({headers}) => headers.authorization)).toEqual([undefined]);
  });
});
