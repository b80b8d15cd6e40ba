import type {TempDirectory} from '../support/temp.ts';
import type {Link} from './links.ts';
import {type Cost, measure, runUntilKilled} from './measure.ts';
import type {RunStage, Stage} from './stage.ts';
import type {Command, Variant} from './tool.ts';

/** What one run of a variant came to. */
export interface Sample extends Cost {
  /** At both registries, by their access logs. */
  readonly requests: number;
  /** Bytes of bodies that the source gave, by its access log. */
  readonly readBytes: number;
  /** What the source gave more than once, as a part of all bytes; only where the tool was killed. */
  readonly readAgain?: number;
  /** What reached the destination more than once, likewise. */
  readonly sentAgain?: number;
}

/**
 * Runs a variant once and checks that the destination is as it should be.
 * @param home of the variant, the same in all its runs, as a user's is
 * @returns undefined where the variant has nothing of its own for this job
 * @throws Error where the tool fails, or left something else than it should
 */
export async function runOnce(
  stage: Stage,
  variant: Variant,
  home: TempDirectory,
  killAt: number | undefined,
): Promise<Sample | undefined> {
  await using run = await stage.openRun();
  const command = variant.command(run.job);
  if (command === undefined) return undefined;
  if (killAt !== undefined) await runHalf(command, home, run.toDestination, killAt * stage.bytes);
  const cost = await measure(command, home);
  if (variant.kind !== 'limit') {
    const [difference] = await run.differences();
    if (difference !== undefined) throw new Error(difference);
  }
  return {
    ...cost,
    ...(await run.counts()),
    ...(killAt === undefined ? {} : await again(run, stage.bytes)),
  };
}

/** Kills the command when `bytes` have reached the destination. */
async function runHalf(
  command: Command,
  home: TempDirectory,
  link: Link | undefined,
  bytes: number,
): Promise<void> {
  if (link === undefined) throw new Error('only a link can tell when to kill');
  const kill = new AbortController();
  const ended = new AbortController();
  const watching = link.delivered(bytes, ended.signal).finally(() => kill.abort());
  // Told below.
  watching.catch(() => undefined);
  try {
    await runUntilKilled(command, home, kill.signal);
  } finally {
    ended.abort();
    await watching;
  }
}

/** Heads of requests and answers count as well: they are less than a thousandth. */
async function again(
  {toSource, toDestination}: RunStage,
  bytes: number,
): Promise<Pick<Sample, 'readAgain' | 'sentAgain'>> {
  const read = await toSource?.counts();
  const sent = await toDestination?.counts();
  return {
    ...(read && {readAgain: read.down / bytes - 1}),
    ...(sent && {sentAgain: sent.up / bytes - 1}),
  };
}
