import {compareText} from './compare.ts';

/** A unit of work that one run carries out: a destination repository, or a project. */
export interface ShardUnit {
  /** Unique. */
  readonly name: string;
  /** The cost of the unit itself, in bytes. */
  readonly own: number;
  /** The sizes, in bytes, of blobs that are sent once for all units of a shard that need them. */
  readonly shared: ReadonlyMap<string, number>;
}

/** Units in the same shard. */
export interface Cluster {
  readonly units: readonly string[];
  readonly own: number;
  readonly shared: ReadonlyMap<string, number>;
  /** `own`, plus each shared blob once. */
  readonly cost: number;
}

interface Growing {
  units: string[];
  own: number;
  shared: Map<string, number>;
  cost: number;
}

/**
 * Groups units that share blobs: those that share the most bytes first, as long as the cost of the cluster does not
 * exceed the limit. A unit that exceeds it alone is a cluster of its own.
 * @param limits in bytes; infinity: all units that share a blob are together
 * @returns the clusters for each limit
 */
export function clustersOf(
  units: readonly ShardUnit[],
  limits: readonly number[],
): readonly (readonly Cluster[])[] {
  const links = linksOf(units);
  return limits.map((limit) => clustered(units, links, limit));
}

/** The units that need each shared blob, sorted by the bytes that sending it once saves. */
function linksOf(units: readonly ShardUnit[]): readonly (readonly number[])[] {
  const needed = new Map<string, {readonly size: number; readonly by: number[]}>();
  for (const [at, {shared}] of units.entries()) {
    for (const [blob, size] of shared) {
      const link = needed.get(blob) ?? {size, by: []};
      link.by.push(at);
      needed.set(blob, link);
    }
  }
  return [...needed]
    .filter(([, {by}]) => by.length > 1)
    .map(([blob, {size, by}]) => ({blob, by, saved: size * (by.length - 1)}))
    .sort((a, b) => b.saved - a.saved || compareText(a.blob, b.blob))
    .map(({by}) => by);
}

function clustered(
  units: readonly ShardUnit[],
  links: readonly (readonly number[])[],
  limit: number,
): readonly Cluster[] {
  const clusterOf: Growing[] = units.map(({name, own, shared}) => ({
    units: [name],
    own,
    shared: new Map(shared),
    cost: own + sizesOf(shared),
  }));
  const at = new Map(units.map(({name}, index) => [name, index]));
  for (const link of links) {
    let current: Growing | undefined;
    for (const index of link) {
      const next = clusterOf[index];
      if (next === undefined || next === current) continue;
      if (current === undefined || costTogether(current, next) > limit) {
        current = next;
        continue;
      }
      const [small, large] =
        current.units.length < next.units.length ? [current, next] : [next, current];
      for (const name of small.units) clusterOf[at.get(name) ?? 0] = large;
      add(small, large);
      current = large;
    }
  }
  return [...new Set(clusterOf)];
}

function costTogether(a: Growing, b: Growing): number {
  const [few, many] = a.shared.size < b.shared.size ? [a, b] : [b, a];
  let cost = a.cost + b.cost;
  for (const [blob, size] of few.shared) if (many.shared.has(blob)) cost -= size;
  return cost;
}

/** Adds the units of one cluster to the other. */
function add(small: Growing, large: Growing): void {
  large.cost = costTogether(small, large);
  large.own += small.own;
  large.units.push(...small.units);
  for (const [blob, size] of small.shared) large.shared.set(blob, size);
}

function sizesOf(shared: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const size of shared.values()) sum += size;
  return sum;
}
