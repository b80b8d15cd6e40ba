import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {type CopyPlan, deletionsOf} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let registry: Sandbox;
let gitlab: GitLabSandbox;
let temp: TempDirectory;

const layout = layoutDirectory('busybox');
const images = ['dev-1', 'v1'].map((tag) => ({layout, ref: '1.35-amd64', tag}));

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  registry = cleanup.use(await startSandbox());
  gitlab = cleanup.use(
    await startGitLabSandbox({
      seed: parseSeed({
        users: [
          {name: 'root', admin: true},
          {name: 'ada', password: 'ada-password'},
        ],
        tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
        groups: [{path: 'acme', members: {ada: 'maintainer'}}, {path: 'acme/sub'}],
        projects: [
          {path: 'acme/app', images: [...images, ...images.map((one) => ({...one, name: 'web'}))]},
          {path: 'acme/sub/tool', images},
          {path: 'acme/empty'},
        ],
      }),
    }),
  );
  for (const path of ['team/a', 'team/b/c', 'team', 'other/a'])
    for (const tag of ['dev-1', 'dev-2', 'v1'])
      await storeImage(registry.storage, path as RepositoryPath, tag, [Buffer.from(path + tag)]);
});
afterAll(() => cleanup.disposeAsync());

async function planned(args: readonly string[], env: Record<string, string> = {}) {
  const run = await transship(['plan', 'delete', ...args, '--format', 'json'], {env});
  expect([run.stderr, run.code]).toEqual(['', 0]);
  const plan = JSON.parse(run.stdout) as CopyPlan;
  return deletionsOf(plan).map(
    ({repository, tag}) => `${repository.replace(/^[^/]*\//, '')}:${tag}`,
  );
}

describe('plan delete of many repositories', () => {
  test('takes several, and with --recursive all that a registry lists below', async () => {
    const rule = ['--tag', 'dev-1'];
    const at = (path: string) => `${registry.host}/${path}`;
    expect(await planned([at('team/a'), at('other/a'), ...rule])).toEqual([
      'team/a:dev-1',
      'other/a:dev-1',
    ]);
    expect(await planned([at('team'), '--recursive', ...rule])).toEqual([
      'team:dev-1',
      'team/a:dev-1',
      'team/b/c:dev-1',
    ]);
    expect(await planned([registry.host, '--recursive', ...rule])).toHaveLength(4);
  });

  test('takes a group of GitLab with its subgroups, and applies it', async () => {
    const file = temp.join('group.plan.json');
    const env = {GITLAB_TOKEN: 'ada-api'};
    const args = [`${gitlab.host}/acme`, '--recursive', '--tag', 'dev-*', '--gitlab', gitlab.url];
    expect(await planned([...args, '--out', file], env)).toEqual([
      'acme/app:dev-1',
      'acme/app/web:dev-1',
      'acme/sub/tool:dev-1',
    ]);
    const login = {
      TRANSSHIP_DESTINATION_USERNAME: 'ada',
      TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
      TRANSSHIP_DESTINATION_HOST: gitlab.host,
    };
    const run = await transship(['apply', file, '--yes'], {env: login});
    expect(run.stdout).toContain('Done: 3 tags deleted.');
    expect(await gitlab.storage.manifests.tags('acme/app/web' as RepositoryPath)).toEqual(['v1']);
  });

  test('takes the repositories of a migration file, on the side that is named', async () => {
    const file = temp.join('acme.yaml');
    await writeFile(
      file,
      `version: 1\nfrom: ${registry.host}\nto: ${registry.host}/copies\nroutes:\n  - {from: 'team/**', to: '{1}'}\n`,
    );
    const rule = ['--routes', file, '--tag', 'dev-2'];
    expect(await planned([...rule, '--side', 'source'])).toEqual([
      'team/a:dev-2',
      'team/b/c:dev-2',
    ]);
    // None of them is there yet.
    expect(await planned([...rule, '--side', 'destination'])).toEqual([]);
    const run = await transship(['plan', 'delete', ...rule]);
    expect([run.code, run.stderr.includes('--side source')]).toEqual([64, true]);
  });

  test('forbids the plan where one repository refuses, and shows the others', async () => {
    const refused = `${gitlab.host}/acme/app`;
    const run = await transship([
      'plan',
      'delete',
      `${registry.host}/team/a`,
      refused,
      '--tag',
      'dev-*',
    ]);
    expect(run.code).toBe(3);
    expect(run.stdout).toContain(`nothing can be deleted in ${refused}`);
    expect(run.stdout).toContain('team/a:dev-1');
  });

  test('is reviewed by repository: deleted and kept tags, with reasons', async () => {
    const file = temp.join('review.plan.json');
    for (let at = 0; at < 30; at++)
      await storeImage(registry.storage, 'many/x' as RepositoryPath, `t${at}`, [Buffer.from('x')]);
    await storeImage(registry.storage, 'many/y' as RepositoryPath, 'v1', [Buffer.from('y')]);
    const args = [
      `${registry.host}/many`,
      '--recursive',
      '--tag',
      '*',
      '--keep',
      't1*',
      '--keep=v*',
    ];
    const run = await transship(['plan', 'delete', ...args, '--out', file]);
    expect(run.stdout).toMatch(/--keep {2,}t1\*, v\*/);
    expect(run.stdout).toMatch(/many\/x +19 to delete +11 stay: 11 --keep t1\*, v\*/);
    expect(run.stdout).toMatch(/many\/y +0 to delete +1 stay: 1 --keep/);
    for (const [flags, text] of [
      [['--all'], /= t10 +sha256:\w+ +stays: --keep t1\*, v\*/],
      [['--format', 'markdown', '--all'], /`t10`[^\n]*stays: `--keep`/],
      [['--format', 'html'], /t10[^]{0,300}stays: (?:<code>)?--keep/],
    ] as const)
      expect((await transship(['show', file, ...flags])).stdout).toMatch(text);
  });
});
