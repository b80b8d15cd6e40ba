import {readFile, rm} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {type Intercept, jsonReply} from '../../src/sandbox/exchange.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {TransferPlan} from '../../src/model/transfer-plan.ts';
import {gaps} from '../../src/sandbox/gitlab/event-log.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/** A registry with metadata database: GitLab moves images itself below a top-level group, if its registry lets it. */

const OLD = 'org/build/app';
const NEW = 'org/other/tool';
const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
const SEED = {
  users: [{name: 'ada'}],
  groups: ['org/build', 'org/other', 'donors'].map((path) => ({
    path,
    members: {ada: 'owner' as const},
  })),
  projects: [
    {
      path: OLD,
      images: [
        {...CHART, tag: 'v1'},
        {...CHART, name: 'tools', tag: 'v2'},
      ],
      rules: {repositories: [{pattern: OLD, delete: 'owner' as const}]},
    },
    {path: 'donors/parking'},
  ],
  tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
};

interface Options {
  readonly nativeMove?: 'works' | 'unsupported' | 'lost';
  readonly donor?: readonly string[];
  readonly intercept?: Intercept;
}

/** A plan that leaves the images to GitLab, and the commands that carry it out. */
async function startNative({
  nativeMove = 'works',
  donor = ['--donor', 'donors/parking'],
  intercept,
}: Options = {}) {
  await using parts = new AsyncDisposableStack();
  const rig = parts.use(
    await startRig({
      mode: 'metadata-db',
      seed: SEED,
      switches: {nativeMove},
      ...(intercept && {intercept}),
    }),
  );
  const directory = parts.use(await tempDirectory());
  const file = directory.join('move.plan.json');
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    transship(args, {
      env: {GITLAB_TOKEN: 'ada-api', ...env},
      home: directory.path,
      patience: {everyMs: 1, limitMs: 5},
    });
  const wish = `plan transfer ${OLD} --to ${NEW} --gitlab ${rig.url} --progress none`;
  const planned = await run([...wish.split(' '), '--out', file, ...donor]);
  const {manifests} = rig.sandbox.storage;
  const own = parts.move();
  return {
    rig,
    file,
    run,
    planned,
    journal: directory.join('move.journal.ndjson'),
    plan: async () => parsePlan(await readFile(file), file) as TransferPlan,
    tags: async (path: string) => [
      await manifests.tags(path as RepositoryPath),
      await manifests.tags(`${path}/tools` as RepositoryPath),
    ],
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

type Native = Awaited<ReturnType<typeof startNative>>;

const WHOLE = [['v1'], ['v2']];
const NONE = [[], []];

/** Of the project's images; a probe comes and goes in the donor when planning. */
function deletions({sandbox}: Native['rig']) {
  return sandbox.events.events.filter(
    (event) => event.kind === 'tag-deleted' && event.repository.startsWith('org/'),
  );
}

async function expectMoved({rig, tags, run, file}: Native): Promise<void> {
  expect(await tags(NEW)).toEqual(WHOLE);
  expect(await tags(OLD)).toEqual(NONE);
  expect((await run(['verify', file])).code).toBe(0);
  expect(gaps(rig.sandbox.events.events)).toEqual([]);
  const rules = await rig.api(
    'GET',
    `projects/${encodeURIComponent(NEW)}/registry/protection/repository/rules`,
  );
  expect(rules.json).toMatchObject([{repository_path_pattern: NEW}]);
}

async function expectAsBefore({rig, tags}: Native): Promise<void> {
  expect(await tags(OLD)).toEqual(WHOLE);
  expect(await tags(NEW)).toEqual(NONE);
  const project = await rig.api('GET', `projects/${encodeURIComponent(OLD)}`);
  expect(project.json).toMatchObject({path_with_namespace: OLD});
  expect(gaps(rig.sandbox.events.events)).toEqual([]);
}

test('the plan has both ways, and the review shows them', async () => {
  await using native = await startNative();
  const {planned} = native;
  const {moves} = await native.plan();
  const [move] = moves;
  expect(move?.way).toBe('native');
  expect(move?.steps.map(({id}) => id)).toEqual([
    'change-namespace',
    'change-path',
    'verify-target',
    'move-rules',
  ]);
  expect(move?.fallback?.steps.map(({id}) => id)).toEqual([
    'pull',
    'verify-donor',
    'delete-old',
    'change-namespace',
    'change-path',
    'retag',
    'push',
    'verify-target',
    'move-rules',
    'remove-donor',
  ]);
  expect(planned.stdout).toContain('Steps if GitLab does not move the images itself');
  expect(planned.stdout).toContain('by way of the donor donors/parking');
});

test('GitLab moves the images, and moves them back, without a deletion', async () => {
  await using native = await startNative();
  const {run, file, rig} = native;
  // Nobody is asked: nothing is deleted.
  const applied = await run(['apply', file]);
  expect([applied.code, applied.stderr]).toEqual([0, '']);
  await expectMoved(native);
  const status = await run(['status', file]);
  expect(status.stdout).toContain('2 of 2 images at the new path');
  const back = await run(['rollback', file]);
  expect(back.code).toBe(0);
  expect(back.stdout).toContain(`2 tags of ${OLD} are as before`);
  await expectAsBefore(native);
  expect((await run(['apply', file])).code).toBe(0);
  await expectMoved(native);
  expect(deletions(rig)).toEqual([]);
});

test.each(['unsupported', 'lost'] as const)(
  'a registry whose own move is %s: the images go by way of the donor, there and back',
  async (nativeMove) => {
    await using native = await startNative({nativeMove});
    const {run, file} = native;
    const applied = await run(['apply', file, '--yes']);
    expect([applied.code, applied.stderr]).toEqual([
      0,
      expect.stringMatching(/^note: GitLab does not move the images of .* donors\/parking\n/),
    ]);
    expect(applied.stdout).toContain(`Done: moved ${OLD} to ${NEW} (2 tags)`);
    await expectMoved(native);
    expect((await run(['status', file])).stdout).toContain('2 of 2 images at the new path');
    expect((await run(['apply', file])).code).toBe(0);
    const back = await run(['rollback', file, '--yes']);
    expect([back.code, back.stderr]).toEqual([0, '']);
    await expectAsBefore(native);
    expect((await run(['apply', file, '--yes'])).code).toBe(0);
    await expectMoved(native);
  },
);

test('a run without a terminal deletes nothing, and reports how to continue', async () => {
  await using native = await startNative({nativeMove: 'lost'});
  const {run, file} = native;
  const applied = await run(['apply', file]);
  expect(applied.code).toBe(1);
  expect(applied.stdout).toContain('confirm with --yes');
  await expectAsBefore(native);
  expect((await run(['apply', file, '--yes'])).code).toBe(0);
  await expectMoved(native);
});

test('a project that was moved without its images is moved back to them', async () => {
  await using native = await startNative({nativeMove: 'lost'});
  const {run, file, rig} = native;
  const group = await rig.api('GET', 'groups/org%2Fother');
  const {id: namespace} = group.json as {id: number};
  const project = encodeURIComponent(OLD);
  await rig.api('PUT', `projects/${project}/transfer`, {body: {namespace}});
  await rig.api('PUT', `projects/${encodeURIComponent('org/other/app')}`, {body: {path: 'tool'}});
  expect(await native.tags(OLD)).toEqual(WHOLE);
  const back = await run(['rollback', file]);
  expect([back.code, back.stderr]).toEqual([0, '']);
  await expectAsBefore(native);
});

test('without its journal, a run continues by way of the donor', async () => {
  const broken = {isOn: true};
  const refused = jsonReply(400, {errors: [{code: 'DENIED', message: 'no'}]});
  await using native = await startNative({
    nativeMove: 'unsupported',
    intercept: async (exchange, next) => {
      const isPush = exchange.method === 'PUT' && exchange.path.startsWith(`/v2/${NEW}/`);
      return broken.isOn && isPush ? refused : next();
    },
  });
  const {run, file, journal} = native;
  expect((await run(['apply', file, '--yes'])).code).toBe(1);
  expect([await native.tags(OLD), await native.tags(NEW)]).toEqual([NONE, NONE]);
  broken.isOn = false;
  await rm(journal);
  expect((await run(['apply', file, '--yes'])).code).toBe(0);
  await expectMoved(native);
});

test.each([
  ['no', 'Something that no version ever said', [1, WHOLE]],
  ['the', 'Something about the container registry that no version ever said', [0, NONE]],
])('a refusal with another message leads %s way by the donor: %s', async (_, message, expected) => {
  const at: {rig?: Native['rig']} = {};
  const intercept: Intercept = ({method, path}, next) =>
    method === 'PUT' && path.endsWith('/transfer') && at.rig && deletions(at.rig).length === 0
      ? Promise.resolve(jsonReply(400, {message}))
      : next();
  await using native = await startNative({intercept});
  const {run, file, rig} = native;
  at.rig = rig;
  const applied = await run(['apply', file, '--yes']);
  expect(applied.stdout.includes(message)).toBe(applied.code !== 0);
  expect([applied.code, await native.tags(OLD)]).toEqual(expected);
});

describe('a plan whose donor cannot be used', () => {
  const donor = ['--donor', 'donors/missing'];

  test('has no other way, and reports that', async () => {
    await using native = await startNative({donor});
    expect(native.planned.code).toBe(0);
    expect(native.planned.stdout).toContain('NO_FALLBACK');
    expect(native.planned.stdout).toContain('the donor project donors/missing does not exist');
    expect((await native.run(['apply', native.file])).code).toBe(0);
    await expectMoved(native);
  });

  test('ends at a refusal with nothing changed', async () => {
    await using native = await startNative({donor, nativeMove: 'unsupported'});
    const applied = await native.run(['apply', native.file, '--yes']);
    expect(applied.code).toBe(1);
    expect(applied.stdout).toContain('plan again with --staged');
    expect(applied.stdout).toContain(`Next: "transship apply ${native.file}" to resume.`);
    await expectAsBefore(native);
  });

  test('can be rolled back where GitLab left the images behind', async () => {
    await using native = await startNative({donor, nativeMove: 'lost'});
    const {run, file} = native;
    const applied = await run(['apply', file, '--yes']);
    expect(applied.code).toBe(1);
    expect(applied.stdout).toContain('Roll back, which moves the project back to them');
    const back = await run(['rollback', file]);
    expect([back.code, back.stderr]).toEqual([0, '']);
    await expectAsBefore(native);
  });
});
