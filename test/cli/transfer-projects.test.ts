import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {RunEvent} from '../../src/model/event.ts';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {TransferPlan} from '../../src/model/transfer-plan.ts';
import {type Exchange, jsonReply} from '../../src/sandbox/exchange.ts';
import {gaps} from '../../src/sandbox/gitlab/event-log.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
const CLEANUP = {
  enabled: true,
  cadence: '7d' as const,
  keep_n: 10,
  older_than: '30d' as const,
  name_regex: '.*',
};
const NAMES = ['app', 'lib', 'web'] as const;
type Name = (typeof NAMES)[number];

/** Three projects, two of which have the same image, and a place for donors. */
const SEED = {
  users: [{name: 'ada'}],
  groups: [
    {path: 'org/build', members: {ada: 'owner' as const}},
    {path: 'new_org', members: {ada: 'owner' as const}},
    {path: 'donors', members: {ada: 'owner' as const}},
  ],
  projects: [
    {
      path: 'org/build/app',
      cleanup: CLEANUP,
      images: [{layout: layoutDirectory('attested'), ref: '1.0', tag: 'v1'}],
    },
    {
      path: 'org/build/lib',
      cleanup: CLEANUP,
      images: [
        {...CHART, tag: 'v1'},
        {...CHART, name: 'tools', tag: 'v2'},
      ],
    },
    {path: 'org/build/web', images: [{...CHART, tag: 'v1'}]},
  ],
  tokens: [{value: 'ada-api', user: 'ada', scopes: ['api' as const]}],
};

const run = (args: readonly string[], options: TransshipOptions = {}) =>
  transship(args, {...options, env: {GITLAB_TOKEN: 'ada-api'}});

/** A GitLab, a migration file with all projects, and the command line. */
async function start(settings = 'donor: donors/lot\ncreateDonor: true') {
  await using parts = new AsyncDisposableStack();
  const faults: {refuse: (exchange: Exchange) => boolean | Promise<boolean>} = {
    refuse: () => false,
  };
  const rig = parts.use(
    await startRig({
      mode: 'legacy',
      seed: SEED,
      intercept: async (exchange, next) =>
        (await faults.refuse(exchange)) ? jsonReply(400, {message: 'not today'}) : await next(),
    }),
  );
  const directory = parts.use(await tempDirectory());
  const migration = directory.join('transfers.yaml');
  const plan = directory.join('move.plan.json');
  const write = (moves: readonly string[]) => {
    const head = ['version: 1', 'kind: transfer', `gitlab: ${rig.url}`, settings, 'moves:'];
    return writeFile(migration, `${[...head, ...moves.map((move) => `  - ${move}`)].join('\n')}\n`);
  };
  await write(NAMES.map((name) => `{project: org/build/${name}, to: new_org/}`));
  const idOf = async (path: string): Promise<number> => {
    const {json} = await rig.api('GET', `projects/${encodeURIComponent(path)}`);
    return (json as {id: number}).id;
  };
  const ids = new Map<Name, number>();
  for (const name of NAMES) ids.set(name, await idOf(`org/build/${name}`));
  const own = parts.move();
  return {
    rig,
    faults,
    directory,
    migration,
    plan,
    write,
    run,
    idOf,
    make: (...flags: readonly string[]) =>
      run([
        'plan',
        migration,
        `--gitlab=${rig.url}`,
        '--out',
        plan,
        '--progress',
        'none',
        ...flags,
      ]),
    apply: (...flags: readonly string[]) => run(['apply', plan, '--yes', ...flags]),
    /** Refuses the transfer of these projects. */
    keep(...names: readonly Name[]): void {
      faults.refuse = ({method, path}) =>
        method === 'PUT' && names.some((name) => path.endsWith(`/${ids.get(name)}/transfer`));
    },
    async pathOf(name: Name): Promise<unknown> {
      const {json} = await rig.api('GET', `projects/${ids.get(name)}`);
      return (json as {path_with_namespace: string}).path_with_namespace;
    },
    async isPolicyOn(name: Name): Promise<unknown> {
      const {json} = await rig.api('GET', `projects/${ids.get(name)}`);
      return (json as {container_expiration_policy: {enabled: boolean}}).container_expiration_policy
        .enabled;
    },
    /** Another project at this path. */
    async create(path: string): Promise<void> {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const namespace = encodeURIComponent(path.slice(0, -name.length - 1));
      const {json} = await rig.api('GET', `namespaces/${namespace}`);
      const body = {path: name, name, namespace_id: (json as {id: number}).id};
      expect((await rig.api('POST', 'projects', {body})).status).toBe(201);
    },
    async tags(path: string): Promise<readonly string[]> {
      const {manifests} = rig.sandbox.storage;
      return [...(await manifests.tags(path as RepositoryPath))].toSorted();
    },
    /** Points a tag to what another one points to, as a push would. */
    async push(path: string, from: string, to: string): Promise<void> {
      const {manifests} = rig.sandbox.storage;
      const at = path as RepositoryPath;
      const digest = await manifests.resolve(at, from as Tag);
      const manifest = digest && (await manifests.get(at, digest));
      if (!manifest) throw new Error(`${path}:${from} is not there`);
      await manifests.put(at, manifest, to as Tag);
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

const resultsOf = ({stdout}: {readonly stdout: string}) =>
  (JSON.parse(stdout) as RunResult).projects?.map(({from, result}) => [from.slice(10), result]);

describe('a plan of several projects', () => {
  test('is made of a migration file: one plan with the steps of each project', async () => {
    await using at = await start();
    const made = await at.make();
    expect(made).toMatchObject({code: 0});
    expect(made.stdout).toContain('Projects (3)');
    expect(made.stdout).toMatch(/Transfer: 3 projects, 31 steps, 4 images in 4 repositories/);
    const shown = await at.run(['show', at.plan, '--format', 'json']);
    const plan = JSON.parse(shown.stdout) as TransferPlan;
    expect(plan.wish.moves.map(({at: place}) => place)).toMatchObject([
      {file: at.migration, line: 7},
      {file: at.migration, line: 8},
      {file: at.migration, line: 9},
    ]);
    expect(plan.moves.map(({project}) => project.to)).toEqual([
      'new_org/app',
      'new_org/lib',
      'new_org/web',
    ]);
    const ids = plan.moves.flatMap(({steps}) => steps.map(({id}) => id));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('delete-old:org/build/lib');
    for (const {steps, repositories} of plan.moves) {
      const copied = steps.filter(({kind}) => kind === 'pull' || kind === 'push');
      const tags = repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
      const {requests} = steps.find(({kind}) => kind === 'delete-old')?.estimate ?? {};
      expect(requests).toBe(2 * repositories.length + 3 * tags);
      for (const {estimate} of copied) expect(estimate.requests).toBeGreaterThan(0);
    }
  });

  test('is not made if only the file names the GitLab that gets the token', async () => {
    await using at = await start();
    const refused = await run(['plan', at.migration, '--out', at.plan]);
    expect([refused.code, refused.stdout]).toEqual([3, '']);
    expect(refused.stderr).toContain('[HOST_NOT_NAMED]');
    expect(refused.stderr).toContain(`add --gitlab ${at.rig.url}`);
    const other = await at.make('--gitlab=https://gitlab.example');
    expect(other).toMatchObject({code: 64, stdout: ''});
  });

  test('is divided into shards of projects, which run concurrently', async () => {
    await using lot = await tempDirectory();
    await using at = await start(`donor: ${lot.join('lot')}`);
    await at.make();
    const runs = await Promise.all(
      ['1/2', '2/2'].map((shard) => at.apply('--shard', shard, '--format', 'json')),
    );
    expect(runs.map(({code}) => code)).toEqual([0, 0]);
    const moved = runs.map((ran) => resultsOf(ran) ?? []);
    expect(moved.every(({length}) => length > 0)).toBe(true);
    expect(Object.fromEntries(moved.flat())).toEqual(
      Object.fromEntries(NAMES.map((name) => [name, 'done'])),
    );
    expect(moved.flat()).toHaveLength(NAMES.length);
    for (const name of NAMES) expect(await at.pathOf(name)).toBe(`new_org/${name}`);
    expect((await at.run(['verify', at.plan])).code).toBe(0);
    const status = await at.run(['status', at.plan, '--format', 'json']);
    const {steps, ended, journals} = JSON.parse(status.stdout) as StatusResult;
    expect({left: steps.left, ended, journals: journals?.length}).toEqual({
      left: 0,
      ended: 'done',
      journals: 2,
    });
  });

  test('stays in one shard where the projects have a donor project that is created', async () => {
    await using at = await start();
    await at.make();
    const runs: string[] = [];
    for (const shard of ['1/2', '2/2'])
      runs.push((await at.apply('--shard', shard, '--format', 'json')).stdout);
    expect(runs.map((stdout) => resultsOf({stdout})?.length)).toEqual(
      expect.arrayContaining([0, 3]),
    );
    expect((await at.run(['verify', at.plan])).code).toBe(0);
  });

  test('moves them one after the other, and doing it again does nothing', async () => {
    await using at = await start();
    await at.make();
    const applied = await at.apply('--format', 'json', '--progress', 'json');
    expect(applied.code).toBe(0);
    expect(resultsOf(applied)).toEqual(NAMES.map((name) => [name, 'done']));
    const events = applied.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent)
      .flatMap((event) =>
        event.type === 'project-started' || event.type === 'project-ended'
          ? [`${event.type} ${event.from}`]
          : [],
      );
    expect(events).toEqual(
      NAMES.flatMap((name) => [
        `project-started org/build/${name}`,
        `project-ended org/build/${name}`,
      ]),
    );
    for (const name of NAMES) expect(await at.pathOf(name)).toBe(`new_org/${name}`);
    expect(await at.tags('new_org/lib/tools')).toEqual(['v2']);
    expect([await at.isPolicyOn('app'), await at.isPolicyOn('lib')]).toEqual([true, true]);
    expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
    const verified = await at.run(['verify', at.plan, '--format', 'json']);
    expect(verified.code).toBe(0);
    expect(JSON.parse(verified.stdout) as VerifyResult).toMatchObject({
      checked: {tags: 4},
      projects: NAMES.map((name) => ({at: `new_org/${name}`, project: 'after'})),
    });
    const status = await at.run(['status', at.plan]);
    expect(status.stdout).toContain('4 of 4 images at the new path');
    const {length} = at.rig.sandbox.events.events;
    const again = await at.apply();
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('Done: moved 3 projects (4 tags)');
    expect(at.rig.sandbox.events.events).toHaveLength(length);
  });

  test('is forbidden by one project that cannot move, named with its line', async () => {
    await using at = await start();
    const body = {path: 'lib', namespace_id: await namespaceId(at, 'new_org')};
    await at.rig.api('POST', 'projects', {body});
    const made = await at.make();
    expect(made.code).toBe(3);
    expect(made.stdout).toContain('NAME_TAKEN');
    expect(made.stdout).toContain(`org/build/lib (${at.migration}:8): new_org/lib already exists`);
    const applied = await at.apply();
    expect(applied.code).toBe(3);
    expect(applied.stderr).toContain('org/build/lib: new_org/lib already exists [NAME_TAKEN]');
    expect(await at.pathOf('app')).toBe('org/build/app');
  });

  test('names the lines of all projects and namespaces that do not exist: exit 64 or 1', async () => {
    await using at = await start();
    await at.write([
      '{project: org/build/app, to: new_org/}',
      '{project: org/build/none, to: new_org/}',
      '{project: org/build/web, to: nowhere/}',
    ]);
    const made = await at.make();
    expect(made.code).not.toBe(0);
    expect(made.stderr).toMatch(/transfers\.yaml:8:\d+: .*org\/build\/none/);
    expect(made.stderr).toMatch(/transfers\.yaml:9:\d+: .*nowhere/);
    expect(made.stderr).toContain('[PROJECT_NOT_FOUND]');
  });

  test('is forbidden where two of them are in the way of each other', async () => {
    await using at = await start();
    await at.write([
      '{project: org/build/app, to: new_org/one}',
      '{project: org/build/web, to: new_org/one}',
      '{project: org/build/lib, to: new_org/, donor: org/build/web}',
      `{project: '${await at.idOf('org/build/lib')}', to: new_org/other}`,
    ]);
    const made = await at.make('--format', 'json');
    expect(made.code).toBe(3);
    const {checks} = JSON.parse(made.stdout) as TransferPlan;
    const forbidden = checks.filter(({result}) => result === 'forbid');
    expect(forbidden.map(({code, message}) => `${code}: ${message}`)).toEqual(
      expect.arrayContaining([
        'MOVES_CONFLICT: org/build/web moves to new_org/one as well',
        'MOVES_CONFLICT: org/build/lib is in the plan twice',
        'DONOR_UNFIT: the donor org/build/web is a project that this plan moves',
      ]),
    );
  });

  test('that drifted since planning is not begun: exit 4', async () => {
    await using at = await start();
    await at.make();
    await at.push('org/build/web', 'v1', 'late');
    const applied = await at.apply('--format', 'json');
    expect(applied.code).toBe(4);
    expect(resultsOf(applied)).toEqual([
      ['app', 'not-started'],
      ['lib', 'not-started'],
      ['web', 'drift'],
    ]);
    expect(await at.pathOf('app')).toBe('org/build/app');
    expect(await at.idOf('donors/lot')).toBeUndefined();
  });
});

describe('a project that fails while it is applied', () => {
  test('lets the next ones begin, and is brought to its end first when applied again', async () => {
    await using at = await start();
    await at.make();
    at.keep('lib');
    const applied = await at.apply('--format', 'json');
    expect(applied.code).toBe(1);
    expect(resultsOf(applied)).toEqual([
      ['app', 'done'],
      ['lib', 'failed'],
      ['web', 'done'],
    ]);
    const status = await at.run(['status', at.plan, '--format', 'json']);
    expect((JSON.parse(status.stdout) as StatusResult).projects).toMatchObject([
      {ended: 'done', standing: {images: {target: 1}, next: []}},
      {ended: 'failed', standing: {images: {donor: 2}, next: ['apply', 'rollback']}},
      {ended: 'done', standing: {images: {target: 1}, next: []}},
    ]);
    expect((await at.run(['status', at.plan])).stdout).toContain(`transship rollback ${at.plan}`);
    at.keep();
    const again = await at.apply('--format', 'json');
    expect(again.code).toBe(0);
    expect(await at.tags('new_org/lib')).toEqual(['v1']);
    expect(await at.isPolicyOn('lib')).toBe(true);
    expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
  });

  test('keeps the next ones from beginning with --on-failure stop', async () => {
    await using at = await start();
    await at.make();
    at.keep('lib');
    const applied = await at.apply('--format', 'json', '--on-failure', 'stop');
    expect(applied.code).toBe(1);
    expect(resultsOf(applied)).toEqual([
      ['app', 'done'],
      ['lib', 'failed'],
      ['web', 'not-started'],
    ]);
    expect(await at.pathOf('web')).toBe('org/build/web');
    expect((await at.run(['verify', at.plan])).code).toBe(2);
    // Another project drifted meanwhile: what is away from its path comes first all the same.
    await at.push('org/build/web', 'v1', 'late');
    at.keep();
    const again = await at.apply('--format', 'json');
    expect(again.code).toBe(4);
    expect(resultsOf(again)).toEqual([
      ['app', 'done'],
      ['lib', 'done'],
      ['web', 'drift'],
    ]);
  });
});

test('a limit that is reached while a project is away from its path ends the run after it', async () => {
  await using at = await start();
  await at.make();
  const strikes: (() => void)[] = [];
  at.faults.refuse = ({method, path}) => {
    if (method === 'PUT' && path.endsWith('/transfer')) for (const strike of strikes) strike();
    return false;
  };
  const stopped = await run(
    ['apply', at.plan, '--yes', '--format', 'json', '--max-duration', '1h'],
    {
      timer: (_ms, act) => {
        strikes.push(act);
        return {[Symbol.dispose]: () => undefined};
      },
    },
  );
  expect(stopped.code).toBe(130);
  expect(JSON.parse(stopped.stdout) as RunResult).toMatchObject({limit: 'MAX_DURATION_REACHED'});
  expect(resultsOf(stopped)).toEqual([
    ['app', 'done'],
    ['lib', 'not-started'],
    ['web', 'not-started'],
  ]);
  expect(await at.tags('new_org/app')).toEqual(['v1']);
  expect(await at.pathOf('lib')).toBe('org/build/lib');
  expect((await at.apply()).code).toBe(0);
  expect(await at.pathOf('lib')).toBe('new_org/lib');
});

describe('rollback of several projects', () => {
  test('takes back those that were begun, the last one first', async () => {
    await using at = await start();
    await at.make();
    at.keep('app', 'lib');
    expect((await at.apply()).code).toBe(1);
    expect(await at.tags('org/build/app')).toEqual([]);
    // The third one has moved: its tags are deleted at the new path, which has to be agreed to.
    const flags = ['--format', 'json', '--progress', 'json'];
    expect((await at.run(['rollback', at.plan, ...flags])).code).toBe(64);
    const back = await at.run(['rollback', at.plan, '--yes', ...flags]);
    expect(back.code).toBe(0);
    expect(resultsOf(back)).toEqual([
      ['app', 'done'],
      ['lib', 'done'],
      ['web', 'done'],
    ]);
    const events = back.stderr.split('\n').filter((line) => line.startsWith('{'));
    const begun = events
      .map((line) => JSON.parse(line) as RunEvent)
      .flatMap((event) => (event.type === 'project-started' ? [event.from] : []));
    expect(begun).toEqual(['new_org/web', 'org/build/lib', 'org/build/app']);
    for (const name of NAMES) expect(await at.pathOf(name)).toBe(`org/build/${name}`);
    for (const name of NAMES) expect(await at.tags(`org/build/${name}`)).toEqual(['v1']);
    expect(await at.tags('org/build/lib/tools')).toEqual(['v2']);
    expect([await at.isPolicyOn('app'), await at.isPolicyOn('lib')]).toEqual([true, true]);
    // Applied again, they move.
    at.keep();
    expect((await at.apply()).code).toBe(0);
    for (const name of NAMES) expect(await at.pathOf(name)).toBe(`new_org/${name}`);
    expect(gaps(at.rig.sandbox.events.events)).toEqual([]);
  });

  test('does not change projects that were not started', async () => {
    await using at = await start();
    await at.make();
    at.keep('app');
    expect((await at.apply('--on-failure', 'stop')).code).toBe(1);
    // Nothing of it was touched, so what it has by now is nobody's business here.
    await at.push('org/build/web', 'v1', 'late');
    const back = await at.run(['rollback', at.plan]);
    expect(back.code).toBe(0);
    expect(back.stdout).toContain('4 tags of 3 projects are as before');
    expect(await at.tags('org/build/app')).toEqual(['v1']);
  });

  test('is refused where none can go back, saying why: exit 3', async () => {
    await using at = await start();
    await at.make();
    expect((await at.apply()).code).toBe(0);
    at.faults.refuse = ({method, path}) =>
      method === 'GET' && path.endsWith('/namespaces/org%2Fbuild');
    const back = await at.run(['rollback', at.plan, '--yes']);
    expect([back.code, back.stderr]).toEqual([1, expect.stringContaining('not today')]);
    at.faults.refuse = () => false;
    for (const name of NAMES) await at.create(`org/build/${name}`);
    const {length} = at.rig.sandbox.events.events;
    const again = await at.run(['rollback', at.plan, '--yes']);
    expect(again.code).toBe(3);
    expect(again.stderr).toContain('[ROLLBACK_TOO_LATE]');
    expect(again.stderr).toContain('is at org/build/app by now');
    expect(at.rig.sandbox.events.events).toHaveLength(length);
  });
});

describe('a donor of several projects', () => {
  test('that the plan creates is removed with the last of them', async () => {
    await using at = await start();
    expect((await at.make()).code).toBe(0);
    at.keep('lib');
    expect((await at.apply('--remove-donor')).code).toBe(1);
    const donor = await at.idOf('donors/lot');
    expect(donor).toBeGreaterThan(0);
    at.keep();
    const again = await at.apply('--remove-donor');
    expect([again.code, again.stderr.includes('is kept')]).toEqual([0, false]);
    expect(await at.tags('new_org/lib')).toEqual(['v1']);
    expect(await at.idOf('donors/lot')).toBeUndefined();
  });

  test('that is a directory has a directory for each of them', async () => {
    await using parts = new AsyncDisposableStack();
    const donors = parts.use(await tempDirectory());
    const at = parts.use(await start(`donor: ${donors.join('all')}`));
    expect((await at.make()).code).toBe(0);
    expect((await at.apply()).code).toBe(0);
    const shown = await at.run(['show', at.plan, '--format', 'json']);
    const plan = JSON.parse(shown.stdout) as TransferPlan;
    expect(plan.moves.map(({donor}) => donor.path)).toEqual(
      NAMES.map((name) => donors.join(`all/org/build/${name}`)),
    );
    expect((await at.run(['verify', at.plan, '--donor'])).code).toBe(0);
  });
});

async function namespaceId(at: Awaited<ReturnType<typeof start>>, path: string): Promise<number> {
  const {json} = await at.rig.api('GET', `namespaces/${path}`);
  return (json as {id: number}).id;
}
