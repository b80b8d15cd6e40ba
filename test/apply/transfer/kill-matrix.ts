import {expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {TransferRig, type TransferRigOptions} from './rig.ts';

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
/** Images of one manifest and two blobs: the points at which a run can be killed are those of any other. */
const IMAGES = [
  {...CHART, tag: 'v1'},
  {...CHART, name: 'tools', tag: 'chart'},
];
/** A project of the same group, whose image is in two repositories. */
const OTHERS = {'org/build/sub/lib': [{...CHART, tag: 'v1'}]};
const LIMIT = {timeout: 600_000};
/**
 * Points that are tried of each run, spread over all of it; `TRANSSHIP_KILL_POINTS=all` tries each (npm run
 * test:kills).
 */
const SAMPLE = 3;

export interface KillScenario {
  readonly options: TransferRigOptions;
  /** What moves, before and after: everything with images is below. */
  readonly old: string;
  readonly new: string;
  /** Where GitLab has the images between two changes that it makes itself. */
  readonly between?: string;
  /** What is killed: a move, or the way back of a move that was done. */
  readonly killed: 'apply' | 'rollback';
}

/** One project that moves, and a group of two with an empty repository; both change namespace and path. */
export const PROJECT = {
  options: {images: IMAGES},
  old: 'org/build/app',
  new: 'new_org/build/renamed',
} as const;
export const GROUP = {
  options: {images: IMAGES, others: OTHERS, group: true, to: 'new_org/moved'},
  old: 'org/build',
  new: 'new_org/moved',
} as const;

/** A project that GitLab is to move with its images. */
export const NATIVE = {
  options: {images: IMAGES, mode: 'metadata-db', staged: false, to: 'org/renamed'},
  old: 'org/build/app',
  between: 'org/app',
  new: 'org/renamed',
} as const;

/**
 * Kills a run at points of its own: after a request that changed something, before the client has its answer, or after
 * a line of the journal. What was under way ends wherever it was. Then the plan is applied, and in another case rolled
 * back: both end as they should, every time, and images were in some place at every moment.
 */
export function testKilledRuns(what: string, scenario: KillScenario): void {
  let counted: Promise<number> | undefined;
  test.each(['apply', 'rollback'] as const)(`${what}, killed and then: %s`, LIMIT, async (then) => {
    counted ??= countPoints(scenario);
    const total = await counted;
    for (const point of pointsOf(total, then)) {
      await using rig = await TransferRig.start(scenario.options);
      const before = await stateOf(rig, scenario);
      if (scenario.killed === 'rollback') await rig.apply();
      await killAfter(rig, point, scenario.killed);
      await rig.sandbox.settled();
      expect(await isHeld(rig, before, scenario), `held at ${point} of ${total}`).toBe(true);
      const result = await rig[then]();
      expect(result.result, `${then} after ${point} of ${total}`).toBe('done');
      if (then === 'apply') await expectMoved(rig, before, scenario);
      else await expectAsBefore(rig, before, scenario);
      // In a directory they are out of GitLab's sight.
      const isSeen = rig.move.donor.kind === 'project';
      expect(isSeen ? gaps(rig.sandbox.events.events) : []).toEqual([]);
    }
  });
}

/** How many points a whole run has. */
async function countPoints(scenario: KillScenario): Promise<number> {
  await using rig = await TransferRig.start(scenario.options);
  if (scenario.killed === 'rollback') await rig.apply();
  const total = await killAfter(rig, Number.POSITIVE_INFINITY, scenario.killed);
  expect(total).toBeGreaterThan(5);
  return total;
}

/** What is killed and then applied is tried from the first point on, what is rolled back up to the last one. */
function pointsOf(total: number, then: 'apply' | 'rollback'): readonly number[] {
  const all = Array.from({length: total}, (_, at) => at + 1);
  if (process.env['TRANSSHIP_KILL_POINTS'] === 'all') return all;
  const step = total / SAMPLE;
  const first = then === 'apply' ? 1 : step;
  return [...new Set(Array.from({length: SAMPLE}, (_, at) => Math.round(first + at * step)))];
}

/** Runs until so many points have passed; then all ends at once. Gives the number of points that passed. */
async function killAfter(
  rig: TransferRig,
  count: number,
  what: KillScenario['killed'],
): Promise<number> {
  const kill = new AbortController();
  let seen = 0;
  const next = () => {
    seen += 1;
    if (seen === count) kill.abort(new DOMException('killed', 'AbortError'));
  };
  rig.onWritten = next;
  const push = rig.journal.push.bind(rig.journal);
  rig.journal.push = (...entries) => {
    const length = push(...entries);
    next();
    return length;
  };
  // However it ends: a killed process has no result.
  await rig[what]({killed: kill.signal}).catch(() => undefined);
  rig.onWritten = undefined;
  rig.journal.push = push;
  return seen;
}

/** What has to be as before once all is taken back: tags and digests, and what GitLab knows of each project. */
export interface State {
  readonly tags: Readonly<Record<string, string>>;
  readonly projects: readonly unknown[];
}

export async function stateOf(
  rig: TransferRig,
  scenario: Pick<KillScenario, 'old'>,
): Promise<State> {
  const projects = rig.plan.moves.map(async ({project}) => {
    const {json} = await rig.api('GET', `projects/${project.id}`);
    const found = json as Record<string, unknown> & {
      container_expiration_policy: Record<string, unknown>;
    };
    const {next_run_at: _next, ...policy} = found.container_expiration_policy;
    const rules = await rig.api(
      'GET',
      `projects/${project.id}/registry/protection/repository/rules`,
    );
    return {
      path: found['path_with_namespace'],
      access: found['container_registry_access_level'],
      visibility: found['visibility'],
      rules: rules.json,
      policy,
    };
  });
  return {tags: await rig.tagsBelow(scenario.old), projects: await Promise.all(projects)};
}

/** Whether every image has its tag in the registry, or all of its project are whole at the donor. */
export async function isHeld(
  rig: TransferRig,
  {tags}: State,
  {old, new: to, between = to}: Pick<KillScenario, 'old' | 'new' | 'between'>,
): Promise<boolean> {
  const found = await Promise.all([old, between, to].map((path) => rig.tagsBelow(path)));
  const there = Object.assign({}, ...found) as State['tags'];
  for (const move of rig.plan.moves) {
    const below = move.project.from.slice(old.length);
    const own = Object.entries(tags).filter(([name]) => name.startsWith(below));
    if (own.every(([name, digest]) => there[name] === digest)) continue;
    if ((await rig.compare('donor', move)).differences.length > 0) return false;
  }
  return true;
}

export async function expectMoved(
  rig: TransferRig,
  before: State,
  {old, new: to}: Pick<KillScenario, 'old' | 'new'>,
): Promise<void> {
  expect(await rig.tagsBelow(to)).toEqual(before.tags);
  expect(await rig.tagsBelow(old)).toEqual({});
  for (const move of rig.plan.moves)
    expect((await rig.compare('target', move)).differences).toEqual([]);
  const now = await stateOf(rig, {old});
  const moved = before.projects.map((project, at) => ({
    ...(project as object),
    path: rig.plan.moves[at]?.project.to,
  }));
  expect(now.projects).toEqual(moved);
}

export async function expectAsBefore(
  rig: TransferRig,
  before: State,
  {old, new: to}: Pick<KillScenario, 'old' | 'new'>,
): Promise<void> {
  expect(await stateOf(rig, {old})).toEqual(before);
  expect(await rig.tagsBelow(to)).toEqual({});
  for (const move of rig.plan.moves)
    expect((await rig.compare('old', move)).differences).toEqual([]);
  const {length} = rig.sandbox.events.events;
  expect((await rig.rollback()).result).toBe('done');
  expect(rig.sandbox.events.events).toHaveLength(length);
}
