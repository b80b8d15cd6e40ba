import {expect, test} from 'vitest';
import type {SeedInput} from '../../src/sandbox/gitlab/seed.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/** Who may use images because of the groups that they are below: tokens of deployments, CI jobs, visibility. */

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0', tag: 'v1'};

const SEED: SeedInput = {
  users: [{name: 'ada'}, {name: 'mia'}],
  groups: [
    {path: 'org', visibility: 'public', members: {ada: 'owner'}},
    {path: 'org/build', visibility: 'public', members: {mia: 'owner'}},
    {path: 'new_org', visibility: 'internal', members: {ada: 'owner', mia: 'owner'}},
    {path: 'donors', members: {ada: 'owner', mia: 'owner'}},
  ],
  projects: [
    {
      path: 'org/build/app',
      visibility: 'public',
      images: [CHART],
      jobAllowlist: {groups: ['org/build', 'donors']},
    },
    {path: 'org/site', jobAllowlist: {groups: ['org']}},
    {path: 'org/docs', jobAllowlist: {groups: ['org/build']}},
    {path: 'org/shop', jobAllowlist: {projects: ['org/build/app']}},
    {path: 'new_org/api', jobAllowlist: {groups: ['org/build']}},
    {path: 'donors/parking'},
  ],
  tokens: [
    {value: 'ada-api', user: 'ada', scopes: ['api']},
    {value: 'mia-api', user: 'mia', scopes: ['api']},
    {
      value: 'k8s',
      user: 'ada',
      kind: 'deploy',
      name: 'cluster',
      scopes: ['read_registry'],
      group: 'org',
    },
    {
      value: 'git',
      user: 'ada',
      kind: 'deploy',
      name: 'code',
      scopes: ['read_repository'],
      group: 'org',
    },
    {
      value: 'old',
      user: 'ada',
      kind: 'deploy',
      name: 'past',
      scopes: ['read_registry'],
      group: 'org',
      expires: '2001-01-01',
    },
    {value: 'site-job', user: 'ada', kind: 'job', project: 'org/site'},
    {value: 'app-job', user: 'ada', kind: 'job', project: 'org/build/app'},
  ],
};

async function plan(what: string, token = 'ada-api') {
  await using parts = new AsyncDisposableStack();
  const rig = parts.use(await startRig({mode: 'legacy', seed: SEED}));
  const directory = parts.use(await tempDirectory());
  const file = directory.join('move.plan.json');
  const run = (args: string) =>
    transship(args.split(' '), {
      env: {GITLAB_TOKEN: token},
      home: directory.path,
    });
  const planned = await run(
    `plan transfer ${what} --to new_org/ --donor donors/parking --gitlab ${rig.url} --progress none --out ${file}`,
  );
  const own = parts.move();
  return {rig, file, run, planned, [Symbol.asyncDispose]: () => own.disposeAsync()};
}

test('the review names deploy tokens and CI jobs whose groups no longer count', async () => {
  await using moved = await plan('org/build/app');
  const {stdout, code} = moved.planned;
  expect(code).toBe(0);
  expect(stdout).toMatch(/DEPLOY_TOKENS_END.*\n?.*cluster of org/);
  expect(stdout).not.toContain('code of org');
  expect(stdout).not.toContain('past of org');
  expect(stdout).toMatch(/JOB_TOKENS_CHANGE.*\n?.*org\/build \(allowlist of org\/build\/app\)/);
  expect(stdout).toMatch(/JOB_TOKENS_END.*\n?.*org\/site \(which allows org\)/);
  expect(stdout).not.toContain('org/shop (which');
  expect(stdout).toMatch(/org\/docs \(which allows org\/build\)/);
  expect(stdout).toMatch(/VISIBILITY_NARROWS.*\n?.*public.*internal/);
  expect(stdout).not.toContain('ACCESS_NOT_SEEN');
});

test('GitLab does as the review says', async () => {
  await using moved = await plan('org/build/app');
  const {rig, run, file} = moved;
  const pulls = async (credentials: string, path: string): Promise<boolean> => {
    const {granted} = await rig.registryToken(credentials, `repository:${path}:pull`);
    return granted.includes(`${path}:pull`);
  };
  const project = 'projects/org%2Fbuild%2Fapp';
  // Of a public project everybody may pull.
  await rig.api('PUT', project, {body: {visibility: 'private'}});
  expect(await pulls('cluster:k8s', 'org/build/app')).toBe(true);
  expect(await pulls('gitlab-ci-token:app-job', 'org/site')).toBe(true);
  expect((await run(`apply ${file} --yes`)).code).toBe(0);
  expect(await pulls('cluster:k8s', 'new_org/app')).toBe(false);
  expect(await pulls('gitlab-ci-token:app-job', 'org/site')).toBe(false);
});

test('a group is reported in the same way, with its projects', async () => {
  await using moved = await plan('--group org/build');
  const {stdout, code} = moved.planned;
  expect(code).toBe(0);
  expect(stdout).toMatch(/DEPLOY_TOKENS_END.*\n?.*cluster of org/);
  expect(stdout).toMatch(/JOB_TOKENS_END.*\n?.*org\/site \(which allows org\)/);
  // Its own projects stay below it.
  expect(stdout).not.toContain('JOB_TOKENS_CHANGE');
  expect(stdout).toMatch(/VISIBILITY_NARROWS.*\n?.*org\/build is public/);
});

test('what the token may not see is said', async () => {
  await using moved = await plan('--group org/build', 'mia-api');
  const {stdout, code} = moved.planned;
  expect(code).toBe(0);
  expect(stdout).toMatch(/ACCESS_NOT_SEEN.*\n?.*the deploy tokens of org/);
  expect(stdout).not.toContain('cluster of org');
});

test('refs lists them beside the references', async () => {
  await using moved = await plan('org/build/app');
  const table = await moved.run(`refs ${moved.file}`);
  expect(table.stdout).toContain('Tokens and allowlists');
  expect(table.stdout).toContain('cluster of org');
  const {stdout} = await moved.run(`refs ${moved.file} --format json`);
  const {access} = JSON.parse(stdout) as {access: readonly {code: string}[]};
  expect(access.map(({code}) => code)).toEqual([
    'DEPLOY_TOKENS_END',
    'JOB_TOKENS_CHANGE',
    'JOB_TOKENS_END',
  ]);
});
