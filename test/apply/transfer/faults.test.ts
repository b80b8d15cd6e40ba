import {open} from 'node:fs/promises';
import {expect, test, vi} from 'vitest';
import type {RunResult} from '../../../src/model/outcome.ts';
import type {Tag} from '../../../src/model/reference.ts';
import {type Exchange, jsonReply} from '../../../src/sandbox/exchange.ts';
import {FaultScript} from '../../../src/sandbox/faults/fault-script.ts';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {tempDirectory} from '../../support/temp.ts';
import {
  expectAsBefore,
  expectMoved,
  GROUP,
  isHeld,
  type KillScenario,
  NATIVE,
  PROJECT,
  type State,
  stateOf,
} from './kill-matrix.ts';
import {TransferRig, type TransferRigOptions} from './rig.ts';

/**
 * What goes wrong in the middle of a move, for a project, a group and a move that GitLab is to make itself: images are
 * always somewhere, the result names a command that works, and once the fault is gone both commands come to their end.
 */

interface Fault {
  /** Makes it happen from now on. @returns ends it */
  readonly begin: (rig: TransferRig) => (() => void) | Promise<() => void>;
  readonly options?: TransferRigOptions;
  /** What the run comes to all the same. */
  readonly ends: readonly RunResult['result'][];
  /** Code of the error that says why, where there is one. */
  readonly code?: string;
  /** Then only this brings the move to its end. */
  readonly adopts?: true;
}

const isMove = ({method, path}: Exchange): boolean =>
  (method === 'PUT' || method === 'POST') && path.endsWith('/transfer');

const isTag = ({method, path}: Exchange): boolean =>
  method === 'DELETE' && path.startsWith('/v2/org/');

/** A second passes with each request: a token lasts for a few. */
function hurryClock(rig: TransferRig): () => void {
  rig.disturb = (exchange, next) => {
    rig.ahead += 1_000;
    return next();
  };
  return () => undefined;
}

/** Every second request is one too many. */
function storm(rig: TransferRig): () => void {
  let isNext = true;
  rig.disturb = async (exchange, next) => {
    isNext = !isNext;
    return isNext ? jsonReply(429, {message: 'Retry later'}, {'retry-after': '0'}) : await next();
  };
  return () => {
    rig.disturb = undefined;
  };
}

/** From the first deletion on all requests are too many. */
function stormAfterDeletion(rig: TransferRig): () => void {
  let isOn = false;
  rig.disturb = async (exchange, next) => {
    if (isOn) return jsonReply(429, {message: 'Retry later'}, {'retry-after': '0'});
    const reply = await next();
    isOn = isTag(exchange);
    return reply;
  };
  return () => {
    rig.disturb = undefined;
  };
}

/** Carries out a write of each kind, and breaks the connection in place of the answer. */
function loseAnswers(rig: TransferRig): () => void {
  const writes = [
    ['POST', '/blobs/uploads/'],
    ['PUT', '/manifests/'],
    ['DELETE', '/manifests/'],
    ['PUT', '/transfer'],
    ['POST', '/transfer'],
    ['PUT', '/api/v4/groups/'],
    ['DELETE', '/registry/repositories/'],
  ] as const;
  const {intercept} = new FaultScript(
    writes.map(([method, path]) => ({method, path, fault: {kind: 'lose-answer' as const}})),
  );
  rig.disturb = intercept;
  return () => {
    rig.disturb = undefined;
  };
}

function refuseMove(rig: TransferRig): () => void {
  rig.disturb = async (exchange, next) =>
    isMove(exchange) ? jsonReply(400, {message: 'not today'}) : await next();
  return () => {
    rig.disturb = undefined;
  };
}

function keepTags(rig: TransferRig): () => void {
  rig.keepsTags = true;
  return () => {
    rig.keepsTags = false;
  };
}

/** GitLab fails to delete the records of a group. */
function failDeletions(rig: TransferRig): () => void {
  const {undeletable} = rig.sandbox.switches;
  undeletable.add('org/build/app');
  return () => {
    undeletable.clear();
  };
}

/** Somebody pushes while the old path is emptied. */
function pushLate(rig: TransferRig): () => void {
  const {manifests} = rig.sandbox.storage;
  let isPushed = false;
  rig.disturb = async (exchange, next) => {
    if (!isPushed && isTag(exchange)) {
      isPushed = true;
      const [, path = '', tag = ''] = /^\/v2\/(.*)\/manifests\/(.*)$/.exec(exchange.path) ?? [];
      const repository = path as Parameters<typeof manifests.resolve>[0];
      const digest = await manifests.resolve(repository, tag as Tag);
      const manifest = digest && (await manifests.get(repository, digest));
      if (manifest) await manifests.put(repository, manifest, 'late' as Tag);
    }
    return next();
  };
  return () => {
    rig.disturb = undefined;
  };
}

/** The registry has no room for the donor's images. */
function fillRegistry(rig: TransferRig): () => void {
  let seen = 0;
  rig.disturb = async ({method, path}, next) => {
    const isDonor = path.startsWith('/v2/donors/') && ['POST', 'PUT', 'PATCH'].includes(method);
    if (isDonor) seen += 1;
    if (!isDonor || seen <= 3) return await next();
    return jsonReply(500, {errors: [{code: 'UNKNOWN', message: 'no space left on device'}]});
  };
  return () => {
    rig.disturb = undefined;
  };
}

/** The disk of this machine is full after some writes. */
async function fillDisk(): Promise<() => void> {
  await using directory = await tempDirectory();
  await using handle = await open(directory.join('any'), 'w');
  const files = Object.getPrototypeOf(handle) as {write: (...args: unknown[]) => unknown};
  const {write} = files;
  let seen = 0;
  const spy = vi.spyOn(files, 'write').mockImplementation(function full(this: unknown, ...args) {
    seen += 1;
    if (seen <= 3) return Reflect.apply(write, this, args);
    throw Object.assign(new Error('ENOSPC: no space left on device'), {code: 'ENOSPC'});
  });
  return () => spy.mockRestore();
}

/** The journal is lost, or the plan goes on on another machine, after the images are away. */
function loseJournal(rig: TransferRig): () => void {
  const end = refuseMove(rig);
  return () => {
    rig.journal.length = 0;
    end();
  };
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'tokens of 5 s': {begin: hurryClock, options: {tokenLifeSeconds: 5}, ends: ['done']},
  // A request may meet two in a row, and these clients try twice.
  '429 to every second request': {begin: storm, ends: ['done', 'failed']},
  '429 to everything from the first deletion on': {begin: stormAfterDeletion, ends: ['failed']},
  // A refusal whose answer is lost is no refusal.
  'lost answers': {begin: loseAnswers, ends: ['done', 'failed']},
  'a transfer that is refused after the deletions': {
    begin: refuseMove,
    ends: ['failed'],
    code: 'GITLAB_REFUSED',
  },
  'deletions that are a lie': {begin: keepTags, ends: ['failed'], code: 'REPOSITORY_DELETE_FAILED'},
  'a tag that is pushed meanwhile': {begin: pushLate, ends: ['drift'], adopts: true},
  'a donor project without room': {begin: fillRegistry, ends: ['failed']},
  'a donor directory on a full disk': {
    begin: fillDisk,
    options: {donor: 'directory'},
    ends: ['failed'],
    code: 'FILE_WRITE_FAILED',
  },
  'a journal that is lost': {begin: loseJournal, ends: ['failed']},
};

const UNITS: Readonly<Record<string, KillScenario>> = {
  project: {...PROJECT, killed: 'apply'},
  group: {...GROUP, killed: 'apply'},
  'native move': {
    ...NATIVE,
    options: {...NATIVE.options, nativeMove: 'unsupported'},
    killed: 'apply',
  },
};

/**
 * Of each fault and unit one of the two commands, in turn; `TRANSSHIP_KILL_POINTS=all` tries both (npm run test:kills).
 */
const ALL = Object.entries(FAULTS).flatMap(([what, fault]) =>
  Object.entries(UNITS).flatMap(([unit, scenario]) =>
    (['apply', 'rollback'] as const).map((then) => [what, unit, then, fault, scenario] as const),
  ),
);
const CASES =
  process.env['TRANSSHIP_KILL_POINTS'] === 'all'
    ? ALL
    : ALL.filter((_, at) => at % 2 === Math.floor(at / 2) % 2);

test.each(CASES)('%s, for a %s, and then %s', async (_what, _unit, then, fault, scenario) => {
  await using rig = await TransferRig.start({
    donor: 'project',
    ...scenario.options,
    ...fault.options,
  });
  const before = await stateOf(rig, scenario);
  const end = await fault.begin(rig);
  const first = await rig.apply().finally(end);
  expect(fault.ends).toContain(first.result);
  expectWayOut(first, fault);
  await rig.sandbox.settled();
  expect(await isHeld(rig, before, scenario)).toBe(true);
  const isAdopting = fault.adopts === true && then === 'apply';
  const second = await rig[then]({adoptNewTags: isAdopting});
  expect(second.result).toBe('done');
  const expectEnd = then === 'apply' ? expectMoved : expectAsBefore;
  await (fault.adopts === true ? expectLateTag : expectEnd)(rig, before, scenario);
  // A directory is out of GitLab's sight.
  const seen = rig.move.donor.kind === 'project' ? gaps(rig.sandbox.events.events) : [];
  expect(seen).toEqual([]);
});

/** What somebody pushed went along, or stayed; all others are where they belong. */
async function expectLateTag(
  rig: TransferRig,
  before: State,
  {old, new: to}: KillScenario,
): Promise<void> {
  const found = {...(await rig.tagsBelow(old)), ...(await rig.tagsBelow(to))};
  expect(found).toMatchObject(before.tags);
  expect(Object.keys(found).join(' ')).toContain('late');
  expect(Object.keys(found)).toHaveLength(Object.keys(before.tags).length + 1);
}

/** The error says why, and the result which commands work. */
function expectWayOut({result, steps, projects = [], groups = []}: RunResult, fault: Fault): void {
  const errors = [...steps, ...projects, ...groups].flatMap(({error}) => error ?? []);
  const next = projects.flatMap(({standing}) => standing?.next ?? []);
  expect(result === 'done' || next.length > 0).toBe(true);
  expect(errors.map(({code}) => code)).toEqual(
    expect.arrayContaining(fault.code === undefined ? [] : [fault.code]),
  );
}

test('records of a group that GitLab fails to delete leave both ways open', async () => {
  await using rig = await TransferRig.start({...GROUP.options, donor: 'project'});
  const before = await stateOf(rig, GROUP);
  const end = failDeletions(rig);
  const first = await rig.apply();
  expect(first.result).toBe('failed');
  expectWayOut(first, {begin: failDeletions, ends: ['failed'], code: 'REPOSITORY_DELETE_FAILED'});
  expect(await isHeld(rig, before, GROUP)).toBe(true);
  end();
  expect((await rig.rollback()).result).toBe('done');
  await expectAsBefore(rig, before, GROUP);
});
