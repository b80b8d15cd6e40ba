import {expect, test} from 'vitest';
import {parseGitLabUrl} from '../../src/gitlab/connection.ts';
import {sendJson, startHttpServer} from '../support/http-server.ts';
import {CALL, openGitLab, projectJson, scripted} from './client.ts';

test('the token is sent in its header, and to no other host', async () => {
  await using other = await startHttpServer((_request, response) =>
    sendJson(response, 200, projectJson('a/b')),
  );
  await using rig = await scripted(({target}, response) => {
    const location = target.endsWith('moved') ? '/api/v4/projects/9' : `${other.url}/projects/9`;
    if (target.endsWith('9')) return sendJson(response, 200, projectJson('a/b'));
    response.writeHead(301, {location}).end();
  });
  await rig.gitlab.projects.get('old/moved', CALL);
  await rig.gitlab.projects.get('old/elsewhere', CALL);
  expect(rig.server.requests.map(({headers}) => headers['private-token'])).toEqual([
    'secret-token',
    'secret-token',
    'secret-token',
  ]);
  expect(other.requests).toHaveLength(1);
  expect(JSON.stringify(other.requests[0]?.headers)).not.toContain('secret-token');
});

test('the token of a job has its own header', async () => {
  await using server = await startHttpServer((_request, response) =>
    sendJson(response, 200, projectJson('a/b')),
  );
  await using gitlab = openGitLab(server.url, {kind: 'job-token', value: 'job-secret'});
  await gitlab.projects.get('a/b', CALL);
  expect(server.requests[0]).toMatchObject({
    target: '/api/v4/projects/a%2Fb',
    headers: {'job-token': 'job-secret'},
  });
  expect(server.requests[0]?.headers['private-token']).toBeUndefined();
});

test('lists are read to their end, by link or by page number', async () => {
  await using rig = await scripted(({url}, response) => {
    const page = url.searchParams.get('page');
    const link = `<http://inner.example/api/v4/x?page=2&per_page=100>; rel="next", <http://inner.example/?page=1>; rel="first"`;
    const headers: Record<string, string> =
      page === null ? {link} : {'x-next-page': page === '2' ? '3' : ''};
    const id = Number(page ?? 1);
    sendJson(response, 200, [{id, full_path: `g${id}`}], headers);
  });
  const found = await rig.gitlab.projects.transferLocations(9, 'g', CALL);
  expect(found.map(({fullPath}) => fullPath)).toEqual(['g1', 'g2', 'g3']);
  expect(rig.server.requests[0]?.target).toBe(
    '/api/v4/projects/9/transfer_locations?per_page=100&search=g',
  );
});

test.each([
  ['many entries', 40_000, ''],
  ['long ones', 1, 'x'.repeat(4_000_000)],
])('a list without end, of pages with %s, is an error', async (_, entries, name) => {
  let page = 1;
  await using rig = await scripted((_request, response) => {
    page++;
    const items = Array.from({length: entries}, (__, id) => ({id: id + 1, full_path: 'g', name}));
    sendJson(response, 200, items, {link: `</x?page=${page}>; rel="next"`});
  });
  const error = await rig.gitlab.groups.transferLocations(1, undefined, CALL).then(
    () => new Error('read'),
    (thrown: unknown) => thrown as Error,
  );
  expect(error).toMatchObject({code: 'RESPONSE_INVALID', side: 'gitlab'});
  expect(error.message).toContain('does not end');
  expect(rig.server.requests.length).toBeLessThan(50);
});

test('a list that runs in a circle is an error', async () => {
  await using rig = await scripted((_request, response) =>
    sendJson(response, 200, [], {link: '</x?page=1>; rel="next"'}),
  );
  await expect(rig.gitlab.groups.transferLocations(1, undefined, CALL)).rejects.toMatchObject({
    code: 'RESPONSE_INVALID',
    message: expect.stringContaining('loop') as string,
  });
  expect(rig.server.requests).toHaveLength(2);
});

test('tags are listed by keyset, and by page number where the registry has no database', async () => {
  await using rig = await scripted(({url}, response) => {
    if (url.searchParams.get('pagination') === 'keyset') {
      return sendJson(response, 405, {message: '405 Method Not Allowed'});
    }
    sendJson(response, 200, [{name: 'v1'}, {name: 'v2'}]);
  });
  const tags = await rig.gitlab.repositories.tags({id: 1, projectId: 9}, CALL);
  expect(tags).toEqual(['v1', 'v2']);
  expect(rig.server.requests).toHaveLength(2);
});

test('a policy is paused and put back as it was', async () => {
  const policy = {cadence: '1month', enabled: true, keep_n: 1, older_than: '14d', name_regex: '.*'};
  await using rig = await scripted(({method}, response) =>
    sendJson(
      response,
      200,
      projectJson('a/b', {
        container_expiration_policy: {...policy, name_regex_keep: null, next_run_at: '2027-01-01'},
        container_registry_image_prefix: 'registry.example.com:5050/a/b',
        permissions: {project_access: null, group_access: {access_level: 50}},
        more: method,
      }),
    ),
  );
  const project = await rig.gitlab.projects.get(9, CALL);
  expect(project).toMatchObject({
    cleanupPolicy: policy,
    registryHost: 'registry.example.com:5050',
    accessLevel: 50,
  });
  await rig.gitlab.projects.setCleanupPolicy(9, {enabled: false}, CALL);
  await rig.gitlab.projects.setCleanupPolicy(9, project.cleanupPolicy ?? {}, CALL);
  const bodies = rig.server.requests
    .slice(1)
    .map(({body}) => JSON.parse(body.toString()) as unknown);
  expect(bodies).toEqual([
    {container_expiration_policy_attributes: {enabled: false}},
    {container_expiration_policy_attributes: policy},
  ]);
});

test('rules are undefined where the version has none, and unknown levels keep everybody out', async () => {
  await using rig = await scripted(({target}, response) => {
    if (target.includes('/tag/')) return sendJson(response, 404, {error: '404 Not Found'});
    sendJson(response, 200, [
      {
        id: 1,
        repository_path_pattern: 'a/b/*',
        minimum_access_level_for_push: 'maintainer',
        minimum_access_level_for_delete: 'wizard',
      },
    ]);
  });
  await expect(rig.gitlab.protection.ofTags(9, CALL)).resolves.toBeUndefined();
  await expect(rig.gitlab.protection.ofRepositories(9, CALL)).resolves.toEqual([
    {id: 1, pattern: 'a/b/*', push: 40, delete: 60},
  ]);
});

test('an answer of another form is an error that names the field', async () => {
  await using rig = await scripted((_request, response) =>
    sendJson(response, 200, {...projectJson('a/b'), namespace: {id: 'x'}}),
  );
  await expect(rig.gitlab.projects.get(9, CALL)).rejects.toMatchObject({
    code: 'RESPONSE_INVALID',
    message: expect.stringContaining('namespace.id') as string,
  });
});

test.each([
  ['gitlab.example.com', 'https://gitlab.example.com/'],
  ['https://host/gitlab/api/v4/', 'https://host/gitlab'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080/'],
])('%s is the address %s', (text, url) => {
  expect(parseGitLabUrl(text).href).toBe(url);
});

test.each(['http://gitlab.example.com', 'https://me:secret@host', 'https://', ''])(
  '"%s" is no address',
  (text) => {
    expect(() => parseGitLabUrl(text)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.not.stringContaining('secret') as string,
      }) as Error,
    );
  },
);

test.each([
  'bad host/a',
  'user:pw@evil.test/a',
  'evil.test?/a',
  'evil.test:99999/a',
  '\u202e.test/a',
])('a record of %j names no registry', async (location) => {
  await using rig = await scripted((_request, response) =>
    sendJson(response, 200, [{id: 1, project_id: 1, path: 'a', location}]),
  );
  await expect(rig.gitlab.repositories.ofProject(1, CALL)).rejects.toMatchObject({
    code: 'RESPONSE_INVALID',
    side: 'gitlab',
  });
});
