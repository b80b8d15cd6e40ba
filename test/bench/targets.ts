import {isPeer, leastOf, type Measurement, medianOf, type Quantity} from './measurement.ts';

/** What transship is to reach in a workload. */
interface Target {
  /** Undefined: in each. */
  readonly workload?: string;
  readonly quantity: Quantity;
  readonly name: string;
  readonly atMost: number;
  /** The best of these peers counts as 1; undefined: `atMost` is the number itself. */
  readonly against?: {readonly name: string; readonly has: (measurement: Measurement) => boolean};
}

const CRANE = {name: 'crane', has: labelled(/^crane/)};
const CRANE_32 = {name: 'crane -j 32', has: labelled(/^crane -j 32$/)};
const PEERS = {name: 'the best peer', has: isPeer};
const MiB = 1024 * 1024;

/** What a user may notice; a record is nobody's aim. */
const TARGETS: readonly Target[] = [
  {workload: 'A', quantity: 'wallSeconds', name: 'wall', atMost: 1.1, against: CRANE},
  {workload: 'A', quantity: 'cpuSeconds', name: 'CPU', atMost: 1.5, against: CRANE},
  {workload: 'B', quantity: 'wallSeconds', name: 'wall', atMost: 0.75, against: CRANE_32},
  {workload: 'C', quantity: 'wallSeconds', name: 'wall', atMost: 0.85, against: CRANE_32},
  {workload: 'D', quantity: 'wallSeconds', name: 'wall', atMost: 0.2, against: PEERS},
  {workload: 'E', quantity: 'readAgain', name: 'bytes read again', atMost: 0.05},
  {workload: 'E', quantity: 'sentAgain', name: 'bytes sent again', atMost: 0.05},
  {quantity: 'peakBytes', name: 'peak MiB', atMost: 200 * MiB},
];

/** A target with what came of it. */
export interface Verdict {
  readonly workload: string;
  readonly text: string;
  readonly value: number;
  readonly atMost: number;
}

/** @returns nothing for a target that this run cannot judge: a workload or a peer is missing */
export function judge(
  workload: string,
  ours: Measurement,
  all: readonly Measurement[],
): readonly Verdict[] {
  return TARGETS.flatMap((target) => {
    if (target.workload !== undefined && target.workload !== workload) return [];
    const {quantity, name, atMost, against} = target;
    const value = medianOf(ours, quantity);
    if (value === undefined) return [];
    if (against === undefined) {
      const unit = quantity === 'peakBytes' ? MiB : 1;
      return [{workload, text: name, value: value / unit, atMost: atMost / unit}];
    }
    const best = leastOf(all.filter(against.has), quantity);
    if (best === undefined) return [];
    return [{workload, text: `${name}, of ${against.name}`, value: value / best, atMost}];
  });
}

function labelled(pattern: RegExp): (measurement: Measurement) => boolean {
  return ({variant}) => pattern.test(variant.label);
}
