import {sharedHome} from './home.ts';
import type {ProgramResult} from './program.ts';
import {type HereOptions, runHere} from './run-here.ts';

export interface TransshipOptions extends Omit<HereOptions, 'home'> {
  /** Default: the one of `sharedHome`. */
  readonly home?: string;
}

/** Runs a command line in this process: all of the program but what `start.ts` takes from the process. */
export async function transship(
  args: readonly string[],
  options: TransshipOptions = {},
): Promise<ProgramResult> {
  return await runHere(args, {
    ...options,
    // What one test copied is not to be mounted in another: only a home of its own keeps a cache.
    env: {...(options.home === undefined ? {TRANSSHIP_NO_CACHE: '1'} : {}), ...options.env},
    home: options.home ?? (await sharedHome()),
  });
}
