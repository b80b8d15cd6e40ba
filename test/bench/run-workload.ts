import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import type {Measurement} from './measurement.ts';
import {runOnce, type Sample} from './run-once.ts';
import {openStage, type Stage} from './stage.ts';
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
 * Runs all variants in turn, as often as there are rounds. Before them comes a run that does not count: it takes memory
 * that no process had before, which a virtual machine's host has to find first. 5 GiB took 43 s in place of 34 s for
 * whichever tool was the first.
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
  const first = variants.find(({kind}) => kind !== 'usual');
  if (first !== undefined) await warmUp(stage, first, workload, report);
  for (let round = 1; round <= rounds; round += 1) {
    for (const entry of entries) {
      const {variant, home, samples, failure} = entry;
      if (failure !== undefined || !isDue(variant, workload, round)) continue;
      const run = `${workload.id} ${round}/${rounds} ${variant.label}`;
      try {
        const sample = await runOnce(stage, variant, home, workload.killAt);
        if (sample === undefined) continue;
        samples.push(sample);
        report(`${run}: ${sample.wallSeconds.toFixed(2)} s`);
      } catch (error) {
        entry.failure = error instanceof Error ? error.message : String(error);
        report(`${run} failed: ${entry.failure}`);
      }
    }
  }
  return entries.map(({variant, samples, failure}) => ({workload, variant, samples, failure}));
}

async function warmUp(
  stage: Stage,
  variant: Variant,
  {id, killAt}: Workload,
  report: (line: string) => void,
): Promise<void> {
  await using home = await tempDirectory();
  try {
    if (await runOnce(stage, variant, home, killAt)) report(`${id}: warm`);
  } catch {
    // It fails in the rounds as well, and is told there.
  }
}

function isDue({kind}: Variant, {isLong, killAt}: Workload, round: number): boolean {
  if (isLong && (round > 1 || kind === 'usual')) return false;
  // Half a pipe of curls is nothing to go on with.
  if (kind === 'limit' && killAt !== undefined) return false;
  return kind !== 'usual' || round === 1;
}
