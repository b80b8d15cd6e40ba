import {dirname, join} from 'node:path';
import {applyDeletions, applyPlan, notBegun, reportEnd} from '../apply/apply-plan.ts';
import {type ApplySettings, DEFAULT_JOBS} from '../apply/apply-context.ts';
import {type Journal, type JournalOptions, NO_JOURNAL, openJournal} from '../apply/journal.ts';
import type {Namespaces} from '../apply/creations.ts';
import {journalBeside} from '../apply/journal-file.ts';
import {KeptManifests} from '../apply/kept-manifests.ts';
import {byRehashing} from '../apply/proof.ts';
import {repairPlan} from '../apply/repair.ts';
import {verifyPlan} from '../apply/verify-plan.ts';
import {restoreDeleted} from '../apply/restore-tags.ts';
import {type Digest, digestOf, hexOf} from '../model/digest.ts';
import {ERROR_CODES, type ErrorCode} from '../model/error-codes.ts';
import {interrupted, TransshipError} from '../model/error.ts';
import type {SeenManifest} from '../model/manifest.ts';
import {LIMIT_FLAGS, type RunEnd, type RunResult, type VerifyResult} from '../model/outcome.ts';
import {type Check, type CopyPlan, deletionsOf, type Plan, type Wish} from '../model/plan.ts';
import {DEFAULT_CHUNK} from '../relay/chunk-size.ts';
import {DEFAULT_RETRY} from '../http/retry.ts';
import type {Io} from './io.ts';
import type {RunFlags, UndoFlags} from './options.ts';
import type {PlanPart} from './plan-part.ts';
import {undoBeside, UndoFile} from '../apply/undo-file.ts';
import type {Session} from './session.ts';
import {privateFolder, stateFolder} from './user-folders.ts';
import {makeFolder, removeFile} from '../places/durable-file.ts';
import {counted} from '../report/words.ts';

/** How a plan came to be applied. */
export type RunOrigin =
  /** From a plan file: source and destination are compared with it first. */
  | {
      readonly kind: 'file';
      readonly file: string;
      readonly namespaces?: Namespaces | undefined;
      /** What of the plan is applied. */
      readonly part?: PlanPart;
    }
  /** Made a moment ago in this process. */
  | {readonly kind: 'made'; readonly observed: ReadonlyMap<Digest, SeenManifest>};

/**
 * Applies a plan, or the part of it that its origin names, with the settings of the flags.
 * @throws TransshipError the first check that forbids it
 */
export async function runPlan(
  plan: CopyPlan,
  origin: RunOrigin,
  flags: RunFlags & UndoFlags & {readonly yes?: boolean},
  io: Io,
  session: Session,
): Promise<RunResult> {
  const {places, locations, limits, report, interruption, call} = session;
  const {shard, phase} = (origin.kind === 'file' && origin.part) || {};
  throwIfForbidden(plan);
  if (!(await mayDelete(plan, flags, io))) {
    const none = notBegun(plan, undefined);
    reportEnd(none, report);
    return none;
  }
  places.splitArchives(plan.wish.archiveSize);
  const file = flags.journal ?? defaultJournal(plan, origin, io);
  // Nobody named it, and it would be removed at the end.
  const isPassing = origin.kind === 'made' && flags.journal === undefined;
  await using journal =
    isPassing && plan.steps.length === 0
      ? NO_JOURNAL
      : await openPlanJournal({file, plan: plan.id, anyPlan: origin.kind === 'made'}, io, session);
  await using undo = await openUndo(plan, origin, flags, io);
  const context = {
    repositories: places,
    layerAt: (urls: readonly string[]) => places.layerAt(urls),
    journal,
    report,
    settings: settingsOf(flags, io),
    fresh: origin.kind === 'made',
    ...(origin.kind === 'made' ? {observed: origin.observed} : {}),
    ...(origin.kind === 'file' && origin.namespaces ? {namespaces: origin.namespaces} : {}),
    ...(locations ? {locations} : {}),
    ...(limits ? {limits} : {}),
    ...(shard === undefined ? {} : {isShared: true}),
    ...(undo ? {undo} : {}),
  };
  const apply = phase === 'delete' ? applyDeletions : applyPlan;
  const ran = await tellingOfStop(session, () => apply(plan, context, interruption));
  const result = {
    ...ran,
    ...(shard === undefined ? {} : {shard}),
    ...(phase === undefined ? {} : {phase}),
  };
  if (result.result === 'done' || result.result === 'incomplete') {
    await places.pack(call);
    if (isPassing) await removeFile(file);
  }
  return result;
}

/** Undefined: nothing is deleted, or it is not to be kept. @throws TransshipError JOURNAL_WRITE_FAILED */
async function openUndo(
  plan: CopyPlan,
  origin: RunOrigin,
  {undo}: UndoFlags,
  {now}: Io,
): Promise<UndoFile | undefined> {
  if (undo === false || deletionsOf(plan).length === 0) return undefined;
  const file = undo ?? (origin.kind === 'file' ? undoBeside(origin.file) : undefined);
  return file === undefined ? undefined : await UndoFile.open(file, plan.id, now);
}

/**
 * Asks before anything is done: a run that waits for an answer in the middle of the night helps nobody.
 * @throws TransshipError USAGE where there is no terminal to ask at
 */
async function mayDelete(
  plan: CopyPlan,
  {yes}: {readonly yes?: boolean},
  {ask}: Io,
): Promise<boolean> {
  const deletions = deletionsOf(plan);
  const [first] = deletions;
  if (first === undefined || yes === true) return true;
  const repositories = new Set(deletions.map(({repository}) => repository));
  const where = repositories.size === 1 ? first.repository : `${repositories.size} repositories`;
  const what = `${counted(deletions.length, 'tag')} in ${where}`;
  if (ask === undefined) {
    throw new TransshipError(
      'USAGE',
      `the plan deletes ${what}, and there is no terminal to ask at`,
      {side: 'local', hint: 'confirm with --yes; nothing was done'},
    );
  }
  const moved = deletions.some(({reason}) => reason === 'moved');
  const safely = moved ? ', moved ones after they are verified at the destination' : '';
  return await ask(`The plan deletes ${what}${safely}. Continue?`);
}

/** How a plan of copies is verified. */
export interface VerifyFlags {
  /** Read every byte. */
  readonly read?: boolean;
  /** Bring what is missing or broken again. */
  readonly repair?: boolean;
}

/**
 * Compares the destination with a plan, and repairs it where the flags say so: what is told then is what was found after
 * that.
 * @throws TransshipError the refusals of a registry
 */
export async function verifyCopies(
  plan: CopyPlan,
  {read, repair}: VerifyFlags,
  io: Io,
  session: Session,
): Promise<VerifyResult> {
  const {places: repositories, report, reading: call, interruption} = session;
  const retry = io.retry ?? DEFAULT_RETRY;
  const compare = async (): Promise<VerifyResult> => {
    const proof = read === true ? byRehashing({plan: plan.id, retry, report}) : undefined;
    const result = await verifyPlan(plan, repositories, call, proof);
    const failed = result.differences.length;
    if (proof) report({type: 'run-ended', result: 'done', done: 0, failed, bytes: 0});
    return result;
  };
  const found = await compare();
  if (repair !== true || found.differences.length === 0) return found;
  const settings = {...UNLIMITED, retry};
  const context = {repositories, journal: NO_JOURNAL, report, settings};
  const steps = await repairPlan(plan, found.differences, context, interruption);
  if (interruption.stopping.aborted) throw interrupted();
  const failures = steps.flatMap(({id, error}) => (error === undefined ? [] : [{id, error}]));
  return {...(await compare()), repaired: {images: steps.length, failures}};
}

/** As a run without flags. */
const UNLIMITED: Omit<ApplySettings, 'retry'> = {
  onFailure: 'continue',
  chunk: DEFAULT_CHUNK,
  jobs: DEFAULT_JOBS,
};

/**
 * Puts back what a plan deleted.
 * @throws TransshipError USAGE where it deletes nothing, FILE_UNREADABLE, FILE_INVALID; as `openPlanJournal`
 */
export async function runRestore(
  plan: CopyPlan,
  planFile: string,
  flags: RunFlags & {readonly undo?: string},
  io: Io,
  session: Session,
): Promise<RunResult> {
  const {places: repositories, report, interruption} = session;
  if (deletionsOf(plan).length === 0) {
    throw new TransshipError('USAGE', `${planFile} deletes nothing`, {
      side: 'local',
      hint: 'rollback is for transfers and for plans that delete tags; a copy does not change its source',
    });
  }
  // Not beside a run that deletes: both would look at the same tags.
  await using journal = await openPlanJournal(
    {file: flags.journal ?? journalBeside(planFile), plan: plan.id},
    io,
    session,
  );
  await using kept = await KeptManifests.open(flags.undo ?? undoBeside(planFile), plan.id);
  const result = await tellingOfStop(session, () =>
    restoreDeleted(plan, {repositories, kept, report}, interruption),
  );
  await journal.end(result.result);
  return result;
}

/** @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_WRITE_FAILED, JOURNAL_BUSY, JOURNAL_INVALID */
export async function openPlanJournal(
  work: Pick<JournalOptions, 'file' | 'plan' | 'anyPlan' | 'transfer' | 'projectLocks'>,
  {env, home, now, redactor}: Pick<Io, 'env' | 'home' | 'now' | 'redactor'>,
  {report, interruption}: Pick<Session, 'report' | 'interruption'>,
): Promise<Journal> {
  try {
    const folder = dirname(work.file);
    if (folder === stateFolder(env, home)) await privateFolder(folder);
    else await makeFolder(folder);
  } catch (cause) {
    throw new TransshipError(
      'JOURNAL_WRITE_FAILED',
      `cannot create the folder of the journal ${work.file}: ${String(cause)}`,
      {
        side: 'local',
        hint: 'name a file in a writable folder with --journal',
        cause,
      },
    );
  }
  return openJournal({
    ...work,
    now,
    redactor,
    signal: interruption.stopping,
    notice: (code, message) => report({type: 'notice', code, message}),
  });
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

/** The code that the command ends with: one of exit 3, whatever else the finding's own code may stand for. */
function forbiddenCode(code: Check['code']): ErrorCode {
  if (code === 'SKIPPED') return 'SOURCE_INCOMPLETE';
  return isErrorCode(code) && ERROR_CODES[code] === 3 ? code : 'PLAN_FORBIDDEN';
}

/** Beside the plan; for a copy without a plan file, by what was asked for, so that running it again finds it. */
function defaultJournal(plan: CopyPlan, origin: RunOrigin, io: Io): string {
  if (origin.kind === 'file') return journalBeside(origin.file, origin.part?.shard);
  return join(stateFolder(io.env, io.home), `${wishKey(plan.wish)}.journal.ndjson`);
}

/** The exit code of a run's end (docs/errors.md). */
export const RUN_EXIT: Readonly<Record<RunEnd, number>> = {
  done: 0,
  incomplete: 1,
  failed: 1,
  drift: 4,
  interrupted: 130,
};

function wishKey(wish: Wish): string {
  return hexOf(digestOf(JSON.stringify(wish))).slice(0, 32);
}

/** What the flags say of how images are copied. */
export function settingsOf(
  {onFailure, jobs, chunkSize, limitRate}: RunFlags,
  io: Io,
): ApplySettings {
  return {
    onFailure,
    retry: io.retry ?? DEFAULT_RETRY,
    ...(limitRate === undefined ? {} : {limitRate}),
    chunk: chunkSize === undefined ? DEFAULT_CHUNK : {min: chunkSize, max: chunkSize},
    jobs: jobs === undefined ? DEFAULT_JOBS : {all: jobs, large: Math.max(1, jobs - 1)},
  };
}

function isErrorCode(code: Check['code']): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
