import type {Digest} from '../model/digest.ts';
import {copiesOf, type CopyPlan} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import {nameOf} from '../model/place.ts';
import type {ObservedRoute} from './candidate.ts';

/** A tag that an earlier plan brought to a destination, or found there as it wanted it, and that has no source any more. */
export interface Sourceless {
  /** The destination, `host/path`. */
  readonly to: string;
  readonly tag: Tag;
  /** What the earlier plan wanted it to point to. */
  readonly digest: Digest;
}

/**
 * What an earlier plan brought and the source no longer has. Only tags of the routes that are planned now count, and only
 * where their source was listed now: a repository that is no longer listed may just be closed to this login, and a tag that
 * a filter leaves out is still there.
 */
export function sourcelessTags(
  earlier: CopyPlan,
  routes: readonly ObservedRoute[],
): readonly Sourceless[] {
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
  const found = new Map<string, Sourceless>();
  for (const {from, to, tag, sourceTag, digest} of broughtBy(earlier)) {
    const isPlanned = planned.has(`${from} ${to}`);
    const isThere = listed.get(from)?.has(sourceTag) === true;
    const name = nameOf(to, tag, digest);
    if (isPlanned && !isThere && !wanted.has(name)) found.set(name, {to, tag, digest});
  }
  return [...found.values()];
}

interface Brought extends Sourceless {
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
