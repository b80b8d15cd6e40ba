import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {appendFile, mkdir, readFile, rename, rm} from 'node:fs/promises';
import {promisify} from 'node:util';
import {describe, expect, test} from 'vitest';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {type Exchange, jsonReply} from '../../src/sandbox/exchange.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import type {ProgramResult} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/app';
const POLICY = {
  enabled: true,
  cadence: '7d' as const,
  keep_n: 10,
  older_than: '30d' as const,
  name_regex: '.*',
  name_regex_keep: '',
};
const SEED = {
  users: [{name: 'ada'}, {name: 'bob'}],
  groups: [
    {path: 'org/build', members: {ada: 'owner' as const, bob: 'owner' as const}},
    {path: 'new_org', members: {ada: 'owner' as const}},
    {path: 'new_org/build', members: {ada: 'owner' as const, bob: 'owner' as const}},
    {path: 'donors', members: {ada: 'owner' as const}},
  ],
  projects: [
    {
      path: OLD,
      cleanup: POLICY,
      images: [
        {name: 'cr', layout: layoutDirectory('attested'), ref: '1.0', tag: 'v2.9.1'},
        {layout: layoutDirectory('helm'), ref: '0.1.0', tag: 'chart'},
      ],
    },
    {path: 'donors/parking'},
    {path: 'new_org/parking'},
  ],
  tokens: [
    {value: 'ada-api', user: 'ada', scopes: ['api' as const]},
    {value: 'bob-api', user: 'bob', scopes: ['api' as const]},
  ],
};

const run = (...args: readonly string[]) => transship(args, {env: {GITLAB_TOKEN: 'ada-api'}});

/** A GitLab, a directory for plans, and the command line. */
async function start() {
  await using parts = new AsyncDisposableStack();
  /** Refuses the requests that it says yes to. */
  const faults: {refuse: (exchange: Exchange) => boolean | Promise<boolean>} = {
    refuse: () => false,
  };
  const rig = parts.use(
    await startRig({
      mode: 'legacy',
      seed: SEED,
      intercept: async (exchange, next) =>
        (await faults.refuse(exchange))
          ? jsonReply(400, {errors: [{code: 'UNSUPPORTED', message: 'not today'}]})
          : await next(),
    }),
  );
  const directory = parts.use(await tempDirectory());
  const {manifests} = rig.sandbox.storage;
  const digest = await manifests.resolve(`${OLD}/cr` as RepositoryPath, 'v2.9.1' as Tag);
  const image = digest && (await manifests.get(`${OLD}/cr` as RepositoryPath, digest));
  if (!image) throw new Error('the seed has no image');
  const own = parts.move();
  return {
    rig,
    faults,
    directory,
    run,
    plan: directory.join('move.plan.json'),
    journal: directory.join('move.journal.ndjson'),
    donor: directory.join('donor'),
    planTo(file: string, ...donor: readonly string[]) {
      const place = donor.length > 0 ? donor : ['--donor', directory.join('donor')];
      const wish = ['plan', 'transfer', OLD, '--to', 'new_org/build/', '--gitlab', rig.url];
      return run(...wish, '--out', directory.join(file), ...place);
    },
    /** Applies the plan in a run that is killed at its first request for a blob. */
    async applyKilledAtFirstBlob(): Promise<void> {
      const kill = new AbortController();
      const {signal} = kill;
      faults.refuse = ({path}) => {
        if (path.includes('/blobs/')) kill.abort(new DOMException('killed', 'AbortError'));
        return false;
      };
      const env = {GITLAB_TOKEN: 'ada-api'};
      const args = ['apply', directory.join('move.plan.json'), '--yes'];
      await transship(args, {env, stopping: signal, aborted: signal});
      faults.refuse = () => false;
    },
    /** Pushes a tag to the old path. */
    async push(to: string): Promise<void> {
      await manifests.put(`${OLD}/cr` as RepositoryPath, image, to as Tag);
    },
    /** Pushes another image over a tag of the old path. @returns its digest */
    async move(tag: string): Promise<string> {
      const path = `${OLD}/cr` as RepositoryPath;
      return await storeImage(rig.sandbox.storage, path, tag, [someBytes(10)]);
    },
    async digest(path: string, tag: string): Promise<string | undefined> {
      return await manifests.resolve(path as RepositoryPath, tag as Tag);
    },
    async tags(path: string): Promise<readonly string[]> {
      return [...(await manifests.tags(path as RepositoryPath))].toSorted();
    },
    async isPolicyOn(): Promise<boolean> {
      const {json} = await rig.api('GET', `projects/${encodeURIComponent(OLD)}`);
      const {container_expiration_policy: policy} = json as {
        container_expiration_policy: {enabled: boolean};
      };
      return policy.enabled;
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

/** A transfer that deleted everything at the old path and could not move the project. */
async function stoppedAfterDeletion(...donor: readonly string[]) {
  await using parts = new AsyncDisposableStack();
  const at = parts.use(await start());
  expect(await at.planTo('move.plan.json', ...donor)).toMatchObject({code: 0});
  at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
  const stopped = await at.run('apply', at.plan, '--yes');
  at.faults.refuse = () => false;
  expect(stopped.code).toBe(1);
  const own = parts.move();
  return {...at, stopped, [Symbol.asyncDispose]: () => own.disposeAsync()};
}

describe('a transfer that stopped after its deletions', () => {
  test('reports deleted images, where they are, and which commands work', async () => {
    await using at = await stoppedAfterDeletion();
    const line = at.stopped.stdout.trimEnd().split('\n').at(-1);
    expect(line).toContain(`2 tags of ${OLD} are gone from the old path and wait at ${at.donor}`);
    expect(line).toContain(`"transship apply ${at.plan}"`);
    expect(line).toContain(`"transship rollback ${at.plan}"`);
    expect(line).not.toContain('Nothing');
    const status = await at.run('status', at.plan);
    expect(status.stdout).toContain(`${at.donor}: 2 images gone from the old path`);
    expect(status.stdout).toContain(`the cleanup policy of ${OLD}`);
    expect(status.stdout).toMatch(/next +transship apply .*\n +next +transship rollback /);
    expect(status.stdout).toContain('0 of 2 images at the new path (2 at the donor, 0 at the old');
  });

  test('reports it at drift, too: late pushes do not hide deleted images', async () => {
    await using at = await stoppedAfterDeletion();
    await at.push('late');

    const drift = await at.run('apply', at.plan, '--yes');
    expect(drift.code).toBe(4);
    expect(drift.stdout).toContain('2 tags of org/build/app are gone from the old path');
    expect(drift.stdout).not.toContain('Nothing');
    expect(drift.stdout).toContain(`"transship rollback ${at.plan}"`);
    const json = await at.run('apply', at.plan, '--yes', '--format', 'json');
    expect((JSON.parse(json.stdout) as RunResult).projects?.[0]?.standing).toMatchObject({
      project: 'before',
      images: {total: 2, old: 0, donor: 2, target: 0},
      isPaused: true,
      next: ['rollback', 'apply --adopt-new-tags'],
    });
    // Each of the two does what it says.
    const adopted = await at.run('apply', at.plan, '--yes', '--adopt-new-tags');
    expect(adopted.code).toBe(0);
    expect(await at.tags(`${NEW}/cr`)).toEqual(['late', 'v2.9.1']);
  });

  test('is not written over by another plan, and forbids one elsewhere', async () => {
    await using at = await stoppedAfterDeletion();
    const before = await readFile(at.plan, 'utf8');
    const again = toldError(await at.planTo('move.plan.json'));
    expect(again).toMatchObject({code: 'TRANSFER_UNFINISHED', exit: 3});
    expect(again.message).toContain('2 tags of org/build/app are gone');
    expect(again.hint).toContain(`transship apply ${at.plan}`);
    expect(again.hint).toContain(`transship rollback ${at.plan}`);
    const copy = [
      'plan',
      'copy',
      `oci:${layoutDirectory('helm')}`,
      `oci:${at.directory.join('x')}`,
    ];
    expect(toldError(await at.run(...copy, '--out', at.plan)).code).toBe('TRANSFER_UNFINISHED');
    expect(await readFile(at.plan, 'utf8')).toBe(before);

    // By the journal, whatever the donor is, and whatever else is beside it.
    await promisify(execFile)('mkfifo', [at.directory.join('a.ndjson')]);
    const other = await at.planTo('other.plan.json', '--donor', 'donors/parking');
    expect(other.code).toBe(3);
    expect(other.stdout).toContain('TRANSFER_UNFINISHED');
    expect(other.stdout).toContain(`transship rollback ${at.plan}`);
    expect(other.stdout).not.toContain('To apply it');
    // By the donor, without a journal.
    await rm(at.journal);
    const blind = await at.planTo('other.plan.json');
    expect(blind.code).toBe(3);
    expect(blind.stdout).toContain(`/${OLD}/cr:v2.9.1`);
    expect(
      toldError(await at.run('apply', at.directory.join('other.plan.json'), '--yes')).exit,
    ).toBe(3);
  });

  test('forbids a plan in another directory with another donor, too, until it is at its end', async () => {
    await using at = await stoppedAfterDeletion();
    await mkdir(at.directory.join('elsewhere'));
    const other = await at.planTo('elsewhere/other.plan.json', '--donor', 'donors/parking');
    expect(other.code).toBe(3);
    expect(other.stdout).toContain(`transship apply ${at.plan}`);
    expect((await at.run('rollback', at.plan)).code).toBe(0);
    const again = await at.planTo('elsewhere/other.plan.json', '--donor', 'donors/parking');
    expect(again.code).toBe(0);
  });

  test('is not written over where its journal is not beside it', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
    const journal = ['--journal', at.directory.join('of', 'the-move.ndjson')];
    expect((await at.run('apply', at.plan, '--yes', ...journal)).code).toBe(1);
    at.faults.refuse = () => false;
    const command = `transship apply ${at.plan} ${journal.join(' ')}`;
    expect(toldError(await at.planTo('move.plan.json')).hint).toContain(command);
    const other = await at.planTo('other.plan.json', '--donor', 'donors/parking');
    expect([other.code, other.stdout.includes(command)]).toEqual([3, true]);
    expect((await at.run('apply', at.plan, '--yes', ...journal)).code).toBe(0);
    expect((await at.planTo('move.plan.json')).code).toBe(0);
  });

  test('is reported without a journal, from repositories without tags', async () => {
    await using at = await stoppedAfterDeletion();
    await rm(at.journal);
    const blind = await at.planTo('other.plan.json', '--donor', 'donors/parking');
    expect(blind.stdout).toMatch(/REPOSITORY_EMPTY.*org\/build\/app\/cr/);
  });

  test('names the journal in its commands where that is not beside the plan, and finds it', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
    const journal = at.directory.join('of', 'the-move.ndjson');
    const stopped = await at.run('apply', at.plan, '--yes', '--journal', journal);
    at.faults.refuse = () => false;
    const commands = ['apply', 'rollback'].map(
      (name) => `transship ${name} ${at.plan} --journal ${journal}`,
    );
    for (const command of commands) {
      expect(stopped.stdout).toContain(`"${command}"`);
      expect((await at.run('status', at.plan)).stdout).toContain(command);
      expect((await at.run('status', at.plan, '--journal', journal)).stdout).toContain(command);
    }
    // Another plan with the same journal is told the same.
    expect((await at.planTo('other.plan.json', '--donor', 'donors/parking')).code).toBe(3);
    const taken = [at.directory.join('copy.plan.json'), '--journal', journal];
    const copy = [
      'plan',
      'copy',
      `oci:${layoutDirectory('helm')}`,
      `oci:${at.directory.join('x')}`,
    ];
    expect((await at.run(...copy, '--out', taken[0] ?? '')).code).toBe(0);
    expect(toldError(await at.run('apply', ...taken)).hint).toContain(commands[0]);

    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect(existsSync(at.journal)).toBe(false);
    const done = await at.run('status', at.plan);
    expect(done.stdout).toContain('2 of 2 images at the new path');
    expect(done.stdout).not.toContain('next');
  });

  test('keeps another plan of its project, in another directory, from running meanwhile', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    await mkdir(at.directory.join('elsewhere'));
    const other = at.directory.join('elsewhere', 'other.plan.json');
    await at.planTo('elsewhere/other.plan.json', '--donor', 'donors/parking');
    const meanwhile: ProgramResult[] = [];
    at.faults.refuse = async ({method, path}) => {
      if (method === 'PUT' && path.endsWith('/transfer')) {
        for (const command of [
          ['apply', other, '--yes'],
          ['rollback', other],
        ])
          meanwhile.push(await at.run(...command));
      }
      return false;
    };
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect(meanwhile).toHaveLength(2);
    for (const refused of meanwhile) {
      const error = toldError(refused);
      expect(error).toMatchObject({code: 'JOURNAL_BUSY', exit: 1, side: 'this machine'});
      expect(error.message).toContain(
        `the project ${OLD} of ${at.rig.url} is in use by another run`,
      );
    }
    expect(existsSync(at.directory.join('elsewhere', 'other.journal.ndjson'))).toBe(false);
  });

  test.each([
    ['created by the plan', ['--donor', 'donors/spare', '--create-donor'], 'donors/spare'],
    ['near the new path', ['--donor', 'new_org/parking'], 'new_org/parking'],
  ])(
    'forbids a plan on another machine: its donor project, %s, is seen',
    async (_what, donor, at) => {
      await using stopped = await stoppedAfterDeletion(...donor);
      await using home = await tempDirectory();
      const wish = ['plan', 'transfer', OLD, '--to', 'new_org/build/', '--gitlab', stopped.rig.url];
      const out = ['--out', home.join('other.plan.json'), '--donor', home.join('waits')];
      const env = {GITLAB_TOKEN: 'ada-api'};
      const other = await transship([...wish, ...out], {env, home: home.path});
      expect(other.code).toBe(3);
      expect(other.stdout).toContain(`the project ${at} has 2 tags of image repositories`);
      for (const command of ['transship apply PLAN', 'transship rollback PLAN', 'transship copy '])
        expect(other.stdout).toContain(command);
      // What was put back is there no more than at the old path.
      expect((await stopped.run('rollback', stopped.plan)).code).toBe(0);
      expect((await transship([...wish, ...out], {env, home: home.path})).code).toBe(0);
    },
  );

  test('is rolled back, then planned and applied again in the same file', async () => {
    await using at = await stoppedAfterDeletion();
    expect((await at.run('rollback', at.plan)).code).toBe(0);
    expect(await at.tags(`${OLD}/cr`)).toEqual(['v2.9.1']);
    await at.push('v3');
    expect(await at.planTo('move.plan.json')).toMatchObject({code: 0});
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect(await at.tags(`${NEW}/cr`)).toEqual(['v2.9.1', 'v3']);
    expect(await readFile(`${at.journal}.old`, 'utf8')).toContain('"rollback"');
  });

  test('does not call it drift where its directory is not on this machine', async () => {
    await using at = await stoppedAfterDeletion();
    await rename(at.donor, `${at.donor}.elsewhere`);
    const error = toldError(await at.run('apply', at.plan, '--yes'));
    expect(error).toMatchObject({code: 'DONOR_ABSENT', exit: 1, side: 'this machine'});
    expect(error.message).toContain(at.donor);
    expect(error.hint).toContain('do not plan again');
    // Without the journal it cannot know, and says what may be.
    await rename(at.journal, `${at.journal}.elsewhere`);
    const blind = await at.run('apply', at.plan, '--yes');
    expect(blind.code).toBe(4);
    expect(blind.stdout).toContain(`not found at the donor ${at.donor}`);
    await rename(`${at.donor}.elsewhere`, at.donor);
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
  });

  test('does not call it drift where the token cannot see the donor', async () => {
    await using at = await stoppedAfterDeletion('--donor', 'donors/parking');
    const env = {GITLAB_TOKEN: 'bob-api'};
    const error = toldError(await transship(['apply', at.plan, '--yes'], {env}));
    expect(error).toMatchObject({code: 'DONOR_ABSENT', exit: 1, side: 'GitLab'});
    expect(error.message).toContain('donors/parking, which this token cannot see');
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect(await at.tags(`${NEW}/cr`)).toEqual(['v2.9.1']);
  });

  test('reports deleted images also without journal and donor', async () => {
    await using at = await stoppedAfterDeletion('--donor', 'donors/parking');
    await rm(at.journal);
    const env = {GITLAB_TOKEN: 'bob-api'};
    const {code, stdout} = await transship(['apply', at.plan, '--yes'], {env});
    expect(code).toBe(4);
    expect(stdout).toContain('2 tags of them are gone from the old path and not found');
    expect(stdout).not.toContain('No images were deleted');
  });

  test('is rolled back by what the registry has where the token cannot see the donor', async () => {
    await using at = await stoppedAfterDeletion('--donor', 'donors/parking');
    const back = await transship(['rollback', at.plan], {env: {GITLAB_TOKEN: 'bob-api'}});
    expect(back.code).toBe(0);
    expect(await at.tags(`${OLD}/cr`)).toEqual(['v2.9.1']);
    expect(await at.isPolicyOn()).toBe(true);
  });
});

describe('the cleanup policy', () => {
  test('is on again after a run that failed and deleted nothing', async () => {
    await using at = await start();
    await at.planTo('a.plan.json', '--donor', 'donors/parking');
    at.faults.refuse = ({method, path}) =>
      method === 'PUT' && path.includes('/v2/donors/') && path.includes('/manifests/');
    const failed = await at.run('apply', at.directory.join('a.plan.json'), '--yes');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('the cleanup policy of org/build/app is enabled again');
    expect(failed.stdout).toContain('No images were deleted at the old path');
    expect(await at.isPolicyOn()).toBe(true);
    at.faults.refuse = () => false;
    await at.planTo('b.plan.json', '--donor', 'donors/parking');
    expect((await at.run('apply', at.directory.join('b.plan.json'), '--yes')).code).toBe(0);
    expect((await at.run('status', at.directory.join('b.plan.json'))).stdout).not.toContain(
      'policy',
    );
  });

  test('that a killed run paused is reported by status, and restored by the next plan', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    await at.applyKilledAtFirstBlob();
    expect(await at.isPolicyOn()).toBe(false);
    const status = await at.run('status', at.plan, '--format', 'json');
    expect((JSON.parse(status.stdout) as StatusResult).projects?.[0]?.standing).toMatchObject({
      isPaused: true,
      images: {old: 2, donor: 0},
      next: ['apply'],
    });

    for (const file of ['move.plan.json', 'other.plan.json']) {
      const plan = await at.planTo(file);
      expect(plan.stdout).toContain('POLICY_PAUSED_BEFORE');
      expect(plan.stdout).toMatch(/~ resume /);
    }
    expect((await at.run('apply', at.directory.join('other.plan.json'), '--yes')).code).toBe(0);
    const {json} = await at.rig.api('GET', `projects/${encodeURIComponent(NEW)}`);
    expect(json).toMatchObject({container_expiration_policy: POLICY});
  });
});

function attributes(policy: object) {
  return {body: {container_expiration_policy_attributes: policy}};
}

describe('a cleanup policy that was put back', () => {
  test.each([
    ['switched off', {enabled: false}],
    ['changed', {enabled: true, keep_n: 25}],
  ])('and %s since then stays as it is when the plan is applied again', async (_what, policy) => {
    await using at = await start();
    await at.planTo('move.plan.json');
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    const project = `projects/${encodeURIComponent(NEW)}`;
    expect((await at.rig.api('PUT', project, attributes(policy))).status).toBe(200);
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect((await at.rig.api('GET', project)).json).toMatchObject({
      container_expiration_policy: policy,
    });
  });

  test('is the one of the moment when it was paused', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    const project = `projects/${encodeURIComponent(OLD)}`;
    await at.rig.api('PUT', project, attributes({keep_n: 25}));
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    const {json} = await at.rig.api('GET', `projects/${encodeURIComponent(NEW)}`);
    expect(json).toMatchObject({container_expiration_policy: {...POLICY, keep_n: 25}});
  });

  test('is active also after a run that could not start', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    await at.applyKilledAtFirstBlob();
    expect(await at.isPolicyOn()).toBe(false);
    // There is nobody to ask.
    expect((await at.run('apply', at.plan)).code).toBe(64);
    expect(await at.isPolicyOn()).toBe(true);
  });
});

test('adopted tags are moved and verified without the journal', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  await at.push('late');
  at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
  expect((await at.run('apply', at.plan, '--yes', '--adopt-new-tags')).code).toBe(1);
  at.faults.refuse = () => false;
  await rm(at.journal);
  expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
  expect(await at.tags(`${NEW}/cr`)).toEqual(['late', 'v2.9.1']);
  await rm(at.journal);
  const verified = await at.run('verify', at.plan, '--format', 'json');
  expect(verified.code).toBe(0);
  expect(JSON.parse(verified.stdout) as VerifyResult).toMatchObject({
    checked: {tags: 3},
    projects: [{place: 'target', at: NEW, project: 'after', adopted: 1}],
  });
  expect((await at.run('verify', at.plan)).stdout).toContain('(1 of them added after planning)');
  // It is looked at like the others.
  await at.rig.sandbox.storage.manifests.untag(`${NEW}/cr` as RepositoryPath, 'late' as Tag);
  expect((await at.run('verify', at.plan)).code).toBe(2);
  // Without the journal nothing says that the directory was made for this plan.
  const kept = await at.run('apply', at.plan, '--yes', '--remove-donor');
  expect([kept.code, kept.stderr]).toEqual([0, expect.stringContaining(`${at.donor}/app is kept`)]);
  expect(await at.tags(`${NEW}/cr`)).toEqual(['late', 'v2.9.1']);
  expect(existsSync(at.donor)).toBe(true);
});

test('tags that were taken along are removed from the donor with the others', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  await at.push('late');
  const apply = ['apply', at.plan, '--yes', '--adopt-new-tags', '--remove-donor'];
  expect((await at.run(...apply)).code).toBe(0);
  expect(await at.tags(`${NEW}/cr`)).toEqual(['late', 'v2.9.1']);
  expect(existsSync(at.donor)).toBe(false);
});

describe('without the journal, after the deletions,', () => {
  test('a donor project that the plan created remains the donor, and is kept', async () => {
    const donor = ['--donor', 'donors/spare', '--create-donor'];
    await using at = await stoppedAfterDeletion(...donor);
    await rm(at.journal);
    const applied = await at.run('apply', at.plan, '--yes', '--remove-donor');
    expect(applied.code).toBe(0);
    expect(await at.tags(`${NEW}/cr`)).toEqual(['v2.9.1']);
    expect((await at.rig.api('GET', 'projects/donors%2Fspare')).status).toBe(200);
  });

  test('a tag that moved and was taken along is not left at the donor', async () => {
    await using at = await start();
    await at.planTo('move.plan.json');
    const digest = await at.move('v2.9.1');
    at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
    expect((await at.run('apply', at.plan, '--yes', '--adopt-new-tags')).code).toBe(1);
    await rm(at.journal);
    // The first run does not get as far as to look at the donor.
    at.faults.refuse = ({path}) => path.includes('/projects/');
    expect((await at.run('apply', at.plan, '--yes')).code).not.toBe(0);
    at.faults.refuse = () => false;
    expect((await at.run('apply', at.plan, '--yes')).code).toBe(0);
    expect(await at.digest(`${NEW}/cr`, 'v2.9.1')).toBe(digest);
    await rm(at.journal);
    expect((await at.run('verify', at.plan)).code).toBe(0);
  });
});

test('a plan made anew in the same file removes the donor directory that the first one made', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  at.faults.refuse = ({method, path}) => method === 'POST' && path.endsWith('/blobs/uploads/');
  expect((await at.run('apply', at.plan, '--yes')).code).toBe(1);
  at.faults.refuse = () => false;
  expect(existsSync(at.donor)).toBe(true);
  await at.push('late');
  expect((await at.planTo('move.plan.json')).code).toBe(0);
  expect((await at.run('apply', at.plan, '--yes', '--remove-donor')).code).toBe(0);
  expect(existsSync(at.donor)).toBe(false);
});

test('a rollback of tags that were taken along is the same the second time', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  const digest = await at.move('v2.9.1');
  await at.push('late');
  at.faults.refuse = ({method, path}) => method === 'PUT' && path.endsWith('/transfer');
  expect((await at.run('apply', at.plan, '--yes', '--adopt-new-tags')).code).toBe(1);
  const status = await at.run('status', at.plan, '--format', 'json');
  expect((JSON.parse(status.stdout) as StatusResult).projects?.[0]?.standing?.images).toEqual({
    total: 3,
    old: 0,
    donor: 3,
    target: 0,
  });
  for (const _ of ['first', 'second']) {
    expect((await at.run('rollback', at.plan)).code).toBe(0);
    expect(await at.digest(`${OLD}/cr`, 'v2.9.1')).toBe(digest);
    expect(await at.tags(`${OLD}/cr`)).toEqual(['late', 'v2.9.1']);
  }
});

test('a command that could not begin does not change what status says', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  await at.run('apply', at.plan, '--yes');
  const before = await at.run('status', at.plan);
  expect((await at.run('rollback', at.plan)).code).toBe(64);
  expect((await at.run('status', at.plan)).stdout).toBe(before.stdout);
  expect(before.stdout).not.toContain('next');
});

test('verify says which place it compared, and ends with 2 until the project has moved', async () => {
  await using at = await start();
  await at.planTo('move.plan.json');
  const before = await at.run('verify', at.plan);
  expect(before.code).toBe(2);
  expect(before.stdout).toContain(`the old path ${OLD}`);
  expect(before.stdout).toContain('Not moved: the project is still at its old path');
  await at.run('apply', at.plan, '--yes');
  const after = await at.run('verify', at.plan);
  expect(after.code).toBe(0);
  expect(after.stdout).toContain(`the new path ${NEW}`);
  const donor = await at.run('verify', at.plan, '--donor');
  expect([donor.code, donor.stdout]).toEqual([0, expect.stringContaining(`the donor ${at.donor}`)]);
});

test('a journal that cannot be read keeps its plan from being replaced', async () => {
  await using at = await stoppedAfterDeletion();
  await appendFile(at.journal, 'no line\n');
  expect(toldError(await at.planTo('move.plan.json')).code).toBe('JOURNAL_INVALID');
});

describe('plan transfer understands', () => {
  const forms = [
    ['an address', (url: string) => `${url}/${OLD}`],
    ['an address for git', (url: string) => `${url}/${OLD}.git`],
    ['the address of a page', (url: string) => `${url}/${OLD}/-/settings/ci_cd?x=1`],
  ] as const;

  test.each(forms)('%s', async (_what, form) => {
    await using at = await start();
    const project = form(at.rig.url);
    // The address names the instance, too.
    const plan = await at.run(
      'plan',
      'transfer',
      project,
      '--to',
      'new_org/build/',
      '--format',
      'json',
    );
    expect(plan.code).toBe(0);
    expect(JSON.parse(plan.stdout)).toMatchObject({
      wish: {moves: [{project: OLD}]},
      moves: [{project: {from: OLD}}],
    });
  });

  test('the id of a project', async () => {
    await using at = await start();
    const {json} = await at.rig.api('GET', `projects/${encodeURIComponent(OLD)}`);
    const {id} = json as {id: number};
    const args = ['--to', 'new_org/build/', '--gitlab', at.rig.url, '--format', 'json'];
    const plan = await at.run('plan', 'transfer', String(id), ...args);
    expect(JSON.parse(plan.stdout)).toMatchObject({moves: [{project: {id, from: OLD}}]});
  });

  test('the id or the address of a donor project', async () => {
    await using at = await start();
    const {json} = await at.rig.api('GET', 'projects/donors%2Fparking');
    const {id} = json as {id: number};
    for (const donor of [String(id), `${at.rig.url}/donors/parking`]) {
      expect(await at.planTo('move.plan.json', '--donor', donor)).toMatchObject({code: 0});
      const plan = parsePlan(await readFile(at.plan), at.plan);
      expect(plan).toMatchObject({moves: [{donor: {kind: 'project', id, path: 'donors/parking'}}]});
    }
    const none = toldError(await at.planTo('move.plan.json', '--donor', '987654'));
    expect(none).toMatchObject({code: 'PROJECT_NOT_FOUND'});
    expect(none.hint).toContain('--donor ./987654');
  });

  test('no address of another instance', async () => {
    await using at = await start();
    const args = ['--to', 'new_org/build/', '--gitlab', at.rig.url];
    const refused = await at.run(
      'plan',
      'transfer',
      'https://x:secret@other.test/org/app',
      ...args,
    );
    expect(toldError(refused)).toMatchObject({code: 'USAGE', exit: 64});
    expect(refused.stderr).toContain('other.test');
    expect(refused.stderr).not.toContain('secret');
  });

  test.each([
    ['new_org/build', 3, 'did you mean --to new_org/build/?'],
    ['new_org', 64, 'did you mean new_org/?'],
  ])('that --to %s may be meant as a namespace', async (to, code, words) => {
    await using at = await start();
    const wish = ['plan', 'transfer', OLD, '--to', to, '--gitlab', at.rig.url];
    const plan = await at.run(...wish, '--out', at.plan);
    expect(plan.code).toBe(code);
    expect(plan.stdout + plan.stderr).toContain(words);
    expect(plan.stdout).not.toContain('To apply it');
  });
});
