import {expect, test} from 'vitest';
import {parseGitLabUrl} from '../../src/gitlab/connection.ts';
import {GitLab} from '../../src/gitlab/gitlab.ts';
import {HttpClient} from '../../src/http/client.ts';
import {sendJson, startHttpServer} from '../support/http-server.ts';
import {CALL, projectJson, scripted} from './client.ts';

test.each([502, 504])('after %i a transfer may go on, and is waited for', async (status) => {
  let looks = 0;
  await using rig = await scripted(({method}, response) => {
    if (method === 'PUT') return sendJson(response, status, {});
    looks++;
    sendJson(response, 200, projectJson(looks < 3 ? 'a/c' : 'a/b/c'));
  });
  const moved = await rig.gitlab.projects.transfer(9, 2, CALL);
  expect(moved.fullPath).toBe('a/b/c');
});

test('a refusal is not waited for', async () => {
  await using rig = await scripted(({method}, response) =>
    method === 'PUT'
      ? sendJson(response, 400, {message: 'no'})
      : sendJson(response, 200, projectJson('a/c')),
  );
  await expect(rig.gitlab.projects.transfer(9, 2, CALL)).rejects.toMatchObject({status: 400});
  expect(rig.server.requests.map(({method}) => method)).toEqual(['PUT', 'GET']);
});

test('patience ends', async () => {
  await using server = await startHttpServer(({method, url}, response) => {
    if (method === 'PUT') return sendJson(response, 202, {});
    const image = {id: 1, project_id: 9, name: '', path: 'a/b', location: 'h/a/b', status: null};
    sendJson(response, 200, url.pathname.includes('registry') ? image : projectJson('a/c'));
  });
  await using http = new HttpClient();
  const gitlab = new GitLab({
    url: parseGitLabUrl(server.url),
    token: {kind: 'access-token', value: 'x'},
    http,
    patience: {everyMs: 1, limitMs: 3},
  });
  const unseen = {code: 'CHANGE_NOT_SEEN', retry: true};
  await expect(gitlab.projects.transfer(9, 2, CALL)).rejects.toMatchObject(unseen);
  await expect(gitlab.repositories.untilDeleted(1, CALL)).rejects.toMatchObject(unseen);
});

test('the end of a rate limit’s period is waited for where nothing else is said', async () => {
  const reset = Math.ceil(Date.now() / 1000) + 3600;
  await using rig = await scripted((_request, response) => {
    response.writeHead(429, {'ratelimit-reset': String(reset)}).end('Retry later\n');
  });
  const error: unknown = await rig.gitlab.projects.find(9, CALL).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({code: 'RATE_LIMITED', retry: true});
  expect((error as {retryAfterMs: number}).retryAfterMs).toBeGreaterThan(3_000_000);
});

test('a page in HTML is no missing project', async () => {
  await using rig = await scripted((_request, response) => {
    response.writeHead(404, {'content-type': 'text/html'}).end('<title>nginx</title>');
  });
  const notGitLab = {code: 'NOT_GITLAB', message: expect.stringContaining('nginx') as string};
  await expect(rig.gitlab.projects.find(9, CALL)).rejects.toMatchObject(notGitLab);
  await expect(rig.gitlab.projects.delete(9, CALL)).rejects.toMatchObject(notGitLab);
});

test.each([
  ['text/html', '<title>Sign in</title>', 'Sign in'],
  ['text/plain', 'alive', 'alive'],
])('an answer in %s is no deletion, whatever its status', async (type, body, words) => {
  await using rig = await scripted((_request, response) => {
    response.writeHead(200, {'content-type': type}).end(body);
  });
  const notGitLab = {code: 'NOT_GITLAB', message: expect.stringContaining(words) as string};
  const {projects, repositories} = rig.gitlab;
  await expect(projects.delete(9, CALL)).rejects.toMatchObject(notGitLab);
  const image = {id: 1, projectId: 9};
  await expect(repositories.deleteTag(image, 'v1', CALL)).rejects.toMatchObject(notGitLab);
  await expect(repositories.delete(image, CALL)).rejects.toMatchObject(notGitLab);
});

test.each([
  ['', 200],
  ['202', 202],
  ['null', 200],
])('GitLab’s %j is a deletion', async (body, status) => {
  await using rig = await scripted((_request, response) => {
    response.writeHead(status, {'content-type': 'application/json'}).end(body);
  });
  const image = {id: 1, projectId: 9};
  expect(await rig.gitlab.repositories.deleteTag(image, 'v1', CALL)).toBe('deleted');
});

test.each([
  ['a page', 'text/html', '<title>Sign in</title>', 'NOT_GITLAB'],
  ['nothing changed', 'application/json', 'null', 'RESPONSE_INVALID'],
])('a setting that is answered with %s is not made', async (_what, type, body, code) => {
  await using rig = await scripted((_request, response) => {
    response.writeHead(200, {'content-type': type}).end(body);
  });
  const set = rig.gitlab.projects.setCleanupPolicy(9, {enabled: false}, CALL);
  await expect(set).rejects.toMatchObject({code});
});

test('the message of a server failure is not mistaken for a refusal', async () => {
  await using rig = await scripted((_request, response) =>
    sendJson(response, 500, {message: 'path has already been taken'}),
  );
  await expect(rig.gitlab.projects.find(9, CALL)).rejects.toMatchObject({
    code: 'GITLAB_UNAVAILABLE',
  });
});
