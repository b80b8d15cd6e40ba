import {expect, test} from 'vitest';
import {sendJson} from '../support/http-server.ts';
import {CALL, projectJson, scripted} from './client.ts';

test('200 with null is a refusal', async () => {
  await using rig = await scripted(({method}, response) =>
    sendJson(response, 200, method === 'PUT' ? null : projectJson('a/b/c')),
  );
  await expect(rig.gitlab.projects.changePath(9, 'd', CALL)).rejects.toMatchObject({
    code: 'PATH_CHANGE_REFUSED',
    status: 200,
  });
});

test('a change that is there counts, whatever was answered', async () => {
  let path = 'c';
  await using rig = await scripted(({method}, response) => {
    if (method === 'GET') return sendJson(response, 200, projectJson(`a/b/${path}`));
    path = 'd';
    sendJson(response, 502, {message: 'bad gateway'});
  });
  await expect(rig.gitlab.projects.changePath(9, 'd', CALL)).resolves.toMatchObject({
    fullPath: 'a/b/d',
  });
  expect(rig.server.requests.filter(({method}) => method === 'PUT')).toHaveLength(1);
});

test('a transfer in the background is waited for', async () => {
  let looks = 0;
  await using rig = await scripted(({method}, response) => {
    if (method === 'PUT') return sendJson(response, 202, {});
    looks++;
    sendJson(response, 200, projectJson(looks < 4 ? 'a/c' : 'a/b/c'));
  });
  await expect(rig.gitlab.projects.transfer(9, 2, CALL)).resolves.toMatchObject({
    fullPath: 'a/b/c',
  });
  expect(looks).toBe(4);
});

test('a transfer that was done before is done', async () => {
  await using rig = await scripted(({method}, response) => {
    if (method === 'GET') return sendJson(response, 200, projectJson('a/b/c'));
    sendJson(response, 400, {message: 'Project is already in this namespace.'});
  });
  await expect(rig.gitlab.projects.transfer(9, 2, CALL)).resolves.toMatchObject({id: 9});
});

test('a change that GitLab refused for the moment is asked for again', async () => {
  const statuses = [429, 429, 200];
  await using rig = await scripted(({method}, response) => {
    if (method === 'GET') return sendJson(response, 200, projectJson('a/b/d'));
    const status = statuses.shift() ?? 599;
    if (status === 200) return sendJson(response, 200, projectJson('a/b/d'));
    response.writeHead(status, {'retry-after': '0'}).end('Retry later\n');
  });
  await rig.gitlab.projects.changePath(9, 'd', CALL);
  expect(statuses).toEqual([]);
});

test('a repository is polled until it is deleted, and a failed deletion ends the wait', async () => {
  const statuses: (string | null)[] = ['delete_scheduled', 'delete_ongoing'];
  let last: 'gone' | 'delete_failed' = 'gone';
  await using rig = await scripted((_request, response) => {
    const status = statuses.shift() ?? last;
    if (status === 'gone') return sendJson(response, 404, {message: '404 Not found'});
    sendJson(response, 200, {
      id: 1,
      project_id: 9,
      name: '',
      path: 'a/b',
      location: 'h:5/a/b',
      status,
    });
  });
  await rig.gitlab.repositories.untilDeleted(1, CALL);
  last = 'delete_failed';
  await expect(rig.gitlab.repositories.untilDeleted(1, CALL)).rejects.toMatchObject({
    code: 'REPOSITORY_DELETE_FAILED',
  });
});

test('a wait ends with its signal', async () => {
  const controller = new AbortController();
  await using rig = await scripted(({method}, response) => {
    if (method === 'PUT') return sendJson(response, 202, {});
    sendJson(response, 200, projectJson('a/c'));
    controller.abort(new Error('enough'));
  });
  const transfer = rig.gitlab.projects.transfer(9, 2, {signal: controller.signal});
  await expect(transfer).rejects.toThrow('enough');
});
