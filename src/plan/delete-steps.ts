import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Check, DeleteStep} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import type {TaggedContent} from '../observe/observe-tagged.ts';
import {nameOf} from '../model/place.ts';
import {compareText} from './compare.ts';

/** A tag, or a referrer without a tag, to delete unless something else needs it. */
export interface WantedDeletion
  extends Pick<DeleteStep, 'repository' | 'tag' | 'digest' | 'reason' | 'verified' | 'why'> {
  /** The image that a signature or a referrer belongs to. While it is kept, so is the signature. */
  readonly subject?: Digest;
}

/** The deletions in their order, and checks about tags that are kept. */
export interface DeleteOrder {
  readonly steps: readonly DeleteStep[];
  readonly checks: readonly Check[];
}

/** A HEAD before the deletion, the DELETE, and a HEAD after it. Verifying copies is not included. */
export const DELETE_ESTIMATE: DeleteStep['estimate'] = {bytes: 0, requests: 3};

/** Unique in a plan, because each tag is deleted once. */
export function deleteId({
  repository,
  tag,
  digest,
}: Pick<DeleteStep, 'repository' | 'tag' | 'digest'>): string {
  return `delete:${nameOf(repository, tag, digest)}`;
}

/** Each place once, in an order that does not depend on the input. */
export function sortedPlaces(
  places: readonly {readonly to: string; readonly tag?: Tag}[],
  digest: Digest,
): DeleteStep['verified'] {
  const byName = new Map(
    places.map(({to, tag}) => [nameOf(to, tag, digest), {to, ...(tag === undefined ? {} : {tag})}]),
  );
  return [...byName].sort(([a], [b]) => compareText(a, b)).map(([, place]) => place);
}

/** The reason for a deletion if the plan has no other. */
export function usualDeleteReason({reason}: Pick<DeleteStep, 'reason'>): string {
  return WHY[reason];
}

const WHY: Readonly<Record<DeleteStep['reason'], string>> = {
  moved: 'copied and verified at the destination',
  pruned: 'no longer at the source',
  rule: 'selected by the rules',
};

/**
 * Decides what can be deleted without harming what is kept, and in which order: indexes before the manifests that they
 * list, images before their signatures.
 * @param contents the content of each repository
 */
export function deleteSteps(
  wanted: readonly WantedDeletion[],
  contents: ReadonlyMap<string, TaggedContent>,
): DeleteOrder {
  const steps: DeleteStep[] = [];
  const checks: Check[] = [];
  for (const [repository, own] of Map.groupBy(wanted, (one) => one.repository)) {
    const content = contents.get(repository);
    if (content === undefined) continue;
    const {going, left} = harmless(own, content);
    for (const step of inOrder(going, content)) steps.push(step);
    checks.push(...notDeletedChecks(left));
  }
  return {steps, checks};
}

/** A tag or a referrer that was to be deleted and is kept. */
export interface LeftThere {
  readonly repository: string;
  readonly tag?: Tag;
  readonly digest?: Digest;
  /** The reason, as a clause. */
  readonly because: string;
}

/** What is kept may need other tags that were to be deleted, and those may need others again. */
function harmless(
  wanted: readonly WantedDeletion[],
  content: TaggedContent,
): {readonly going: readonly WantedDeletion[]; readonly left: readonly LeftThere[]} {
  const staying = new StayingTags(wanted, content);
  const byDigest = Map.groupBy(wanted, ({digest}) => digest);
  const bySubject = Map.groupBy(wanted, ({subject}) => subject);
  const left = new Map<WantedDeletion, LeftThere>();
  let waiting: readonly WantedDeletion[] = wanted;
  while (waiting.length > 0) {
    const needed: WantedDeletion[] = [];
    for (const one of waiting) {
      const because = left.has(one) ? undefined : staying.whyNot(one);
      if (because === undefined) continue;
      left.set(one, {...one, because});
      for (const digest of staying.add(one)) {
        for (const other of byDigest.get(digest) ?? []) needed.push(other);
        for (const other of bySubject.get(digest) ?? []) needed.push(other);
      }
    }
    waiting = needed;
  }
  return {going: wanted.filter((one) => !left.has(one)), left: [...left.values()]};
}

class StayingTags {
  readonly #deletion: TaggedContent['deletion'];
  readonly #below: TaggedContent['below'];
  /** One kept tag for each digest. */
  readonly #tags = new Map<Digest, Tag>();
  /** For each manifest, a kept tag whose index lists it. */
  readonly #listed = new Map<Digest, Tag>();

  constructor(going: readonly WantedDeletion[], {deletion, tags, below}: TaggedContent) {
    this.#deletion = deletion;
    this.#below = below;
    const leaving = new Set(going.map(({tag}) => tag));
    for (const [tag, digest] of tags) if (!leaving.has(tag)) this.#add(tag, digest);
  }

  /** Takes a tag that was to go for one that stays. @returns the digests that it is the first to need */
  add({tag, digest}: WantedDeletion): readonly Digest[] {
    return tag === undefined ? [] : this.#add(tag, digest);
  }

  #add(tag: Tag, digest: Digest): readonly Digest[] {
    if (this.#tags.has(digest)) return [];
    this.#tags.set(digest, tag);
    const fresh = [digest];
    for (const child of this.#below.get(digest) ?? []) {
      if (this.#listed.has(child)) continue;
      this.#listed.set(child, tag);
      fresh.push(child);
    }
    return fresh;
  }

  whyNot({tag, digest, subject, reason}: WantedDeletion): string | undefined {
    if (subject !== undefined && reason !== 'pruned') {
      const image = this.#tags.get(subject) ?? this.#listed.get(subject);
      if (image !== undefined) return `the image it belongs to stays as ${image}`;
    }
    if (tag !== undefined && this.#deletion !== 'digest') return undefined;
    const byDigest = tag === undefined ? '' : ', and this registry deletes by digest only';
    const same = this.#tags.get(digest);
    if (same !== undefined) return `${same} stays and has the same digest${byDigest}`;
    const index = this.#listed.get(digest);
    return index === undefined ? undefined : `the index ${index} stays and lists it${byDigest}`;
  }
}

/** How often the deletions of a repository may wait for one another; a plan has no room for more. */
const NEEDS_LIMIT = 1_000_000;

/** @throws TransshipError RESPONSE_INVALID beyond the limit above */
function inOrder(going: readonly WantedDeletion[], {below}: TaggedContent): readonly DeleteStep[] {
  const byDigest = Map.groupBy(going, ({digest}) => digest);
  const parents = new Map<Digest, WantedDeletion[]>();
  for (const one of going) {
    for (const child of below.get(one.digest) ?? []) {
      const known = parents.get(child);
      if (known === undefined) parents.set(child, [one]);
      else known.push(one);
    }
  }
  const before = ({digest, subject}: WantedDeletion): ReadonlySet<WantedDeletion> => {
    const found = new Set(parents.get(digest));
    if (subject === undefined) return found;
    for (const one of byDigest.get(subject) ?? []) found.add(one);
    for (const one of parents.get(subject) ?? []) found.add(one);
    return found;
  };
  const steps = new Map<WantedDeletion, DeleteStep>();
  let count = 0;
  const add = (one: WantedDeletion, needed: ReadonlySet<WantedDeletion>): void => {
    const {repository, tag, digest, reason, verified, why} = one;
    count += needed.size;
    if (count > NEEDS_LIMIT) throw tooEntangled(repository);
    steps.set(one, {
      kind: 'delete',
      id: deleteId(one),
      repository,
      ...(tag === undefined ? {} : {tag}),
      digest,
      reason,
      verified,
      // A step may be missing here if two artifacts list or sign each other: one of them has to be first.
      needs: [...needed].flatMap((other) => steps.get(other)?.id ?? []),
      why,
      estimate: DELETE_ESTIMATE,
    });
  };
  const entered = new Set<WantedDeletion>();
  for (const first of going) {
    // Not by recursion: signatures of signatures may be a long chain.
    const entries: Entry[] = [];
    const enter = (one: WantedDeletion): void => {
      if (entered.has(one)) return;
      entered.add(one);
      const needed = before(one);
      entries.push({one, needed, rest: needed.values()});
    };
    enter(first);
    for (let entry = entries.at(-1); entry !== undefined; entry = entries.at(-1)) {
      const next = entry.rest.next();
      if (next.done !== true) enter(next.value);
      else {
        entries.pop();
        add(entry.one, entry.needed);
      }
    }
  }
  return [...steps.values()];
}

/** A deletion whose predecessors are being added. */
interface Entry {
  readonly one: WantedDeletion;
  readonly needed: ReadonlySet<WantedDeletion>;
  readonly rest: Iterator<WantedDeletion>;
}

function tooEntangled(repository: string): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${repository} has too many indexes and signatures of the same images`,
    {side: 'source', hint: 'delete fewer tags at once, with --tag or --semver'},
  );
}

/** The maximum number of names that a check lists. */
const NAMES = 20;

/** One check for all tags of a repository that are kept for the same reason. */
export function notDeletedChecks(left: readonly LeftThere[]): readonly Check[] {
  const alike = Map.groupBy(left, ({repository, because}) => `${repository} ${because}`);
  return [...alike.values()].flatMap((ones): readonly Check[] => {
    const [first] = ones;
    if (first === undefined) return [];
    const {repository, because} = first;
    const names = ones
      .map(({tag, digest}) => nameOf('', tag, digest).replace(/^:/, ''))
      .sort(compareText);
    const more = names.length > NAMES ? ` and ${names.length - NAMES} more` : '';
    return [
      {
        code: 'NOT_DELETED',
        result: 'warn',
        subject: repository,
        message: `${repository} keeps ${names.slice(0, NAMES).join(', ')}${more}: ${because}`,
        hint: 'delete them by hand if they are no longer needed',
      },
    ];
  });
}
