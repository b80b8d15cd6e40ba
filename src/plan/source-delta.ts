import type {Digest} from '../model/digest.ts';
import {copiesOf, type CopyPlan} from '../model/plan.ts';
import {compareText} from './compare.ts';

/** A tag of a source, or an artifact without one, by its digest. */
export interface DeltaEntry {
  /** `host/path`. */
  readonly from: string;
  readonly tag?: string;
  /** What is copied of it: with `platforms`, not the digest at the source. */
  readonly digest: Digest;
}

/** What changed at the sources between two plans of the same work. */
export interface SourceDelta {
  /** The id of the earlier plan. */
  readonly since: Digest;
  readonly added: readonly DeltaEntry[];
  /** Tags that point to another image; `was` is the earlier one. */
  readonly moved: readonly (DeltaEntry & {readonly was: Digest})[];
  /** What the later plan neither copies nor finds at the destination, and why, for people. */
  readonly removed: readonly (DeltaEntry & {readonly why: string})[];
}

/** Compares what two plans want at the destinations, whether it had to be copied or was there already. */
export function sourceDelta(earlier: CopyPlan, later: CopyPlan): SourceDelta {
  const [before, after] = [wantedBy(earlier), wantedBy(later)];
  const entries = [...after].map(([name, entry]) => ({entry, was: before.get(name)?.digest}));
  const why = reasons(later);
  return {
    since: earlier.id,
    added: entries.flatMap(({entry, was}) => (was === undefined ? [entry] : [])).toSorted(compare),
    moved: entries
      .flatMap(({entry, was}) =>
        was === undefined || was === entry.digest ? [] : [{...entry, was}],
      )
      .toSorted(compare),
    removed: [...before]
      .flatMap(([name, entry]) => (after.has(name) ? [] : [{...entry, why: why(entry)}]))
      .toSorted(compare),
  };
}

/** Each tag of a source once, however many destinations it has. */
function wantedBy(plan: CopyPlan): ReadonlyMap<string, DeltaEntry> {
  const wanted = new Map<string, DeltaEntry>();
  const add = (from: string, tag: string | undefined, digest: Digest): void => {
    wanted.set(nameOf(from, tag, digest), {from, ...(tag === undefined ? {} : {tag}), digest});
  };
  for (const {from, sourceTag, digest} of copiesOf(plan)) add(from, sourceTag?.name, digest);
  for (const skip of plan.skipped)
    if (skip.reason === 'present') add(skip.from, skip.sourceTag ?? skip.tag, skip.digest);
  return wanted;
}

/** Why the later plan leaves something out. */
function reasons({routes, skipped}: CopyPlan): (entry: DeltaEntry) => string {
  const sources = new Set(routes.map(({from}) => from));
  const details = new Map(
    skipped.flatMap((skip) =>
      skip.reason === 'present' ? [] : [[nameOf(skip.from, skip.tag, skip.digest), skip.detail]],
    ),
  );
  return ({from, tag, digest}) =>
    details.get(nameOf(from, tag, digest)) ??
    details.get(nameOf(from, undefined, undefined)) ??
    (sources.has(from) ? 'it is no longer at the source' : 'no route leads to its repository');
}

function nameOf(from: string, tag: string | undefined, digest: Digest | undefined): string {
  return tag === undefined ? `${from}@${digest ?? ''}` : `${from}:${tag}`;
}

function compare(a: DeltaEntry, b: DeltaEntry): number {
  return (
    compareText(a.from, b.from) ||
    compareText(a.tag ?? '', b.tag ?? '') ||
    compareText(a.digest, b.digest)
  );
}
