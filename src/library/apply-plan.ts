import {dirname} from 'node:path';
import {type ApplySettings, DEFAULT_JOBS} from '../apply/apply-context.ts';
import {notBegun, reportEnd, runDeletePhase, runPlan} from '../apply/apply-plan.ts';
import {type Journal, type JournalOptions, NO_JOURNAL, openJournal} from '../apply/journal.ts';
import {UndoFile} from '../apply/undo-file.ts';
import type {RetryPolicy} from '../http/retry.ts';
import {ERROR_CODES, type ErrorCode} from '../model/error-codes.ts';
import {TransshipError} from '../model/error.ts';
import {LIMIT_FLAGS, type Phase, type RunResult, type Shard} from '../model/outcome.ts';
import {type Check, type CopyPlan, type DeleteStep, deletionsOf, type Plan} from '../model/plan.ts';
import {makeDirectory, removeFile} from '../places/durable-file.ts';
import {phaseOfPlan} from '../plan/phases.ts';
import {shardOfPlan} from '../plan/shards.ts';
import {DEFAULT_CHUNK} from '../relay/chunk-size.ts';
import {plannedNamespaces} from './gitlab-access.ts';
import {redactTexts} from './redaction.ts';
import {announceRegistries, type Session} from './session.ts';

/** How a plan is applied. */
export interface ApplyOptions {
  /**
   * Records progress in this file, so that a later run continues half-sent blobs. Default: nowhere; what is complete is
   * found at the destination all the same.
   */
  readonly journal?: string;
  /** Remove the journal once everything is done. */
  readonly removeJournal?: boolean;
  /**
   * The plan was made a moment ago, from what there is: source and destination are not compared with it again, and the
   * journal may be that of an earlier plan of the same request. Default: false.
   */
  readonly isFresh?: boolean;
  /**
   * Asked before anything is done, where the plan deletes tags; false: nothing is done, and the result is
   * `interrupted`. Such a plan is not applied without it.
   */
  readonly confirmDeletions?: (deletions: readonly DeleteStep[]) => boolean | Promise<boolean>;
  /** Keeps what is deleted in this file, so that `transship rollback` can put it back. Default: nothing is kept. */
  readonly undo?: string;
  /** What a failed image means for the others. Default: `continue`. */
  readonly onFailure?: 'continue' | 'stop';
  /** Blobs to copy at once. Default: found out. */
  readonly jobs?: number;
  /** Bytes of an upload chunk, at least 4096. Default: found out. */
  readonly chunkSize?: number;
  /** What is read from all sources together, in bytes per second. Default: unlimited. */
  readonly limitRate?: number;
  /** Only this part of the plan: other runs apply the others. What it deletes is left to the phase `delete`. */
  readonly shard?: Shard;
  /** Only one phase of the plan. */
  readonly phase?: Phase;
}

/**
 * Applies a plan: does what it says and nothing else. Applied again, it continues where it was; a plan that is done
 * does nothing. Failures of single images are in the result, not thrown.
 * @throws TransshipError the code of the first check that forbids the plan; USAGE; JOURNAL_BUSY and the like; what a
 *   registry refuses as a whole
 */
export async function applyPlan(
  session: Session,
  plan: CopyPlan,
  options: ApplyOptions = {},
): Promise<RunResult> {
  return await session.run(async () =>
    redactTexts(await applied(session, plan, options), session.redactor),
  );
}

async function applied(
  session: Session,
  whole: CopyPlan,
  options: ApplyOptions,
): Promise<RunResult> {
  const {places, locations, limits, report, interruption, retry, call} = session;
  const {shard, phase, journal: file, isFresh = false} = options;
  const plan = partOf(whole, shard, phase);
  throwIfForbidden(plan);
  announceRegistries(session, whole);
  if (!(await mayDelete(plan, options))) {
    const none = notBegun(plan, undefined);
    reportEnd(none, report);
    return none;
  }
  places.splitArchives(plan.wish.archiveSize);
  await using journal =
    file === undefined
      ? NO_JOURNAL
      : await openPlanJournal({file, plan: plan.id, anyPlan: isFresh}, session);
  await using undo =
    options.undo === undefined || deletionsOf(plan).length === 0
      ? undefined
      : await UndoFile.open(options.undo, plan.id, session.now);
  const observed = session.observed.get(whole);
  const namespaces = plannedNamespaces(plan, session);
  const context = {
    repositories: places,
    layerAt: (urls: readonly string[]) => places.layerAt(urls),
    journal,
    report,
    settings: settingsOf(options, retry),
    fresh: isFresh,
    ...(observed ? {observed} : {}),
    ...(namespaces ? {namespaces} : {}),
    ...(locations ? {locations} : {}),
    ...(limits ? {limits} : {}),
    ...(shard === undefined ? {} : {isShared: true}),
    ...(undo ? {undo} : {}),
  };
  const run = phase === 'delete' ? runDeletePhase : runPlan;
  const ran = await tellingOfStop(session, () => run(plan, context, interruption));
  const result = {
    ...ran,
    ...(shard === undefined ? {} : {shard}),
    ...(phase === undefined ? {} : {phase}),
  };
  if (result.result === 'done' || result.result === 'incomplete') {
    await places.pack(call);
    if (options.removeJournal === true && file !== undefined) await removeFile(file);
  }
  return result;
}

/** Whether all copies are done is for the phase `delete` to find out: it gets the whole plan. */
function partOf(plan: CopyPlan, shard: Shard | undefined, phase: Phase | undefined): CopyPlan {
  if (phase === 'delete') return plan;
  const part = shard === undefined ? plan : shardOfPlan(plan, shard);
  return phase === undefined ? part : phaseOfPlan(part, phase);
}

/** Asked before anything is done: a run that waits for an answer in the middle of the night helps nobody. */
async function mayDelete(plan: CopyPlan, {confirmDeletions}: ApplyOptions): Promise<boolean> {
  const deletions = deletionsOf(plan);
  if (deletions.length === 0) return true;
  if (confirmDeletions !== undefined) return await confirmDeletions(deletions);
  throw new TransshipError('USAGE', 'the plan deletes tags, and nothing confirms that', {
    side: 'local',
    hint: 'apply it with the option "confirmDeletions"; nothing was done',
  });
}

/**
 * Opens the journal of a run, whose directory is made if need be.
 * @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_WRITE_FAILED, JOURNAL_BUSY, JOURNAL_INVALID
 */
export async function openPlanJournal(
  work: Pick<JournalOptions, 'file' | 'plan' | 'anyPlan' | 'transfer' | 'projectLocks'>,
  {now, redactor, report, interruption}: Session,
): Promise<Journal> {
  try {
    await makeDirectory(dirname(work.file));
  } catch (cause) {
    throw noJournalDirectory(work.file, cause);
  }
  return openJournal({
    ...work,
    now,
    redactor,
    signal: interruption.stopping,
    notice: (code, message) => report({type: 'notice', code, message}),
  });
}

/** The directory of a journal cannot be made. */
export function noJournalDirectory(file: string, cause: unknown): TransshipError {
  return new TransshipError(
    'JOURNAL_WRITE_FAILED',
    `cannot create the directory of the journal ${file}: ${String(cause)}`,
    {side: 'local', hint: 'name a file in a writable directory with --journal', cause},
  );
}

/** Runs `work`, and says so when the first signal comes, or a limit is reached. */
export async function tellingOfStop<T>(
  {interruption: {stopping}, limits, report}: Session,
  work: () => Promise<T>,
): Promise<T> {
  const tell = (): void => {
    const code = limits?.reached;
    if (code === undefined) return report(STOPPING);
    const message = `${LIMIT_FLAGS[code]} is reached; finishing work in progress`;
    report({type: 'notice', code, message});
  };
  stopping.addEventListener('abort', tell, {once: true});
  try {
    return await work();
  } finally {
    stopping.removeEventListener('abort', tell);
  }
}

/** The first signal takes some time to have its effect: whoever sent it should know. */
const STOPPING = {
  type: 'notice',
  code: 'STOPPING',
  message: 'finishing work in progress; press Ctrl-C again to stop at once',
} as const;

/** @throws TransshipError with the code of the first check that forbids the plan; exit 3 */
export function throwIfForbidden({checks, kind}: Pick<Plan, 'checks' | 'kind'>): void {
  const forbidden = checks.find(({result}) => result === 'forbid');
  if (forbidden === undefined) return;
  const {code, project, hint} = forbidden;
  const message = project === undefined ? forbidden.message : `${project}: ${forbidden.message}`;
  const observed = code === 'DESTINATION_CONFLICT' ? 'destination' : 'source';
  const side = kind === 'transfer' ? 'gitlab' : observed;
  const error = forbiddenCode(code);
  throw new TransshipError(error, error === 'PLAN_FORBIDDEN' ? `${code}: ${message}` : message, {
    side: code.startsWith('POLICY_') ? 'local' : side,
    hint,
  });
}

/** The code that the run ends with: one of exit 3, whatever else the finding's own code may stand for. */
function forbiddenCode(code: Check['code']): ErrorCode {
  if (code === 'SKIPPED') return 'SOURCE_INCOMPLETE';
  return isErrorCode(code) && ERROR_CODES[code] === 3 ? code : 'PLAN_FORBIDDEN';
}

function isErrorCode(code: Check['code']): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** The settings of a run, with what is found out by itself. */
export function settingsOf(
  {onFailure = 'continue', jobs, chunkSize, limitRate}: ApplyOptions,
  retry: RetryPolicy,
): ApplySettings {
  return {
    onFailure,
    retry,
    ...(limitRate === undefined ? {} : {limitRate}),
    chunk: chunkSize === undefined ? DEFAULT_CHUNK : {min: chunkSize, max: chunkSize},
    jobs: jobs === undefined ? DEFAULT_JOBS : {all: jobs, large: Math.max(1, jobs - 1)},
  };
}
