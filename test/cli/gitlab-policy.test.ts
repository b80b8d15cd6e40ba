import {describe, expect, test} from 'vitest';
import {type CopyPlan, deletionsOf} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const DAY = 86_400_000;
const repository = 'acme/app' as RepositoryPath;

interface Policy {
  readonly enabled?: boolean;
  readonly keep_n?: number;
  readonly older_than?: '7d' | '14d' | '30d';
  readonly name_regex?: string;
  readonly name_regex_keep?: string;
}

const layout = layoutDirectory('busybox');

const seedWith = (
  policy: Policy,
  tagRules: readonly object[] = [],
  images: readonly object[] = [{layout, ref: '1.35-amd64', tag: 'seeded'}],
) =>
  parseSeed({
    users: [
      {name: 'root', admin: true},
      {name: 'ada', password: 'ada-password'},
    ],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
    groups: [{path: 'acme', members: {ada: 'maintainer'}}],
    projects: [
      {
        path: 'acme/app',
        cleanup: {enabled: true, keep_n: null, older_than: null, ...policy},
        rules: {tags: tagRules},
        images,
      },
      {path: 'acme/other', cleanup: {enabled: false}},
    ],
  });

const tagsAt = async ({storage}: GitLabSandbox, path: RepositoryPath = repository) =>
  (await storage.manifests.tags(path)).toSorted();

const flags = ({url}: GitLabSandbox) => ['--gitlab', url, '--format', 'json'];
const env = {GITLAB_TOKEN: 'ada-api'};
const login = ({host}: GitLabSandbox) => ({
  TRANSSHIP_DESTINATION_USERNAME: 'ada',
  TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
  TRANSSHIP_DESTINATION_HOST: host,
});

/** Tags as they were pushed so many days ago. */
async function fill(gitlab: GitLabSandbox, days: Readonly<Record<string, number>>): Promise<void> {
  for (const tag of Object.keys(days))
    await storeImage(gitlab.storage, repository, tag, [Buffer.from(tag)]);
}

const DAYS = {
  latest: 100,
  'dev-1': 50,
  'dev-2': 40,
  'dev-3': 10,
  'dev-4': 1,
  main: 60,
  'v1.0': 90,
  'v1.0-rc1': 95,
  'x-test': 80,
};

const policies: [string, Policy, (readonly object[])?][] = [
  ['everything', {name_regex: '.*'}],
  ['what is old', {name_regex: '.*', older_than: '30d'}],
  ['all but the newest', {name_regex: 'dev-.*', keep_n: 1}],
  ['the two together', {name_regex: '.*', keep_n: 5, older_than: '14d', name_regex_keep: 'v.+'}],
  ['alternatives, each bound at one end', {name_regex: 'dev|test'}],
  ['alternatives to keep', {name_regex: '.*', name_regex_keep: 'v1|main'}],
  ['nothing without an expression', {name_regex: ''}],
  ['a line break that no tag has', {name_regex: '.*', name_regex_keep: 'v.+\n'}],
  ['what no rule protects', {name_regex: '.*'}, [{pattern: '^v\\d', delete: 'admin'}]],
  ['no immutable tags', {name_regex: '.*'}, [{pattern: 'rc'}]],
];

describe('plan delete --gitlab-policy', () => {
  test.each(policies)('deletes as GitLab does: %s', async (_, policy, rules) => {
    const now = Date.now();
    let clock = now;
    await using gitlab = await startGitLabSandbox({
      seed: seedWith(policy, rules),
      mode: 'metadata-db',
      clock: () => clock,
    });
    await fill(gitlab, DAYS);
    for (const [tag, days] of Object.entries(DAYS)) {
      clock = now - days * DAY;
      const digest = await storeImage(gitlab.storage, repository, tag, [Buffer.from(tag)]);
      gitlab.events.add('ada', {kind: 'manifest-pushed', repository, digest, tag});
    }
    clock = now;
    const run = await transship(
      ['plan', 'delete', '--gitlab-policy', 'acme/app', ...flags(gitlab)],
      {env},
    );
    expect([run.stderr, run.code]).toEqual(['', 0]);
    const plan = JSON.parse(run.stdout) as CopyPlan;
    const before = await tagsAt(gitlab);
    const planned = deletionsOf(plan).map(({tag}) => tag ?? '');
    await gitlab.runCleanup();
    const left = await tagsAt(gitlab);
    expect(planned.toSorted()).toEqual(before.filter((tag) => !left.includes(tag)));
    // Every tag that stays has its reason.
    expect(plan.skipped.map(({tag}) => tag ?? '').toSorted()).toEqual(left);
  });

  test('reports that a policy is disabled, and applies it', async () => {
    await using gitlab = await startGitLabSandbox({
      seed: seedWith({enabled: false, name_regex: 'dev-.*'}),
      mode: 'metadata-db',
    });
    await using temp = await tempDirectory();
    const file = temp.join('clean.plan.json');
    await fill(gitlab, {'dev-1': 0, main: 0});
    const args = ['plan', 'delete', '--gitlab-policy', `${gitlab.url}/acme`];
    const review = await transship([...args, '--out', file], {env});
    expect(review.stdout).toContain('the cleanup policy of acme/app is disabled');
    expect(review.stdout).toMatch(/main +filtered +name_regex "dev-\.\*" does not match/);
    expect((await transship(['apply', file, '--yes'], {env: login(gitlab)})).code).toBe(0);
    expect(await tagsAt(gitlab)).toEqual(['main', 'seeded']);
  });

  test('uses the times of images without a metadata database, in which an index has none', async () => {
    const images = ['1.35', '1.35-amd64'].map((tag) => ({layout, ref: tag, tag}));
    await using gitlab = await startGitLabSandbox({
      seed: seedWith({name_regex: '.*', older_than: '30d'}, [], images),
      mode: 'legacy',
    });
    await fill(gitlab, {undated: 0});
    const run = await transship(
      ['plan', 'delete', '--gitlab-policy', 'acme/app', ...flags(gitlab)],
      {env},
    );
    const plan = JSON.parse(run.stdout) as CopyPlan;
    expect(deletionsOf(plan).map(({tag}) => tag)).toEqual(['1.35-amd64']);
    expect(plan.skipped).toMatchObject([
      {tag: '1.35', detail: 'its age is not known'},
      {tag: 'undated', detail: 'its age is not known'},
    ]);
  });

  test('warns of signatures that go without their images', async () => {
    await using gitlab = await startGitLabSandbox({
      seed: seedWith({name_regex: '.*', name_regex_keep: 'v.*|seeded'}),
      mode: 'metadata-db',
    });
    const digest = await storeImage(gitlab.storage, repository, 'v1', [Buffer.from('a')]);
    await fill(gitlab, {[`${digest.replace(':', '-')}.sig`]: 0});
    const run = await transship(
      ['plan', 'delete', '--gitlab-policy', 'acme/app', ...flags(gitlab)],
      {env},
    );
    const {checks} = JSON.parse(run.stdout) as CopyPlan;
    expect(checks.map(({code}) => code)).toEqual(['SIGNATURE_LOST']);
  });

  test.each([
    [
      'an expression that RE2 does not have',
      {name_regex: '(?!v).*'},
      [],
      env,
      'not an expression of RE2',
    ],
    ['rules beside the policy', {}, ['--keep', 'v*'], env, 'has rules of its own'],
    [
      'a repository of another project',
      {},
      ['gitlab.example.com/acme/other'],
      env,
      'is not a repository of acme/app',
    ],
  ])('refuses %s', async (_, policy, args, access, message) => {
    await using gitlab = await startGitLabSandbox({seed: seedWith(policy), mode: 'metadata-db'});
    await fill(gitlab, {main: 0});
    const run = await transship(
      ['plan', 'delete', ...args, '--gitlab-policy', 'acme/app', ...flags(gitlab)],
      {env: access},
    );
    expect(run.code).toBe(64);
    expect(run.stderr).toContain(message);
  });
});
