import type {Measurement} from './measurement.ts';
import {runOnce, type Sample} from './run-once.ts';
import {openStage} from './stage.ts';
import type {Variant} from './tool.ts';
import type {Workload} from './workloads.ts';

/** Runs all variants in turn, as often as there are rounds. */
export async function runWorkload(
  workload: Workload,
  variants: readonly Variant[],
  rounds: number,
  report: (line: string) => void,
): Promise<readonly Measurement[]> {
  await using stage = await openStage(workload);
  const samples = new Map<Variant, Sample[]>(variants.map((variant) => [variant, []]));
  const failures = new Map<Variant, string>();
  for (let round = 1; round <= rounds; round += 1) {
    for (const [variant, runs] of samples) {
      if (failures.has(variant) || !isDue(variant, workload, round)) continue;
      try {
        const sample = await runOnce(stage, variant, workload.killAt);
        if (sample === undefined) continue;
        runs.push(sample);
        report(
          `${workload.id} ${round}/${rounds} ${variant.label}: ${sample.wallSeconds.toFixed(2)} s`,
        );
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        failures.set(variant, reason);
        report(`${workload.id} ${round}/${rounds} ${variant.label} failed: ${reason}`);
      }
    }
  }
  return [...samples].map(([variant, runs]) => ({
    workload,
    variant,
    samples: runs,
    failure: failures.get(variant),
  }));
}

function isDue({kind}: Variant, {isLong, killAt}: Workload, round: number): boolean {
  if (isLong && (round > 1 || kind === 'usual')) return false;
  // Half a pipe of curls is nothing to go on with.
  if (kind === 'limit' && killAt !== undefined) return false;
  return kind !== 'usual' || round === 1;
}
