import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {copiesOf, type CopyPlan, creationsOf} from '../../src/model/plan.ts';
import {OCI_INDEX} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerHub, startHarbor} from '../support/products.ts';
import {put} from '../support/push-image.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const seed = parseSeed({
  users: [
    {name: 'root', admin: true},
    {name: 'ada', password: 'ada-password'},
    {name: 'dev', password: 'dev-password'},
  ],
  groups: [
    {path: 'acme', members: {ada: 'owner'}},
    {path: 'open', visibility: 'public', members: {ada: 'owner'}},
    {path: 'devs', members: {ada: 'owner', dev: 'developer'}, projectCreation: 'developer'},
    {path: 'strict', members: {ada: 'maintainer', dev: 'developer'}, projectCreation: 'maintainer'},
    {path: 'closed', members: {ada: 'owner'}, projectCreation: 'noone'},
  ],
  projects: [
    {path: 'acme/images'},
    {path: 'acme/off', registry: 'disabled'},
    {path: 'acme/kept', archived: true},
    {path: 'acme/Mixed'},
  ],
  tokens: [
    {value: 'ada-api', user: 'ada', scopes: ['api']},
    {value: 'dev-api', user: 'dev', scopes: ['api']},
    {value: 'ada-read', user: 'ada', scopes: ['read_api', 'read_registry', 'write_registry']},
    {value: 'job', kind: 'job', user: 'ada', project: 'acme/images'},
  ],
});

/** A login for the registry, and a token for the API. */
function environment(gitlab: GitLabSandbox, token = 'ada-api') {
  return {
    TRANSSHIP_DESTINATION_USERNAME: 'ada',
    TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
    TRANSSHIP_DESTINATION_HOST: gitlab.host,
    TRANSSHIP_GITLAB_HOST: gitlab.url,
    GITLAB_TOKEN: token,
  };
}

interface Situation {
  readonly gitlab: GitLabSandbox;
  readonly source: {readonly host: string};
  readonly routes: string;
  readonly more?: string;
  readonly token?: string;
  readonly args?: readonly string[];
}

/** Plans a migration of a source into the group `acme`, with the directory in which the files are. */
async function planned(
  {gitlab, source, routes, more = '', token, args = []}: Situation,
  temp: TempDirectory,
) {
  const file = temp.join('m.yaml');
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${gitlab.host}\nroutes:\n${routes}${more}`,
  );
  const out = temp.join('m.plan.json');
  const env = environment(gitlab, token);
  const run = await transship(
    ['plan', file, '--out', out, '--format=json', '--no-cache', ...args],
    {env},
  );
  const made = run.stdout === '' ? undefined : (JSON.parse(run.stdout) as CopyPlan);
  return {...run, file, out, env, made};
}

async function plannedOnce(situation: Situation) {
  await using temp = await tempDirectory();
  return await planned(situation, temp);
}

const creations = (made: CopyPlan | undefined) =>
  made ? creationsOf(made).map(({kind, path, visibility}) => [kind, path, visibility]) : [];

const forbidden = (made: CopyPlan | undefined) =>
  (made?.checks ?? [])
    .filter(({result}) => result === 'forbid')
    .map(({code, message}) => [code, message]);

const LAYER = Buffer.from('a layer');

async function startSource(...repositories: readonly string[]) {
  const source = await startSandbox();
  for (const name of repositories)
    await storeImage(source.storage, name as RepositoryPath, 'v1', [LAYER]);
  return source;
}

async function apiGet(gitlab: GitLabSandbox, path: string): Promise<unknown> {
  const answer = await fetch(`${gitlab.url}/api/v4/${path}`, {
    headers: {'private-token': 'ada-api'},
  });
  return await answer.json();
}

async function apiSend(
  gitlab: GitLabSandbox,
  method: 'POST' | 'PUT',
  path: string,
  body: object,
): Promise<void> {
  await fetch(`${gitlab.url}/api/v4/${path}`, {
    method,
    headers: {'private-token': 'ada-api', 'content-type': 'application/json'},
    body: JSON.stringify(body),
  });
}

/** Of each step of a run, with the code of its error. */
function outcomes(stdout: string) {
  const {steps} = JSON.parse(stdout) as {steps: {outcome: string; error?: {code: string}}[]};
  return steps.map(({outcome, error}) => [outcome, error?.code]);
}

describe('projects and groups of the destination', () => {
  test('are created before the images are copied, and found by the next run', async () => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('team/web', 'team/db');
    await using temp = await tempDirectory();
    const {code, made, out, env, file} = await planned(
      {
        gitlab,
        source,
        routes:
          "  - from: team/*\n    to: 'acme/fresh/deep/{1}'\n    project: acme/fresh/deep/{1}\n",
        more: 'gitlab: {projects: create, groups: create}\n',
      },
      temp,
    );
    expect(code).toBe(0);
    expect(creations(made)).toEqual([
      ['create-group', 'acme/fresh', 'private'],
      ['create-group', 'acme/fresh/deep', 'private'],
      ['create-project', 'acme/fresh/deep/db', 'private'],
      ['create-project', 'acme/fresh/deep/web', 'private'],
    ]);
    const review = await transship(['show', out], {env});
    expect(review.stdout).toContain(`project  ${gitlab.url}/acme/fresh/deep/web`);
    const applied = await transship(['apply', out], {env});
    expect([applied.code, applied.stderr]).toEqual([0, expect.not.stringContaining('error')]);
    expect((await transship(['verify', out], {env})).code).toBe(0);
    expect(gitlab.events.events.map(({kind}) => kind)).toEqual(
      expect.arrayContaining(['group-created', 'project-created']),
    );
    const again = await transship(['plan', file, '--detailed-exitcode', '--no-cache'], {env});
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect((await transship(['apply', out], {env})).code).toBe(0);
  });

  test('that exist are used, whatever the case of their path', async () => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('web', 'db/main');
    const {made, code} = await plannedOnce({
      gitlab,
      source,
      routes: '  - {from: web, to: acme/mixed/web}\n  - {from: db/main, to: acme/images/db/main}\n',
      more: 'gitlab: {projects: create}\n',
    });
    expect([code, creations(made), forbidden(made)]).toEqual([0, [], []]);
    expect(made ? copiesOf(made) : []).toHaveLength(2);
  });

  test.each([
    ['a project that is missing', '{from: web, to: acme/none}', '', 'PROJECT_NOT_FOUND'],
    [
      'a group that is missing',
      '{from: web, to: nowhere/web}',
      'gitlab: {projects: create}\n',
      'GROUP_NOT_FOUND',
    ],
    ['a registry that is off', '{from: web, to: acme/off/web}', '', 'REGISTRY_DISABLED'],
    ['a project that is archived', '{from: web, to: acme/kept/web}', '', 'REGISTRY_READ_ONLY'],
    ['a path below the limit', '{from: web, to: acme/images/a/b/c}', '', 'NAME_RESERVED'],
    [
      'a path below the limit, whatever may be created',
      '{from: web, to: acme/images/a/b/c}',
      'gitlab: {projects: create, groups: create}\n',
      'NAME_RESERVED',
    ],
    [
      'a project without a group',
      '{from: web, to: web}',
      'gitlab: {projects: create, groups: create}\n',
      'NAME_RESERVED',
    ],
    [
      'a group in the place of a project',
      '{from: web, to: open/web, project: open}',
      'gitlab: {projects: create}\n',
      'NAME_TAKEN',
    ],
    [
      'a project in the place of a group',
      '{from: web, to: acme/images/a/b/c, project: acme/images/a}',
      'gitlab: {projects: create, groups: create}\n',
      'NAME_RESERVED',
    ],
    [
      'a name that GitLab reserves',
      '{from: web, to: acme/wikis}',
      'gitlab: {projects: create}\n',
      'NAME_RESERVED',
    ],
    [
      'more visibility than the group has',
      '{from: web, to: acme/web}',
      'gitlab: {projects: create, visibility: public}\n',
      'GITLAB_REFUSED',
    ],
  ])('%s forbids the plan, with its line', async (_what, route, more, code) => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('web');
    const run = await plannedOnce({gitlab, source, routes: `  - ${route}\n`, more});
    expect([run.code, run.stderr]).toEqual([3, '']);
    expect(forbidden(run.made)).toEqual([[code, expect.stringMatching(/m\.yaml:5:\d+: /)]]);
  });

  test.each(['', 'gitlab: {projects: create}\n'])(
    'that have another path by now are named by it%s',
    async (more) => {
      await using gitlab = await startGitLabSandbox({seed});
      await using source = await startSource('web');
      const {id} = (await apiGet(gitlab, 'projects/acme%2Fimages')) as {id: number};
      await apiSend(gitlab, 'PUT', `projects/${id}`, {path: 'pictures'});
      const routes = '  - {from: web, to: acme/images/web}\n';
      const run = await plannedOnce({gitlab, source, routes, more});
      expect(run.code).toBe(3);
      expect(forbidden(run.made)).toEqual([
        [
          'PROJECT_NOT_FOUND',
          expect.stringContaining('the project acme/images is now acme/pictures'),
        ],
      ]);
    },
  );

  test('cannot be created where no destination is a GitLab, which is said', async () => {
    await using source = await startSource('web');
    await using destination = await startSandbox();
    await using temp = await tempDirectory();
    const file = temp.join('m.yaml');
    await writeFile(
      file,
      `version: 1\nfrom: ${source.host}\nto: ${destination.host}\nroutes: [{from: web}]\ngitlab: {projects: create}\n`,
    );
    const run = await transship(['plan', file, '--format=json', '--no-cache']);
    expect(run.code).toBe(0);
    const {checks} = JSON.parse(run.stdout) as CopyPlan;
    expect(checks).toContainEqual(
      expect.objectContaining({code: 'NOT_GITLAB', result: 'warn', subject: destination.host}),
    );
  });

  test.each([
    ['ada-read', 'the token has the scopes'],
    ['none', 'there is no token for GitLab'],
  ])('cannot be created with the token %s', async (token, words) => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('web');
    const run = await plannedOnce({
      gitlab,
      source,
      routes: '  - {from: web, to: acme/fresh}\n',
      more: 'gitlab: {projects: create}\n',
      token: token === 'none' ? '' : token,
    });
    expect(run.code).toBe(token === 'none' ? 64 : 3);
    expect(run.stdout + run.stderr).toContain(words);
  });

  test.each([
    ['dev-api', 'devs/web', undefined],
    [
      'dev-api',
      'strict/web',
      "the token's owner is developer there, and creating projects takes maintainer",
    ],
    [
      'dev-api',
      'devs/sub/web',
      "the token's owner is developer there, and creating groups takes maintainer",
    ],
    ['ada-api', 'strict/web', undefined],
    ['ada-api', 'closed/web', 'nobody may create projects in it'],
    ['ada-api', 'dev/web', 'it is the namespace of the user dev'],
    ['ada-api', 'ada/web', undefined],
  ])('need a role that the group asks for: with %s for %s', async (token, to, why) => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('web');
    const {code, made} = await plannedOnce({
      gitlab,
      source,
      routes: `  - {from: web, to: ${to}, project: ${to}}\n`,
      more: 'gitlab: {projects: create, groups: create}\n',
      token,
    });
    const found = forbidden(made);
    expect([code, found.map(([name]) => name)]).toEqual(
      why === undefined ? [0, []] : [3, ['ROLE_MISSING']],
    );
    expect(found.map(([, message]) => message).join('')).toContain(why ?? '');
  });

  test('that exist meanwhile are no failure; one that cannot be created stops only its images', async () => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('a', 'b');
    await using temp = await tempDirectory();
    const {out, env} = await planned(
      {
        gitlab,
        source,
        routes: '  - {from: a, to: acme/one}\n  - {from: b, to: open/two}\n',
        more: 'gitlab: {projects: create}\n',
      },
      temp,
    );
    const group = (await apiGet(gitlab, 'groups/open')) as {id: number};
    // A group in the place of the project: nobody can create it there any more.
    await apiSend(gitlab, 'POST', 'groups', {path: 'two', name: 'two', parent_id: group.id});
    const acme = (await apiGet(gitlab, 'groups/acme')) as {id: number};
    await apiSend(gitlab, 'POST', 'projects', {path: 'one', name: 'one', namespace_id: acme.id});
    const run = await transship(['apply', out, '--format=json'], {env});
    expect(run.code).toBe(1);
    expect(outcomes(run.stdout)).toEqual([
      ['present', undefined],
      ['failed', 'NAME_TAKEN'],
      ['done', undefined],
      ['blocked', 'NAME_TAKEN'],
    ]);
  });

  test('that cannot be created take no blobs that others were to mount from them', async () => {
    await using gitlab = await startGitLabSandbox({seed});
    await using source = await startSource('a', 'b');
    await using temp = await tempDirectory();
    const {out, env, made} = await planned(
      {
        gitlab,
        source,
        routes: '  - {from: a, to: open/first}\n  - {from: b, to: open/second}\n',
        more: 'gitlab: {projects: create}\n',
      },
      temp,
    );
    expect(made?.blobs.flatMap(({mountFrom}) => mountFrom ?? [])).toContain(
      `${gitlab.host}/open/first`,
    );
    const group = (await apiGet(gitlab, 'groups/open')) as {id: number};
    await apiSend(gitlab, 'POST', 'groups', {path: 'first', name: 'first', parent_id: group.id});
    const run = await transship(['apply', out, '--format=json'], {env});
    expect(run.code).toBe(1);
    expect(outcomes(run.stdout)).toEqual([
      ['failed', 'NAME_TAKEN'],
      ['done', undefined],
      ['blocked', 'NAME_TAKEN'],
      ['done', undefined],
    ]);
  });
});

test('missing projects are all named where only the registry can be asked', async () => {
  await using gitlab = await startGitLabSandbox({seed});
  await using source = await startSource('a', 'b', 'c');
  await using temp = await tempDirectory();
  const file = temp.join('m.yaml');
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${gitlab.host}\nroutes:\n  - {from: a, to: acme/none}\n  - {from: b, to: acme/images/b}\n  - {from: c, to: acme/neither}\n`,
  );
  const {GITLAB_TOKEN: _token, ...env} = environment(gitlab);
  const run = await transship(['plan', file, '--format=json', '--no-cache'], {
    env: {...env, TRANSSHIP_GITLAB_HOST: ''},
  });
  expect([run.code, run.stderr]).toEqual([3, '']);
  expect(forbidden(JSON.parse(run.stdout) as CopyPlan)).toEqual([
    ['FORBIDDEN', expect.stringMatching(/m\.yaml:5:19: .*acme\/none/)],
    ['FORBIDDEN', expect.stringMatching(/m\.yaml:7:19: .*acme\/neither/)],
  ]);
});

test('types that GitLab may refuse are a warning of the plan', async () => {
  await using gitlab = await startGitLabSandbox({seed});
  await using source = await startSource('web');
  await storeImage(
    source.storage,
    'odd' as RepositoryPath,
    'v1',
    [LAYER],
    'application/vnd.odd.config.v1+json',
  );
  const {code, made} = await plannedOnce({
    gitlab,
    source,
    routes: '  - {from: web, to: acme/images/web}\n  - {from: odd, to: acme/images/odd}\n',
  });
  expect(code).toBe(0);
  expect(made?.checks).toEqual([
    expect.objectContaining({
      code: 'MEDIA_TYPE_UNKNOWN',
      result: 'warn',
      subject: `${gitlab.host}/acme/images/odd`,
      message: expect.stringContaining('application/vnd.odd.config.v1+json'),
    }),
  ]);
});

test('an unknown artifactType of an index is no warning: GitLab does not read it, and takes the index', async () => {
  await using gitlab = await startGitLabSandbox({seed});
  await using source = await startSource('web');
  const web = 'web' as RepositoryPath;
  const digest = await source.storage.manifests.resolve(web, 'v1' as Tag);
  const child = digest && (await source.storage.manifests.get(web, digest));
  if (!child) throw new Error('the source has no image');
  const {mediaType, bytes} = child;
  const manifests = [{mediaType, digest, size: bytes.byteLength}];
  const index = {schemaVersion: 2, mediaType: OCI_INDEX, artifactType: 'application/x', manifests};
  await put(`${source.url}/v2/web/manifests/index`, OCI_INDEX, JSON.stringify(index));
  await using temp = await tempDirectory();
  const routes = '  - {from: web, to: acme/images/web}\n';
  const {code, made, out, env} = await planned({gitlab, source, routes}, temp);
  expect([code, made?.checks]).toEqual([0, []]);
  expect(await transship(['apply', out], {env})).toMatchObject({code: 0});
});

describe('a migration into GitLab', () => {
  test('from Harbor, many repositories into one project', async () => {
    await using harbor = await startHarbor([
      {name: 'team', public: true, repositories: ['web/api', 'db']},
      {name: 'other', public: true, repositories: ['x']},
    ]);
    for (const name of ['team/web/api', 'team/db', 'other/x'])
      await storeImage(harbor.storage, name as RepositoryPath, 'v1', [LAYER]);
    await using gitlab = await startGitLabSandbox({seed});
    await using temp = await tempDirectory();
    const {code, made, out, env} = await planned(
      {
        gitlab,
        source: harbor,
        routes: "  - from: team/**\n    to: 'acme/moved/{flat}'\n    project: acme/moved\n",
        more: 'gitlab: {projects: create}\n',
        args: ['--source-kind', `${harbor.host}=harbor`],
      },
      temp,
    );
    expect([code, creations(made)]).toEqual([0, [['create-project', 'acme/moved', 'private']]]);
    expect((await transship(['apply', out], {env})).code).toBe(0);
    expect(
      (await gitlab.storage.manifests.tags('acme/moved/team-web-api' as RepositoryPath)).length,
    ).toBe(1);
  });

  test('from a Docker Hub organisation, a project for each', async () => {
    await using hub = await startDockerHub({acme: [{name: 'web'}, {name: 'internal-x'}]});
    await storeImage(hub.storage, 'acme/web' as RepositoryPath, 'v1', [LAYER]);
    await using gitlab = await startGitLabSandbox({seed});
    await using temp = await tempDirectory();
    const {code, made, out, env} = await planned(
      {
        gitlab,
        source: hub,
        routes:
          "  - from: acme/*\n    exclude: acme/internal-*\n    to: 'acme/hub-{1}'\n    project: 'acme/hub-{1}'\n",
        more: 'gitlab: {projects: create}\n',
        args: ['--source-kind', `${hub.host}=docker-hub`],
      },
      temp,
    );
    expect([code, creations(made)]).toEqual([0, [['create-project', 'acme/hub-web', 'private']]]);
    expect((await transship(['apply', out], {env})).code).toBe(0);
  });
});
