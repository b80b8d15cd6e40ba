import type {Workload} from './workloads.ts';

/** As many as the most eager peer opens. */
const CONNECTIONS = 32;
/** Ranged reads of one blob at once. */
const RANGES = 8;

/** The least that a workload takes where the line is what holds it up; undefined: the machine is, see curl's row. */
export interface Limit {
  readonly seconds: number;
  /** How it is reckoned. */
  readonly why: string;
}

/** What no tool can be faster than, without more connections or fewer requests. */
export function limitOf({source, destination, isDone, content}: Workload): Limit | undefined {
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
  // A HEAD for each tag; or POST and PUT for each blob and PUT for each manifest, which is more than the source is asked.
  const blobs = tags * (own.count + 1) + shared.count;
  const requests = isDone ? tags : 2 * blobs + tags;
  return {
    seconds: (requests * roundTripMs) / 1000 / CONNECTIONS,
    why: `${requests} requests to one side over ${CONNECTIONS} connections`,
  };
}
