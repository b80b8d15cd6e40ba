import type {Digest} from '../model/digest.ts';
import {copiesOf, type CopyPlan} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import {nameOf} from '../model/place.ts';
import type {ObservedRoute} from './candidate.ts';

/** A tag at a destination that an earlier plan copied or found there, and that its source no longer has. */
export interface PrunedTag {
  /** The destination, `host/path`. */
  readonly to: string;
  readonly tag: Tag;
  /** The digest in the earlier plan. */
  readonly digest: Digest;
}

/**
 * Tags of an earlier plan that their sources no longer have. Only tags of current routes count whose source was listed
 * now: a repository that is no longer listed may only be hidden from this login, and a tag that a filter excludes still
 * exists.
 */
export function prunedTags(
  earlier: CopyPlan,
  routes: readonly ObservedRoute[],
): readonly PrunedTag[] {
  const listed = new Map<string, Set<string>>();
  const wanted = new Set<string>();
  const planned = new Set<string>();
  for (const {source, destination} of routes) {
    const {repository, roots, notRead, unreadable = []} = source;
    planned.add(`${repository} ${destination.repository}`);
    const names = listed.get(repository) ?? new Set();
    listed.set(repository, names);
    for (const {tag} of [...roots, ...notRead, ...unreadable])
      if (tag !== undefined) names.add(tag);
    for (const root of roots) {
      const tag = (root.as === 'asked' ? root.toTag : undefined) ?? root.tag;
      if (tag !== undefined) wanted.add(`${destination.repository}:${tag}`);
    }
  }
  const found = new Map<string, PrunedTag>();
  for (const {from, to, tag, sourceTag, digest} of broughtBy(earlier)) {
    const isPlanned = planned.has(`${from} ${to}`);
    const isThere = listed.get(from)?.has(sourceTag) === true;
    const name = nameOf(to, tag, digest);
    if (isPlanned && !isThere && !wanted.has(name)) found.set(name, {to, tag, digest});
  }
  return [...found.values()];
}

interface Brought extends PrunedTag {
  readonly from: string;
  readonly sourceTag: string;
}

function broughtBy(plan: CopyPlan): readonly Brought[] {
  const copied = copiesOf(plan).flatMap(({from, to, tag, sourceTag, digest}) =>
    tag === undefined || sourceTag === undefined
      ? []
      : [{from, to, tag, sourceTag: sourceTag.name, digest}],
  );
  const present = plan.skipped.flatMap((skip) => {
    if (skip.reason !== 'present' || skip.tag === undefined) return [];
    const {from, to, tag, sourceTag = tag, digest} = skip;
    return [{from, to, tag, sourceTag, digest}];
  });
  return [...copied, ...present];
}
