import type {Digest} from '../model/digest.ts';
import {childBlobs, childManifests} from '../model/manifest.ts';
import type {DestinationInventory} from '../observe/inventory.ts';
import {type Candidate, madeContent} from './candidate.ts';

/** What is known to be at the destination repositories. */
export class Presence {
  /** Destinations only: of what only sources have nobody asks. */
  readonly #repositories = new Map<string, {tags: Map<string, Digest>; content: Set<Digest>}>();

  /** Routes into one repository may each have seen another part of it. */
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
   * Takes from what is known to what follows: a source that may be another route's destination has what it gives; and a
   * registry takes no manifest without its parts (distribution-spec, "Pushing Manifests"), so that they are there where
   * the manifest is. Layers with URLs are excepted, since no registry asks for those.
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
