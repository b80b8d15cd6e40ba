import type {Sample} from './run-once.ts';
import type {Variant} from './tool.ts';
import type {Workload} from './workloads.ts';

/** All runs of one variant in one workload. */
export interface Measurement {
  readonly workload: Workload;
  readonly variant: Variant;
  readonly samples: readonly Sample[];
  /** Why it gave up; it is not run again then. */
  readonly failure: string | undefined;
}

/** What is measured. */
export type Quantity = keyof Sample;

/** The median over the runs; undefined: it was not measured. */
export function medianOf({samples}: Measurement, quantity: Quantity): number | undefined {
  const values = samples
    .map((sample) => sample[quantity])
    .filter((value) => value !== undefined)
    .sort((a, b) => a - b);
  const low = values[Math.floor((values.length - 1) / 2)];
  const high = values[Math.floor(values.length / 2)];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

/** The least median of a quantity, whoever has it; undefined: none was measured. */
export function leastOf(
  measurements: readonly Measurement[],
  quantity: Quantity,
): number | undefined {
  const medians = measurements
    .map((measurement) => medianOf(measurement, quantity))
    .filter((value) => value !== undefined);
  return medians.length === 0 ? undefined : Math.min(...medians);
}

/** Whether it is of another tool, and a copy. */
export function isPeer({variant}: Measurement): boolean {
  return variant.kind === 'usual' || variant.kind === 'best';
}
