import {availableParallelism} from 'node:os';
import {leastOf, type Measurement} from './measurement.ts';
import type {Workload} from './workloads.ts';

/** As many as the most eager peer opens. */
const CONNECTIONS = 32;
/** Ranged reads of one blob at once. */
const RANGES = 8;

/** The least that a workload takes. */
export interface Limit {
  readonly seconds: number;
  /** How it is reckoned. */
  readonly why: string;
}

/** What no tool can be faster than, without more connections or fewer requests, or less work for the registries. */
export function limitsOf(measurements: readonly Measurement[]): readonly Limit[] {
  const [first] = measurements;
  const ofLine = first && limitOfLine(first.workload);
  const work = leastOf(
    measurements.filter(({variant}) => variant.kind !== 'limit'),
    'otherCpuSeconds',
  );
  const processors = availableParallelism();
  return [
    ...(ofLine ? [ofLine] : []),
    ...(work === undefined
      ? []
      : [
          {
            seconds: work / processors,
            why: `least work of the registries and lines, on ${processors} processors`,
          },
        ]),
  ];
}

/** Undefined: not a line but the machine holds it up. */
function limitOfLine({source, destination, isDone, content}: Workload): Limit | undefined {
  const {tags, own, shared} = content;
  if (source?.bytesPerSecond !== undefined) {
    const bytes = own.count * own.size;
    return {
      seconds: bytes / source.bytesPerSecond / RANGES,
      why: `${bytes} bytes over ${RANGES} connections`,
    };
  }
  const roundTripMs = Math.max(source?.roundTripMs ?? 0, destination?.roundTripMs ?? 0);
  if (roundTripMs === 0) return undefined;
  // A HEAD for each tag; or POST and PUT for each blob and PUT for each manifest, which is more than the source is
  // asked.
  const blobs = tags * (own.count + 1) + shared.count;
  const requests = isDone ? tags : 2 * blobs + tags;
  return {
    seconds: (requests * roundTripMs) / 1000 / CONNECTIONS,
    why: `${requests} requests to one side over ${CONNECTIONS} connections`,
  };
}
