import type {Command} from 'commander';
import {writeOutput} from '../library/output-file.ts';
import type {Session} from '../library/session.ts';
import {TransshipError} from '../model/error.ts';
import type {RunEvent} from '../model/event.ts';
import type {RunResult} from '../model/outcome.ts';
import type {Plan} from '../model/plan.ts';
import {renderDotenv, renderJunit} from '../report/ci-reports.ts';
import type {Io} from './io.ts';

/** Flags of commands that write reports for a pipeline. */
export interface RunReportFlags {
  readonly junit?: string;
  readonly dotenv?: string;
}

export function addRunReportFlags(command: Command): Command {
  return command
    .option('--junit <file>', 'write the result of each step to this file, as JUnit XML')
    .option('--dotenv <file>', 'write the result and its counts to this file, as NAME=value');
}

/** When a run and each of its steps began and ended. */
export class StepTimes {
  readonly #now: Io['now'];
  readonly #start: Date;
  readonly #began = new Map<string, number>();
  readonly #tookMs = new Map<string, number>();
  #runBegan: number | undefined;
  #runMs: number | undefined;

  constructor({now}: Pick<Io, 'now'>) {
    this.#now = now;
    this.#start = now();
  }

  /** The result of the run, with its times. */
  timed(result: RunResult): RunResult {
    const {plan, steps, ...rest} = result;
    const timedSteps = steps.map((step) => {
      const durationMs = this.#tookMs.get(step.id);
      return durationMs === undefined ? step : {...step, durationMs};
    });
    const [began, ended] = [this.#start.toISOString(), this.#now().toISOString()];
    return {plan, began, ended, steps: timedSteps, ...rest};
  }

  /** The session, with its steps timed. */
  watch(session: Session): Session {
    return {
      ...session,
      report: (event) => {
        this.#note(event);
        session.report(event);
      },
    };
  }

  /** In seconds; undefined: the step was not started. */
  readonly secondsOf = (id: string): number | undefined => {
    const ms = this.#tookMs.get(id);
    return ms === undefined ? undefined : ms / 1000;
  };

  /** The duration of the run; undefined: it was not started, or has not ended. */
  get runMs(): number | undefined {
    return this.#runMs;
  }

  #note(event: RunEvent): void {
    if (event.type === 'run-started') this.#runBegan ??= this.#now().getTime();
    if (event.type === 'run-ended' && this.#runBegan !== undefined)
      this.#runMs = this.#now().getTime() - this.#runBegan;
    if (event.type === 'step-started') this.#began.set(event.step, this.#now().getTime());
    if (event.type !== 'step-ended') return;
    const began = this.#began.get(event.step);
    if (began !== undefined) this.#tookMs.set(event.step, this.#now().getTime() - began);
  }
}

/**
 * Writes the reports that the flags name. The run has ended, so a file that cannot be written does not change its
 * result.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function writeRunReports(
  result: RunResult,
  plan: Plan,
  {secondsOf}: Pick<StepTimes, 'secondsOf'>,
  {junit, dotenv}: RunReportFlags,
  io: Pick<Io, 'redactor'>,
): Promise<void> {
  await writeReport('--junit', junit, () => renderJunit(result, plan, secondsOf), io);
  await writeReport('--dotenv', dotenv, () => renderDotenv(result), io);
}

/**
 * Writes a report; undefined: no file is named.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function writeReport(
  flag: string,
  file: string | undefined,
  text: () => string,
  {redactor}: Pick<Io, 'redactor'>,
): Promise<void> {
  if (file === undefined) return;
  await writeOutput(file, [redactor.redact(text())]).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_WRITE_FAILED', `the report ${file} cannot be written: ${why}`, {
      side: 'local',
      hint: `name a file in a writable directory with ${flag}; the run itself is recorded in its journal`,
      cause,
    });
  });
}
