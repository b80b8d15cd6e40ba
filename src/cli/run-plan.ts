import {mkdir} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {applyPlan} from '../apply/apply-plan.ts';
import {type ApplySettings, DEFAULT_JOBS} from '../apply/apply-context.ts';
import {openJournal} from '../apply/journal.ts';
import {type Digest, digestOf, hexOf} from '../model/digest.ts';
import {ERROR_CODES, type ErrorCode} from '../model/error-codes.ts';
import {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {RunEnd, RunResult} from '../model/outcome.ts';
import type {Check, CopyPlan, Wish} from '../model/plan.ts';
import {DEFAULT_CHUNK} from '../transfer/chunk-size.ts';
import {DEFAULT_RETRY} from '../transfer/retry-budget.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import type {Session} from './session.ts';

/** How a plan came to be applied. */
export type RunOrigin =
  /** From a plan file: source and destination are compared with it first. */
  | {readonly kind: 'file'; readonly file: string}
  /** Made a moment ago in this process. */
  | {readonly kind: 'made'; readonly observed: ReadonlyMap<Digest, Manifest>};

/** Applies a plan with the settings of the flags. @throws TransshipError the first check that forbids it */
export async function runPlan(
  plan: CopyPlan,
  origin: RunOrigin,
  flags: RunFlags,
  io: Io,
  {registries, report, call}: Session,
): Promise<RunResult> {
  throwIfForbidden(plan);
  const file = flags.journal ?? defaultJournal(plan, origin, io);
  await mkdir(dirname(file), {recursive: true}).catch((cause: unknown) => {
    throw new TransshipError(
      'JOURNAL_WRITE_FAILED',
      `the folder of the journal ${file} cannot be made`,
      {
        side: 'local',
        hint: 'name a file in a writable folder with --journal',
        cause,
      },
    );
  });
  await using journal = await openJournal({
    file,
    plan: plan.id,
    anyPlan: origin.kind === 'made',
    now: io.now,
    processes: io.processes,
  });
  const context = {
    repositories: registries,
    journal,
    report,
    settings: settingsOf(flags),
    fresh: origin.kind === 'made',
    ...(origin.kind === 'made' ? {observed: origin.observed} : {}),
  };
  const tell = (): void => report(STOPPING);
  io.stopping.addEventListener('abort', tell, {once: true});
  const result = await applyPlan(plan, context, io).finally(() =>
    io.stopping.removeEventListener('abort', tell),
  );
  if (result.result === 'done') await registries.pack(call);
  return result;
}

/** The first signal takes some time to have its effect: whoever sent it should know. */
const STOPPING = {
  type: 'notice',
  code: 'STOPPING',
  message: 'finishing what is under way; interrupt again to stop at once',
} as const;

/** @throws TransshipError with the code of the first check that forbids the plan; exit 3 */
function throwIfForbidden({checks}: CopyPlan): void {
  const forbidden = checks.find(({result}) => result === 'forbid');
  if (forbidden === undefined) return;
  const {code, message, hint} = forbidden;
  throw new TransshipError(isErrorCode(code) ? code : 'SOURCE_INCOMPLETE', message, {
    side: code === 'DESTINATION_CONFLICT' ? 'destination' : 'source',
    hint,
  });
}

/** Beside the plan; for a copy without a plan file, by what was asked for, so that running it again finds it. */
function defaultJournal(plan: CopyPlan, origin: RunOrigin, io: Io): string {
  if (origin.kind === 'file') return journalBeside(origin.file);
  const state = io.env['XDG_STATE_HOME'] || join(io.home, '.local', 'state');
  return join(state, 'transship', `${wishKey(plan.wish)}.journal.ndjson`);
}

export function journalBeside(planFile: string): string {
  return `${planFile.replace(/(?:\.plan)?\.json$/, '')}.journal.ndjson`;
}

/** The exit code of a run's end (README, "Exit codes"). */
export const RUN_EXIT: Readonly<Record<RunEnd, number>> = {
  done: 0,
  failed: 1,
  drift: 4,
  interrupted: 130,
};

function wishKey(wish: Wish): string {
  return hexOf(digestOf(JSON.stringify(wish))).slice(0, 32);
}

function settingsOf({onFailure, jobs, chunkSize, limitRate}: RunFlags): ApplySettings {
  return {
    onFailure,
    retry: DEFAULT_RETRY,
    ...(limitRate === undefined ? {} : {limitRate}),
    chunk: chunkSize === undefined ? DEFAULT_CHUNK : {min: chunkSize, max: chunkSize},
    jobs: jobs === undefined ? DEFAULT_JOBS : {large: jobs, small: jobs},
  };
}

function isErrorCode(code: Check['code']): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
