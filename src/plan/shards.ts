import type {Shard} from '../model/outcome.ts';
import {parsePlace} from '../model/place.ts';
import {copiesOf, type CopyPlan, creationsOf, type Plan} from '../model/plan.ts';
import {
  type ProjectMove,
  type TransferPlan,
  type TransferUnit,
  unitsOf,
} from '../model/transfer-plan.ts';
import {compareText} from './compare.ts';
import {isInside} from './create-steps.ts';
import {manifestsBelow, putBy} from './part-of-plan.ts';
import {type Cluster, clustersOf, type ShardUnit} from './shard-clusters.ts';
import {totalsOf, withEstimates} from './totals.ts';
import {copySetsOf} from './transfer/estimate.ts';

/**
 * The part of a plan that one of several runs carries out. The parts are disjoint, together they are the plan without
 * its deletions, and each depends only on the plan and on the number of parts. A part has the id of the whole plan.
 *
 * A part of a copy plan contains some of the destination repositories, with those that share blobs together as far as
 * the parts remain balanced. It also contains the creations of their groups and projects, which other parts may contain
 * as well, and no deletions. A part of a transfer plan contains some of the projects.
 */
export function shardOfPlan(plan: CopyPlan, shard: Shard): CopyPlan;
export function shardOfPlan(plan: TransferPlan, shard: Shard): TransferPlan;
export function shardOfPlan(plan: Plan, shard: Shard): Plan;
export function shardOfPlan(plan: Plan, shard: Shard): Plan {
  return plan.kind === 'copy' ? shardOfCopies(plan, shard) : shardOfTransfers(plan, shard);
}

/** The maximum number of shards; larger numbers are mistakes. */
export const MOST_SHARDS = 1000;
/** The accepted excess of the largest shard over the mean, as a fraction, if the repositories are small enough. */
const TOLERANCE = 0.15;
/** The cost of an image in addition to its bytes, in bytes, because requests take time as well. */
const IMAGE_COST = 64 * 1024;

function shardOfCopies(plan: CopyPlan, {index, total}: Shard): CopyPlan {
  const units = new Set(inShards(copyUnits(plan), total)[index - 1]);
  const chosen = new Set(destinationsOf(plan).filter((to) => units.has(unitOf(to))));
  const copies = copiesOf(plan).filter(({to}) => chosen.has(to));
  const creations = creationsOf(plan).filter((step) => copies.some(({to}) => isInside(to, step)));
  const blobs = mountedWithin(plan, chosen);
  const shardOfSource = new Map<string, string>();
  for (const {from, to} of plan.routes) if (!shardOfSource.has(from)) shardOfSource.set(from, to);
  const skipped = plan.skipped.filter((skip) => {
    if (skip.reason === 'present') return chosen.has(skip.to);
    const to = shardOfSource.get(skip.from);
    return to === undefined ? index === 1 : chosen.has(to);
  });
  const present = skipped.flatMap((skip) => (skip.reason === 'present' ? [skip.digest] : []));
  const manifests = manifestsBelow(plan.manifests, [...putBy(copies), ...present]);
  return {
    ...plan,
    routes: plan.routes.filter(({to}) => chosen.has(to)),
    steps: [...creations, ...withEstimates(copies, manifests, blobs)],
    manifests,
    blobs,
    skipped,
    totals: totalsOf(copies, blobs, skipped),
  };
}

/**
 * The blobs of some repositories. If the plan mounts a blob from a repository of another shard, it may not be there
 * yet: the first repository in this shard copies it instead, and the others mount it from there.
 */
function mountedWithin(plan: CopyPlan, chosen: ReadonlySet<string>): CopyPlan['blobs'] {
  const sent = new Set(
    plan.blobs.flatMap(({action, digest, to}) => (action === 'copy' ? [`${to} ${digest}`] : [])),
  );
  const holders = new Map<string, string>();
  return plan.blobs.flatMap((blob) => {
    const {digest, to, action, mountFrom} = blob;
    if (!chosen.has(to)) return [];
    const isElsewhere =
      action === 'mount' &&
      mountFrom !== undefined &&
      !chosen.has(mountFrom) &&
      sent.has(`${mountFrom} ${digest}`);
    if (!isElsewhere) return [blob];
    const key = `${mountFrom} ${digest}`;
    const holder = holders.get(key);
    if (holder !== undefined) return [{...blob, mountFrom: holder}];
    holders.set(key, to);
    return [{...blob, action: 'copy' as const}];
  });
}

function destinationsOf({routes, steps, skipped}: CopyPlan): readonly string[] {
  return [
    ...routes.map(({to}) => to),
    ...copiesOf({steps}).map(({to}) => to),
    ...skipped.flatMap((skip) => (skip.reason === 'present' ? [skip.to] : [])),
  ];
}

/** The unit of writing of one run: a repository, or a layout or archive with all of its repositories. */
function unitOf(to: string): string {
  const place = parsePlace(to);
  return 'file' in place ? `${place.transport}:${place.file}` : to;
}

/** The destination repositories of a plan, with the bytes to send to each. */
function copyUnits(plan: CopyPlan): readonly ShardUnit[] {
  const units = new Map<string, {name: string; own: number; shared: Map<string, number>}>();
  const names = new Map<string, string>();
  const unit = (to: string) => {
    const name = names.get(to) ?? unitOf(to);
    names.set(to, name);
    const one = units.get(name) ?? {name, own: 0, shared: new Map<string, number>()};
    units.set(name, one);
    return one;
  };
  for (const to of destinationsOf(plan)) unit(to);
  for (const {to} of copiesOf(plan)) unit(to).own += IMAGE_COST;
  for (const {action, digest, to, size} of plan.blobs)
    if (action === 'copy') unit(to).shared.set(`${to} ${digest}`, size);
  for (const {action, digest, to, mountFrom, size} of plan.blobs) {
    if (action !== 'mount' || mountFrom === undefined) continue;
    const key = `${mountFrom} ${digest}`;
    if (names.has(mountFrom) && unit(mountFrom).shared.has(key)) unit(to).shared.set(key, size);
  }
  const all = [...units.values()];
  const needed = new Map<string, number>();
  for (const {shared} of all)
    for (const key of shared.keys()) needed.set(key, (needed.get(key) ?? 0) + 1);
  for (const one of all) {
    for (const [key, size] of one.shared) {
      if (needed.get(key) !== 1) continue;
      one.shared.delete(key);
      one.own += size;
    }
  }
  return all;
}

function shardOfTransfers(plan: TransferPlan, {index, total}: Shard): TransferPlan {
  const together = dependentUnits(plan);
  const chosen = new Set(inShards(together.map(transferUnit), total)[index - 1]);
  const units = new Set(together.filter((own) => chosen.has(nameOfUnits(own))).flat());
  const kept = new Set([...units].flatMap(({moves}) => moves));
  const groups = (plan.groups ?? []).filter((group) =>
    [...units].some((unit) => unit.group === group),
  );
  const moves = plan.moves.filter((move) => kept.has(move));
  const [own, all] = [sourcesOf(moves), sourcesOf(plan.moves)];
  const skipped = plan.skipped.filter(({from}) => (all.has(from) ? own.has(from) : index === 1));
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const {groups: _groups, ...rest} = plan;
  return {
    ...rest,
    moves,
    ...(groups.length === 0 ? {} : {groups}),
    skipped,
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
  };
}

function sourcesOf(moves: readonly ProjectMove[]): ReadonlySet<string> {
  return new Set(moves.flatMap(({repositories}) => repositories.map(({from}) => from)));
}

/**
 * Groups of projects that one run has to move: those with a donor project that the plan creates and removes, and a
 * project that takes the path of another.
 */
function dependentUnits(plan: TransferPlan): readonly (readonly TransferUnit[])[] {
  const groups: TransferUnit[][] = [];
  for (const unit of unitsOf(plan)) {
    const reasons = new Set(reasonsOf(unit));
    const joined = groups.filter((group) =>
      group.some((other) => reasonsOf(other).some((reason) => reasons.has(reason))),
    );
    for (const group of joined) groups.splice(groups.indexOf(group), 1);
    groups.push([...joined.flat(), unit]);
  }
  return groups;
}

/** The cost of projects that one run has to move, as one unit of a shard. */
function transferUnit(units: readonly TransferUnit[]): ShardUnit {
  const moves = units.flatMap((unit) => unit.moves);
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const own = sets
    .flatMap(({blobs}) => blobs)
    .reduce((sum, {action, size}) => (action === 'copy' ? sum + size : sum), 0);
  const images = sets.reduce((sum, {copies}) => sum + copies.length, 0);
  return {
    name: nameOfUnits(units),
    own: own + (1 + images) * IMAGE_COST,
    shared: new Map(),
  };
}

/** The path of the first group or project. */
function nameOfUnits([first]: readonly TransferUnit[]): string {
  return first?.group?.group.from ?? first?.moves[0]?.project.from ?? '';
}

/** The resources that two runs must not use at the same time. */
function reasonsOf({group, moves}: TransferUnit): readonly string[] {
  const paths = [...(group ? [group.group] : []), ...moves.map(({project}) => project)];
  return [
    ...paths.flatMap(({from, to}) => [`path ${from}`, `path ${to}`]),
    ...moves.flatMap(({donor}) =>
      donor.kind === 'project' && donor.id === undefined ? [`donor ${donor.path}`] : [],
    ),
  ];
}

/** The cost of the largest of this many shards, in bytes: the bytes that it sends, and 64 KiB for each image. */
export function largestShard(plan: Plan, total: number): number {
  const units = plan.kind === 'copy' ? copyUnits(plan) : dependentUnits(plan).map(transferUnit);
  return balanced(units, total).largest;
}

/** The names of the units in each shard. */
function inShards(units: readonly ShardUnit[], total: number): readonly (readonly string[])[] {
  return balanced(units, total).shards;
}

function balanced(units: readonly ShardUnit[], total: number): Packed {
  const ordered = units.toSorted((a, b) => compareText(a.name, b.name));
  const [whole] = clustersOf(ordered, [Number.POSITIVE_INFINITY]);
  const mean = (whole ?? []).reduce((sum, {cost}) => sum + cost, 0) / total;
  // The last limit guarantees the balance, if no unit is larger: see `packed`.
  const limits = [1, 1 / 2, 1 / 4, TOLERANCE].map((part) => part * mean);
  let best: Packed | undefined;
  for (const clusters of [whole ?? [], ...clustersOf(ordered, limits)]) {
    const one = packed(clusters, total);
    if (one.excess <= 1 + TOLERANCE) return one;
    if (best === undefined || one.largest < best.largest) best = one;
  }
  return best ?? packed([], total);
}

interface Packed {
  readonly shards: readonly (readonly string[])[];
  /** The cost of the largest shard, in bytes. */
  readonly largest: number;
  /** The cost of the largest shard as a multiple of the mean. */
  readonly excess: number;
}

/**
 * Distributes clusters over shards, the largest first, each to the shard that is then the smallest. The largest shard
 * exceeds the mean by at most one cluster.
 */
function packed(clusters: readonly Cluster[], total: number): Packed {
  const shards = Array.from({length: total}, () => ({
    cost: 0,
    shared: new Set<string>(),
    units: [] as string[],
  }));
  const ordered = clusters.toSorted(
    (a, b) => b.cost - a.cost || compareText(a.units[0] ?? '', b.units[0] ?? ''),
  );
  for (const {own, shared, units} of ordered) {
    let least: {readonly shard: (typeof shards)[number]; readonly cost: number} | undefined;
    for (const shard of shards) {
      let cost = shard.cost + own;
      for (const [blob, size] of shared) if (!shard.shared.has(blob)) cost += size;
      if (least === undefined || cost < least.cost) least = {shard, cost};
    }
    if (least === undefined) break;
    least.shard.cost = least.cost;
    for (const blob of shared.keys()) least.shard.shared.add(blob);
    least.shard.units.push(...units);
  }
  const costs = shards.map(({cost}) => cost);
  const largest = Math.max(...costs);
  const mean = costs.reduce((sum, cost) => sum + cost, 0) / total;
  return {
    shards: shards.map(({units}) => units),
    largest,
    excess: mean === 0 ? 1 : largest / mean,
  };
}
