import type {Digest} from '../model/digest.ts';
import {childBlobs, childManifests} from '../model/manifest.ts';
import type {DestinationInventory} from '../observe/inventory.ts';
import {type Candidate, madeContent} from './candidate.ts';

/** The content that is known to be at the destinations. */
export class Presence {
  /** Destinations only, because no one asks about sources. */
  readonly #repositories = new Map<string, {tags: Map<string, Digest>; content: Set<Digest>}>();

  /** Several routes to one repository may each have observed a different part of it. */
  constructor(destinations: readonly DestinationInventory[]) {
    for (const {repository, tags, present} of destinations) {
      const known = this.#of(repository);
      for (const [tag, digest] of tags) known.tags.set(tag, digest);
      for (const digest of present) known.content.add(digest);
    }
  }

  /** What the tag points to at the destination; null: nothing. */
  tagged({destination, tag}: Candidate): Digest | null {
    if (tag === undefined) return null;
    return this.#of(destination.repository).tags.get(tag) ?? null;
  }

  has(repository: string, digest: Digest): boolean {
    return this.#repositories.get(repository)?.content.has(digest) === true;
  }

  /** Whether the candidate is at the destination, its tag included. */
  isDone(candidate: Candidate): boolean {
    const {source, destination, root, tag, digest} = candidate;
    const isItself =
      source.repository === destination.repository && tag === root.tag && digest === root.digest;
    if (isItself) return true;
    return tag === undefined
      ? this.has(destination.repository, digest)
      : this.tagged(candidate) === digest;
  }

  /**
   * Adds content that follows from what is known. If the source is also a destination of another route, it has what it
   * provides. A registry accepts a manifest only with its parts (distribution-spec, "Pushing Manifests"), so a
   * repository with the manifest has them, except layers with URLs, which registries do not check.
   */
  follow(candidate: Candidate): void {
    const {source, destination, digest, graph} = candidate;
    const made = madeContent(candidate);
    const own = this.#repositories.get(source.repository)?.content;
    const {content} = this.#of(destination.repository);
    if (this.isDone(candidate)) content.add(digest);
    for (const {descriptor, view} of graph?.manifests.toReversed() ?? []) {
      if (!made.has(descriptor.digest)) own?.add(descriptor.digest);
      const isThere = content.has(descriptor.digest);
      for (const child of isThere ? childManifests(view) : []) content.add(child.digest);
      for (const {digest: blob, urls} of childBlobs(view)) {
        if (!source.absentForeign.has(blob) && !made.has(blob)) own?.add(blob);
        if (isThere && !urls?.length) content.add(blob);
      }
    }
  }

  #of(repository: string): {tags: Map<string, Digest>; content: Set<Digest>} {
    const known = this.#repositories.get(repository) ?? {tags: new Map(), content: new Set()};
    this.#repositories.set(repository, known);
    return known;
  }
}
