import type {Digest} from '../model/digest.ts';
import {nameOf} from '../model/place.ts';
import {copiesOf, type CopyPlan} from '../model/plan.ts';
import {compareText} from './compare.ts';

/** A tag of a source, or an artifact without a tag. */
export interface DeltaEntry {
  /** `host/path`. */
  readonly from: string;
  readonly tag?: string;
  /** The digest that is copied. With `platforms`, it differs from the digest at the source. */
  readonly digest: Digest;
}

/** The changes at the sources between two plans for the same work. */
export interface SourceDelta {
  /** The id of the earlier plan. */
  readonly since: Digest;
  readonly added: readonly DeltaEntry[];
  /** Tags that point to another image; `was` is the earlier digest. */
  readonly moved: readonly (DeltaEntry & {readonly was: Digest})[];
  /** Images that the later plan neither copies nor finds at the destination, and the reason, for people. */
  readonly removed: readonly (DeltaEntry & {readonly why: string})[];
}

/** Compares the images that two plans want at the destinations, whether copied or already there. */
export function sourceDelta(earlier: CopyPlan, later: CopyPlan): SourceDelta {
  const [before, after] = [wantedBy(earlier), wantedBy(later)];
  const why = reasons(later);
  const added: DeltaEntry[] = [];
  const moved: (DeltaEntry & {readonly was: Digest})[] = [];
  for (const [name, {entry, digests}] of after) {
    const were = before.get(name)?.digests;
    if (were === undefined) {
      added.push(entry);
      continue;
    }
    // Each destination may get other platforms, so only digests at the same destination are comparable.
    for (const [to, digest] of digests) {
      const was = were.get(to);
      if (was === undefined || was === digest) continue;
      moved.push({...entry, digest, was});
      break;
    }
  }
  const removed = [...before].flatMap(([name, {entry}]) =>
    after.has(name) ? [] : [{...entry, why: why(entry)}],
  );
  return {
    since: earlier.id,
    added: added.toSorted(compare),
    moved: moved.toSorted(compare),
    removed: removed.toSorted(compare),
  };
}

/** A tag of a source, and the wanted digest at each destination. */
interface Wanted {
  readonly entry: DeltaEntry;
  /** By destination, `host/path:tag`. */
  readonly digests: Map<string, Digest>;
}

/** Each tag of a source once, with all of its destinations. */
function wantedBy(plan: CopyPlan): ReadonlyMap<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  const add = (from: string, tag: string | undefined, digest: Digest, to: string): void => {
    const name = nameOf(from, tag, digest);
    const entry = {from, ...(tag === undefined ? {} : {tag}), digest};
    const known = wanted.get(name) ?? {entry, digests: new Map()};
    known.digests.set(withoutArchive(to), digest);
    wanted.set(name, known);
  };
  for (const {from, sourceTag, digest, to, tag} of copiesOf(plan))
    add(from, sourceTag?.name, digest, nameOf(to, tag, digest));
  for (const skip of plan.skipped) {
    if (skip.reason === 'earlier' && skip.digest !== undefined) {
      const {from, tag, digest} = skip;
      wanted.set(nameOf(from, tag, digest), {
        entry: {from, ...(tag === undefined ? {} : {tag}), digest},
        digests: new Map(),
      });
    }
    if (skip.reason !== 'present') continue;
    const {from, sourceTag, to, tag, digest} = skip;
    add(from, sourceTag ?? tag, digest, nameOf(to, tag, digest));
  }
  return wanted;
}

/** Each archive in a series has a different name; the names of the images in it are the same. */
function withoutArchive(to: string): string {
  return to.replace(/^(?:oci|oci-archive):[^]*?::/, '');
}

/** Why the later plan leaves out an image. */
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
    (sources.has(from)
      ? 'it is no longer at the source'
      : 'its repository is no longer at the source, or no route leads to it');
}

function compare(a: DeltaEntry, b: DeltaEntry): number {
  return (
    compareText(a.from, b.from) ||
    compareText(a.tag ?? '', b.tag ?? '') ||
    compareText(a.digest, b.digest)
  );
}
