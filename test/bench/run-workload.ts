import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import type {Measurement} from './measurement.ts';
import {runOnce, type Sample} from './run-once.ts';
import {openStage} from './stage.ts';
import type {Variant} from './tool.ts';
import type {Workload} from './workloads.ts';

/** What a variant came to so far. */
interface Entry {
  readonly variant: Variant;
  readonly home: TempDirectory;
  readonly samples: Sample[];
  failure: string | undefined;
}

/**
 * Runs all variants in turn. Before that comes a round that does not count. It takes memory
 * that no process had before, which a virtual machine's host has to find first: 5 GiB took 43 s in place of 34 s for
 * whichever tool was the first. And a tool's home is then like one that is in use: transship keeps what V8 compiled,
 * without which a run takes 0.02 s longer.
 */
export async function runWorkload(
  workload: Workload,
  variants: readonly Variant[],
  rounds: number,
  report: (line: string) => void,
): Promise<readonly Measurement[]> {
  await using cleanup = new AsyncDisposableStack();
  const stage = cleanup.use(await openStage(workload));
  const entries: Entry[] = [];
  for (const variant of variants) {
    const home = cleanup.use(await tempDirectory());
    entries.push({variant, home, samples: [], failure: undefined});
  }
  const last = roundsOf(workload, rounds);
  for (let round = 0; round <= last; round += 1) {
    for (const entry of entries) {
      const {variant, home, samples, failure} = entry;
      if (failure !== undefined || !isDue(variant, workload, round)) continue;
      const run = `${workload.id} ${round}/${last} ${variant.label}`;
      try {
        const sample = await runOnce(stage, variant, home, workload.killAt);
        if (sample === undefined) continue;
        if (round > 0) samples.push(sample);
        report(`${run}: ${sample.wallSeconds.toFixed(2)} s`);
      } catch (error) {
        entry.failure = error instanceof Error ? error.message : String(error);
        report(`${run} failed: ${entry.failure}`);
      }
    }
  }
  return entries.map(({variant, samples, failure}) => ({workload, variant, samples, failure}));
}

/** Rounds that count. */
function roundsOf({isLong}: Workload, rounds: number): number {
  return isLong ? 1 : rounds;
}

function isDue({kind}: Variant, workload: Workload, round: number): boolean {
  const {isLong, killAt, content} = workload;
  // Half a pipe of curls is nothing to go on with.
  if (kind === 'limit' && killAt !== undefined) return false;
  if (kind !== 'usual') return true;
  // One run of it would set the best peer by chance. Many tags take peers without flags minutes, which once is enough.
  if (content.tags === 1) return !isLong;
  return round === 1 && !isLong;
}
