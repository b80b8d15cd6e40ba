import {describe, expect, test} from 'vitest';
import {gitlabLister} from '../../src/discovery/gitlab.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {openGitLab, projectJson, scripted} from '../gitlab/client.ts';
import {type Handler, sendJson} from '../support/http-server.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {failure, listed} from './lister-rig.ts';

const HOST = 'registry.acme.example';
const GROUPS = ['acme', 'acme/sub', 'locked', 'tools/inner'];

/** Image paths as GitLab tells of them, so many below a path. */
function records(path: string, count: number): object[] {
  return Array.from({length: count}, (_, n) => {
    const image = `${path}/app-${String(n).padStart(3, '0')}`;
    const status = n === 1 ? 'delete_scheduled' : null;
    return {id: n, project_id: 9, name: '', path: image, location: `${HOST}/${image}`, status};
  });
}

/**
 * A member of some groups and of projects elsewhere (GitLab: doc/api/groups.md, doc/api/projects.md): groups by page
 * numbers, projects by keyset.
 */
const instance: Handler = ({url}, response) => {
  const {searchParams, pathname} = url;
  const path = decodeURIComponent(pathname.replace('/api/v4/', ''));
  const page = Number(searchParams.get('page') ?? '1');
  if (path === 'groups') {
    const shown = GROUPS.slice((page - 1) * 2, page * 2).map((fullPath) => ({
      id: GROUPS.indexOf(fullPath) + 1,
      name: fullPath,
      path: fullPath,
      full_path: fullPath,
    }));
    return sendJson(response, 200, shown, {'x-next-page': page === 1 ? '2' : ''});
  }
  if (path === 'projects') {
    const isFirst = !searchParams.has('id_after');
    const shown = isFirst
      ? [projectJson('acme/sub/app', {id: 20}), projectJson('ada/pet', {id: 21})]
      : [
          projectJson('ada/off', {id: 22, container_registry_access_level: 'disabled'}),
          projectJson('ada/hidden', {id: 23}),
        ];
    const link = `<https://inside/api/v4/projects?${searchParams.toString()}&id_after=21>; rel="next"`;
    return sendJson(response, 200, shown, isFirst ? {link} : {});
  }
  if (path === 'groups/3/registry/repositories' || path.startsWith('projects/23/'))
    return sendJson(response, 403, {message: '403 Forbidden'});
  const found: Record<string, object[]> = {
    'groups/1/registry/repositories': records('acme/sub/app', 150),
    'groups/4/registry/repositories': records('tools/inner/x', 1),
    'projects/21/registry/repositories': records('ada/pet', 3),
  };
  const all = found[path];
  if (all === undefined) return sendJson(response, 404, {message: '404 Not Found'});
  const next = page * 100 < all.length ? String(page + 1) : '';
  return sendJson(response, 200, all.slice((page - 1) * 100, page * 100), {'x-next-page': next});
};

describe('a GitLab without a prefix', () => {
  test('lists each group with its subgroups once, and projects outside of them', async () => {
    await using rig = await scripted(instance);
    let own = 0;
    const lister = gitlabLister({
      host: HOST,
      gitlab: rig.gitlab,
      isOwnRegistry: () => {
        own++;
      },
    });
    const {names, unlisted} = await listed(lister, '');
    expect(names).toHaveLength(149 + 1 + 2);
    expect(names).toContain('acme/sub/app/app-149');
    expect(names).toContain('ada/pet/app-002');
    expect(names).not.toContain('ada/pet/app-001');
    expect(unlisted).toEqual({
      locked: 'REPOSITORIES_NOT_LISTED',
      'ada/hidden': 'REPOSITORIES_NOT_LISTED',
    });
    expect(own).toBeGreaterThan(0);
    const asked = rig.server.requests.map(({url}) => url.pathname);
    expect(asked).not.toContain('/api/v4/groups/2/registry/repositories');
    expect(asked).not.toContain('/api/v4/projects/22/registry/repositories');
  });

  test('whose images are at another host gets no token for this one', async () => {
    await using rig = await scripted(instance);
    const lister = gitlabLister({
      host: 'registry.other.example',
      gitlab: rig.gitlab,
      isOwnRegistry: () => {
        throw new Error('it is not');
      },
    });
    const error = await failure(listed(lister, ''));
    expect(error).toMatchObject({code: 'REPOSITORIES_NOT_LISTED', side: 'gitlab'});
    expect(error.message).toContain(HOST);
  });
});

describe('a GitLab with a prefix', () => {
  test.each([
    ['of a group', 'org', ['org/build/app', 'org/build/app/tools/lint']],
    ['of a subgroup', 'org/build', ['org/build/app', 'org/build/app/tools/lint']],
    ['of a project', 'org/build/app', ['org/build/app', 'org/build/app/tools/lint']],
    ['of an image below a project', 'org/build/app/tools', ['org/build/app/tools/lint']],
    ['of an image', 'org/build/app/tools/lint', ['org/build/app/tools/lint']],
  ])('%s lists the repositories below it', async (_what, prefix, names) => {
    await using sandbox = await startGitLabSandbox({seed: parseSeed(transferSeed())});
    await using gitlab = openGitLab(sandbox.url, 'root-api');
    const lister = gitlabLister({host: sandbox.host, gitlab, isOwnRegistry: () => undefined});
    expect((await listed(lister, prefix)).names.toSorted()).toEqual(names);
  });

  test.each([
    ['of nothing', 'org/nothing', 'root-api'],
    ['and a token without the API', 'org', 'ada-registry'],
  ])('%s is reported', async (_what, prefix, token) => {
    await using sandbox = await startGitLabSandbox({seed: parseSeed(transferSeed())});
    await using gitlab = openGitLab(sandbox.url, token);
    const lister = gitlabLister({host: sandbox.host, gitlab, isOwnRegistry: () => undefined});
    const error = await failure(listed(lister, prefix));
    expect(error.code).toMatch(/^(?:REPOSITORIES_NOT_LISTED|TOKEN_SCOPE_MISSING)$/);
  });
});
