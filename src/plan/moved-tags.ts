import type {Check, Skip} from '../model/plan.ts';
import {nameOf} from '../model/place.ts';
import {attachmentSubject, type Candidate} from './candidate.ts';
import {
  type LeftThere,
  sortedPlaces,
  usualDeleteReason,
  type WantedDeletion,
} from './delete-steps.ts';

/**
 * Tags to delete at the source after a verified copy, tags that are kept nevertheless, and checks that forbid the plan.
 */
export interface MovedTags {
  readonly wanted: readonly WantedDeletion[];
  readonly left: readonly LeftThere[];
  readonly checks: readonly Check[];
}

/**
 * A tag of the source is deleted if every route that selects it brings the same digest to its destination.
 * @param candidates those of all routes
 * @param skipped the skips of all routes
 */
export function movedTags(candidates: readonly Candidate[], skipped: readonly Skip[]): MovedTags {
  const wanted: WantedDeletion[] = [];
  const left: LeftThere[] = [];
  const destinations = new Set(candidates.map(({destination}) => destination.repository));
  const same = new Set<string>();
  const elsewhere = new Kept(skipped);
  // An untagged referrer is not a separate copy if a tag brings the same manifest.
  const tagged = new Map(
    candidates.flatMap(({destination, tag, digest}) =>
      tag === undefined ? [] : [[`${destination.repository} ${digest}`, tag] as const],
    ),
  );
  const placeOf = ({destination: {repository: to}, tag, digest}: Candidate) => {
    const named = tag ?? tagged.get(`${to} ${digest}`);
    return {to, ...(named === undefined ? {} : {tag: named})};
  };
  const byName = Map.groupBy(candidates, ({source: {repository}, root}) =>
    nameOf(repository, root.tag, root.digest),
  );
  for (const own of byName.values()) {
    const [first] = own;
    if (first === undefined || (first.root.as === 'asked' && first.root.tag === undefined))
      continue;
    const {root, source} = first;
    const {tag, digest} = root;
    const {repository} = source;
    const named = {repository, digest, ...(tag === undefined ? {} : {tag})};
    if (destinations.has(repository)) same.add(repository);
    const other = own.find((one) => one.digest !== digest);
    const because =
      other === undefined
        ? elsewhere.whyKept(repository, tag)
        : other.conversions === undefined
          ? 'only some of its platforms are copied'
          : 'it is copied in another form';
    if (because !== undefined) {
      left.push({...named, because});
      continue;
    }
    const subject = root.as === 'asked' ? attachmentSubject(tag ?? '') : root.subject;
    wanted.push({
      ...named,
      reason: 'moved',
      verified: sortedPlaces(own.map(placeOf), digest),
      why: usualDeleteReason({reason: 'moved'}),
      ...(subject === undefined ? {} : {subject}),
    });
  }
  return {wanted, left, checks: [...same].map(sameRepositoryCheck)};
}

/** Images that are neither filtered nor at a destination: only the source has them. */
class Kept {
  readonly #tags = new Set<string>();
  /** Repositories with untagged referrers that could not be copied, whose subjects are unknown. */
  readonly #untagged = new Set<string>();

  constructor(skipped: readonly Skip[]) {
    for (const {reason, from, tag} of skipped) {
      if (reason === 'present' || reason === 'filtered' || reason === 'gone') continue;
      if (tag === undefined) this.#untagged.add(from);
      else this.#tags.add(`${from}:${tag}`);
    }
  }

  whyKept(repository: string, tag: string | undefined): string | undefined {
    if (tag !== undefined && this.#tags.has(`${repository}:${tag}`))
      return 'not every destination gets it';
    if (this.#untagged.has(repository))
      return 'the repository has artifacts without a tag that cannot be copied';
    return undefined;
  }
}

function sameRepositoryCheck(repository: string): Check {
  return {
    code: 'PLAN_FORBIDDEN',
    result: 'forbid',
    subject: repository,
    message: `${repository} is source and destination: what is deleted at the source would be gone at the destination`,
    hint: 'copy within a repository without deleting at the source, then delete the old tags by themselves',
  };
}
