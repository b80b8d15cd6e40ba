import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {StatusResult} from '../../src/model/outcome.ts';
import {type Exchange, jsonReply} from '../../src/sandbox/exchange.ts';
import {gaps} from '../../src/sandbox/gitlab/event-log.ts';
import type {SeedInput} from '../../src/sandbox/gitlab/seed.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {TransferPlan as Plan} from '../../src/model/transfer-plan.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
const CLEANUP = {
  enabled: true,
  cadence: '7d' as const,
  keep_n: 10,
  older_than: '30d' as const,
  name_regex: '.*',
};
/** Two projects with images, one of them in a subgroup; one with an empty record; one that never had an image. */
const PROJECTS = [
  {
    path: 'org/build/app',
    cleanup: CLEANUP,
    images: [
      {layout: layoutDirectory('attested'), ref: '1.0', tag: 'v1'},
      {...CHART, name: 'tools', tag: 'v2'},
    ],
  },
  {path: 'org/build/sub/lib', images: [{...CHART, tag: 'v1'}]},
  {path: 'org/build/once'},
  {path: 'org/build/never'},
];

type Projects = NonNullable<SeedInput['projects']>;

function seed(projects: Projects): SeedInput {
  return {
    users: ['ada', 'dev', 'eve', 'kim'].map((name) => ({name})),
    groups: [
      {path: 'org', members: {ada: 'owner', eve: 'reporter', dev: 'reporter'}},
      {path: 'org/build', members: {dev: 'maintainer'}},
      {path: 'new_org', members: {ada: 'owner', dev: 'maintainer', kim: 'reporter'}},
      {path: 'donors', members: {ada: 'owner', dev: 'maintainer'}},
    ],
    projects: [...projects, {path: 'donors/parking'}],
    tokens: [
      {value: 'ada-api', user: 'ada', scopes: ['api']},
      {value: 'dev-api', user: 'dev', scopes: ['api']},
    ],
  };
}

const run = (args: readonly string[], token = 'ada-api') =>
  transship(args, {env: {GITLAB_TOKEN: token}});

/** A GitLab with a group, and the command line. */
async function start(projects: Projects = PROJECTS) {
  await using parts = new AsyncDisposableStack();
  const faults: {refuse: (exchange: Exchange) => boolean} = {refuse: () => false};
  const watched: {look?: (exchange: Exchange) => Promise<void>} = {};
  const rig = parts.use(
    await startRig({
      mode: 'legacy',
      seed: seed(projects),
      intercept: async (exchange, next) => {
        await watched.look?.(exchange);
        return faults.refuse(exchange) ? jsonReply(400, {message: 'not today'}) : await next();
      },
    }),
  );
  const directory = parts.use(await tempDirectory());
  const plan = directory.join('group.plan.json');
  const make = (to = 'new_org/', flags: readonly string[] = ['--donor', 'donors/parking']) =>
    run([
      'plan',
      'transfer',
      '--group',
      'org/build',
      '--to',
      to,
      '--gitlab',
      rig.url,
      '--out',
      plan,
      '--progress',
      'none',
      ...flags,
    ]);
  /** GitLab's record of an image path that has no tags. */
  const record = async (path: string) =>
    expect((await rig.registryToken('ada:ada-api', `repository:${path}:pull,push`)).status).toBe(
      200,
    );
  if (projects === PROJECTS) await record('org/build/once/empty');
  const {manifests} = rig.sandbox.storage;
  /** Everything that has a tag outside of the donor, as `repository:tag`, and what it points to. */
  const tags = async (): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for (const repository of await rig.sandbox.storage.repositories()) {
      if (repository.startsWith('donors/')) continue;
      for (const tag of await manifests.tags(repository))
        found[`${repository}:${tag}`] = (await manifests.resolve(repository, tag)) ?? '';
    }
    return found;
  };
  /** Tags some image as `late`, as a push of somebody else would. */
  const push = async (from: string, to: string): Promise<void> => {
    const [source] = (await rig.sandbox.storage.repositories()).filter((name) =>
      name.startsWith(from),
    );
    const tag = source && (await manifests.tags(source))[0];
    const digest = source && tag && (await manifests.resolve(source, tag));
    const manifest = digest && (await manifests.get(source, digest));
    if (!manifest) throw new Error(`${from} has no image`);
    await manifests.put(to as RepositoryPath, manifest, 'late' as Tag);
  };
  const own = parts.move();
  return {
    rig,
    push,
    faults,
    /** Called before each request is answered. */
    watch: (look: (exchange: Exchange) => Promise<void>) => {
      watched.look = look;
    },
    directory,
    plan,
    run,
    make,
    record,
    tags,
    apply: (...flags: readonly string[]) =>
      run(['apply', plan, '--yes', '--progress', 'none', ...flags]),
    rollback: (...flags: readonly string[]) =>
      run(['rollback', plan, '--yes', '--progress', 'none', ...flags]),
    status: async () =>
      JSON.parse((await run(['status', plan, '--format', 'json'])).stdout) as StatusResult,
    groupPath: async () => {
      const {moved} = await groupsOf(rig);
      return moved;
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

/** Where the group is, whatever its path. */
async function groupsOf(rig: Awaited<ReturnType<typeof startRig>>): Promise<{moved: string}> {
  for (const path of ['org/build', 'new_org/build']) {
    const {status, json} = await rig.api('GET', `groups/${encodeURIComponent(path)}`);
    if (status === 200) return {moved: (json as {full_path: string}).full_path};
  }
  return {moved: ''};
}

/** The tags as they are once the group has another path. */
function movedTags(tags: Readonly<Record<string, string>>, to: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tags).map(([name, digest]) => [name.replace(/^org\/build\//, `${to}/`), digest]),
  );
}

/** How many events of a kind there are. */
function count({rig}: {rig: Awaited<ReturnType<typeof startRig>>}, ...kinds: readonly string[]) {
  return rig.sandbox.events.events.filter(({kind}) => kinds.includes(kind)).length;
}

test('a group moves with all below it by one plan, and back', async () => {
  await using at = await start();
  const before = await at.tags();
  const made = await at.make();
  expect(made).toMatchObject({code: 0});
  expect(made.stdout).toMatch(/group +org\/build \(\d+\), 2 projects with images, 2 without/);
  expect(made.stdout).toContain('org/build/once/empty');
  expect(made.stdout).toMatch(
    /ACCESS_CHANGES .*by roles in groups: eve can no longer pull.*; kim can pull/,
  );

  const applied = await at.apply();
  expect(applied.code).toBe(0);
  expect(applied.stdout).toContain('Done: moved the group org/build to new_org/build');
  expect(await at.groupPath()).toBe('new_org/build');
  expect(await at.tags()).toEqual(movedTags(before, 'new_org/build'));
  expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
  expect(await at.status()).toMatchObject({
    ended: 'done',
    groups: [{from: 'org/build', to: 'new_org/build', group: 'after'}],
    projects: [{standing: {images: {target: 2}}}, {standing: {images: {target: 1}}}],
  });
  expect((await at.run(['verify', at.plan, '--progress', 'none'])).code).toBe(0);
  const events = count(at, 'manifest-pushed', 'tag-deleted', 'group-moved');
  expect((await at.apply()).code).toBe(0);
  expect(count(at, 'manifest-pushed', 'tag-deleted', 'group-moved')).toBe(events);

  const back = await at.rollback();
  expect(back.code).toBe(0);
  expect(back.stdout).toContain('Done: org/build is as before');
  expect(await at.groupPath()).toBe('org/build');
  expect(await at.tags()).toEqual(before);
  expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
  expect(await at.status()).toMatchObject({
    groups: [{group: 'before'}],
    projects: [{standing: {images: {old: 2}}}, {standing: {images: {old: 1}}}],
  });

  expect((await at.apply()).code).toBe(0);
  expect(await at.tags()).toEqual(movedTags(before, 'new_org/build'));
});

test.each([
  ['new_org/x', 'new_org/x', ['change-parent', 'change-group-path']],
  ['org/x', 'org/x', ['change-group-path']],
  ['x', 'x', ['change-parent', 'change-group-path']],
])('a group moves to %s', async (to, path, changes) => {
  await using at = await start([{path: 'org/build/app', images: [{...CHART, tag: 'v1'}]}]);
  const before = await at.tags();
  expect(await at.make(to)).toMatchObject({code: 0});
  const plan = JSON.parse((await at.run(['show', at.plan, '--format', 'json'])).stdout) as Plan;
  expect(plan.groups?.[0]?.steps.map(({id}) => id)).toEqual(['delete-records', ...changes]);
  const applied = await at.apply();
  expect(applied.code).toBe(0);
  expect(await at.tags()).toEqual(movedTags(before, path));
  expect((await at.rollback()).code).toBe(0);
  expect(await at.tags()).toEqual(before);
});

test('a group without images moves, and its empty repositories are deleted', async () => {
  await using at = await start([{path: 'org/build/once'}, {path: 'org/build/never'}]);
  await at.record('org/build/once');
  expect(await at.make()).toMatchObject({code: 0});
  const applied = await at.apply();
  expect(applied).toMatchObject({code: 0});
  expect(applied.stdout).toContain('moved the group org/build to new_org/build (0 projects');
  expect(await at.groupPath()).toBe('new_org/build');
  expect(count(at, 'repository-deleted')).toBe(1);
});

test('a project that cannot move forbids the group and is named with its check', async () => {
  await using at = await start([
    {path: 'org/build/app', images: [{...CHART, tag: 'v1'}]},
    {path: 'org/build/old', archived: true, images: [{...CHART, tag: 'v1'}]},
  ]);
  const made = await at.make();
  expect(made.code).toBe(3);
  expect(made.stdout).toMatch(/PROJECT_NOT_MOVABLE +org\/build\/old: .*archived/);
  const applied = await at.apply();
  expect(applied.code).toBe(3);
  expect(applied.stderr).toContain('org/build/old');
});

test.each([
  ['a donor below the group', 'new_org/', ['--donor', 'org/build/once'], 'DONOR_UNFIT'],
  ['a group inside of itself', 'org/build/', ['--donor', 'donors/parking'], 'NAME_INVALID'],
  ['a path that is taken', 'donors', ['--donor', 'donors/parking'], 'NAME_TAKEN'],
])('%s forbids the plan', async (_, to, flags, code) => {
  await using at = await start();
  const made = await at.make(to, flags);
  expect(made.code).toBe(3);
  expect(made.stdout).toContain(code);
});

test('only an owner moves a group', async () => {
  await using at = await start();
  const made = await run(
    [
      'plan',
      'transfer',
      '--group=org/build',
      '--to=new_org/',
      `--gitlab=${at.rig.url}`,
      '--donor=donors/parking',
      '--progress=none',
    ],
    'dev-api',
  );
  expect(made.code).toBe(3);
  expect(made.stdout).toMatch(/ROLE_MISSING +org\/build/);
});

test('an image path created after planning stops the run before any deletion', async () => {
  await using at = await start();
  await at.make();
  await at.record('org/build/never/new');
  const events = count(at, 'tag-deleted', 'repository-delete-asked');
  const applied = await at.apply();
  expect(applied.code).toBe(4);
  expect(applied.stderr).toContain('org/build/never/new');
  expect(applied.stderr).toContain('--adopt-new-tags');
  expect(count(at, 'tag-deleted', 'repository-delete-asked')).toBe(events);
  expect((await at.apply('--adopt-new-tags')).code).toBe(0);
  expect(await at.groupPath()).toBe('new_org/build');
});

test('a tag pushed to an empty repository is not deleted with it', async () => {
  await using at = await start();
  const before = await at.tags();
  await at.make();
  at.faults.refuse = ({method, path}) => method === 'POST' && path.endsWith('/transfer');
  expect((await at.apply()).code).toBe(1);
  // Somebody pushes to a path that had no tags, after the images of the others were deleted.
  await at.record('org/build/once/empty');
  await at.push('donors/parking', 'org/build/once/empty');
  at.faults.refuse = () => false;
  const applied = await at.apply();
  expect(applied.code).toBe(4);
  expect(applied.stdout).toContain('org/build/once/empty:late');
  expect(applied.stdout).toContain('transship rollback');
  expect((await at.rollback()).code).toBe(0);
  expect(await at.tags()).toMatchObject(before);
  expect(Object.keys(await at.tags())).toContain('org/build/once/empty:late');
});

test('a transfer that GitLab refuses leaves both ways open, and status names them', async () => {
  await using at = await start();
  const before = await at.tags();
  await at.make();
  at.faults.refuse = ({method, path}) => method === 'POST' && path.endsWith('/transfer');
  const refused = await at.apply();
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(/Next: "transship apply .*"transship rollback /);
  expect(await at.status()).toMatchObject({
    groups: [{group: 'before'}],
    projects: [{standing: {next: ['apply', 'rollback'], images: {donor: 2}}}, {}],
  });
  at.faults.refuse = () => false;
  expect((await at.rollback()).code).toBe(0);
  expect(await at.tags()).toEqual(before);
  expect((await at.apply()).code).toBe(0);
  expect(await at.tags()).toEqual(movedTags(before, 'new_org/build'));
});

test('a repository that GitLab cannot delete is named, and everything is restored', async () => {
  await using at = await start();
  const before = await at.tags();
  await at.make();
  at.rig.sandbox.switches.undeletable.add('org/build/once/empty');
  const failed = await at.apply();
  expect(failed.code).toBe(1);
  expect(failed.stdout).toMatch(
    /REPOSITORY_DELETE_FAILED|GitLab failed to delete org\/build\/once/,
  );
  expect((await at.rollback()).code).toBe(0);
  expect(await at.tags()).toEqual(before);
  at.rig.sandbox.switches.undeletable.clear();
  expect((await at.apply()).code).toBe(0);
  expect(await at.groupPath()).toBe('new_org/build');
});

test('content pushed to the new path prevents a rollback of a group, unless it is moved as well', async () => {
  await using at = await start();
  const before = await at.tags();
  await at.make();
  await at.apply();
  await at.push('new_org/build/app', 'new_org/build/app');
  const stopped = await at.rollback();
  expect(stopped.code).toBe(4);
  expect(stopped.stdout).toContain('new_org/build/app:late');
  expect(await at.groupPath()).toBe('new_org/build');
  expect((await at.rollback('--adopt-new-tags')).code).toBe(0);
  expect(await at.tags()).toMatchObject(before);
  expect(Object.keys(await at.tags())).toContain('org/build/app:late');
});

test('a taken path prevents the rollback of a group, which is reported before any change', async () => {
  await using at = await start();
  await at.make();
  await at.apply();
  const {json} = await at.rig.api('GET', 'groups/org');
  const body = {path: 'build', name: 'build', parent_id: (json as {id: number}).id};
  expect((await at.rig.api('POST', 'groups', {body})).status).toBe(201);
  const events = count(at, 'manifest-pushed', 'tag-deleted');
  const stopped = await at.rollback();
  expect(stopped.code).toBe(3);
  expect(stopped.stderr).toContain('[ROLLBACK_TOO_LATE]');
  expect(stopped.stderr).toContain('is at org/build by now');
  expect(count(at, 'manifest-pushed', 'tag-deleted')).toBe(events);
});

test('a migration file moves a project and a group by one plan, one after the other', async () => {
  await using at = await start([
    {path: 'org/single', images: [{...CHART, tag: 'v1'}]},
    {path: 'org/build/app', images: [{...CHART, tag: 'v1'}]},
    {path: 'org/build/lib', images: [{...CHART, tag: 'v1'}]},
  ]);
  const file = at.directory.join('transfers.yaml');
  const moves = '[{project: org/single, to: new_org/}, {group: org/build, to: new_org/}]';
  const head = `version: 1\nkind: transfer\ngitlab: ${at.rig.url}\ndonor: donors/parking\n`;
  await writeFile(file, `${head}moves: ${moves}\n`);
  const before = await at.tags();
  const gitlab = `--gitlab=${at.rig.url}`;
  const made = await run(['plan', file, gitlab, '--out', at.plan, '--progress', 'none']);
  expect(made).toMatchObject({code: 0});
  expect(made.stdout).toContain('Transfer: 1 group, 3 projects');
  expect((await at.apply()).code).toBe(0);
  const moved = Object.entries(before).map(([name, digest]) => [
    name.replace(/^org/, 'new_org'),
    digest,
  ]);
  expect(await at.tags()).toEqual(Object.fromEntries(moved));
  expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
  expect((await at.rollback()).code).toBe(0);
  expect(await at.tags()).toEqual(before);
});

test('of two concurrent runs, the second changes nothing, and the first continues', async () => {
  await using at = await start();
  await at.make();
  const other = at.directory.join('other.plan.json');
  const gitlab = ['--gitlab', at.rig.url, '--progress', 'none', '--donor', 'donors/parking'];
  const wish = ['plan', 'transfer', 'org/build/app', '--to', 'new_org/'];
  expect((await run([...wish, ...gitlab, '--out', other])).code).toBe(0);
  const rivals: Awaited<ReturnType<typeof run>>[] = [];
  let isTried = false;
  at.watch(async ({method, path}) => {
    if (isTried || method !== 'DELETE' || !path.includes('/v2/org/')) return;
    isTried = true;
    rivals.push(await at.apply(), await at.rollback(), await run(['apply', other, '--yes']));
  });
  const first = await at.apply();
  expect(rivals.map(({code}) => code)).toEqual([1, 1, 1]);
  for (const {stderr} of rivals) expect(stderr).toContain('[JOURNAL_BUSY]');
  expect([first.code, await at.groupPath()]).toEqual([0, 'new_org/build']);
});
