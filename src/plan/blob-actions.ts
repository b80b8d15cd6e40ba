import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {childBlobs} from '../model/manifest.ts';
import type {BlobAction} from '../model/plan.ts';
import {ByPlace} from './by-place.ts';
import {type Candidate, madeContent} from './candidate.ts';
import type {Presence} from './presence.ts';
import {parsePlace} from '../model/place.ts';

/** A blob that a destination repository needs. */
interface NeededBlob {
  readonly blob: Descriptor;
  readonly to: string;
  /** The sources that list it, in the order of the candidates. All blobs that only one source lists share one array. */
  sources: readonly [Source, ...Source[]];
  /** Whether a manifest that lists it will be pushed. */
  isForPut: boolean;
}

interface Source {
  readonly from: string;
  /** Whether the source lacks the blob: a layer with URLs, or a config that has to be created. */
  readonly isAbsent: boolean;
  /** The URLs to copy the layer from, if it is to be copied. */
  readonly urls?: readonly string[] | undefined;
  /** Whether the blob is created when the plan is applied. */
  readonly isMade?: boolean;
}

/**
 * The action for each blob at each destination repository, in the order in which the candidates need the blobs. A
 * digest is sent once to each destination registry: it is copied to the first repository, and the others mount it from
 * there. It is mounted everywhere if a source or destination repository on that registry already has it.
 */
export function blobActions(
  candidates: readonly Candidate[],
  presence: Presence,
): readonly BlobAction[] {
  const needs = needsOf(candidates, presence);
  const holders = new Holders(candidates);
  for (const {blob, to, sources} of needs) {
    for (const {from, isAbsent} of sources) if (!isAbsent) holders.add(from, blob.digest);
    if (presence.has(to, blob.digest)) holders.add(to, blob.digest);
  }
  return needs.map((need) => {
    const {blob, to} = need;
    const {digest, mediaType, size} = blob;
    const source =
      need.sources.find(({isAbsent}) => !isAbsent) ??
      need.sources.find(({urls}) => urls !== undefined) ??
      need.sources[0];
    const base = {digest, mediaType, size, from: source.from, to};
    if (presence.has(to, digest)) return {...base, action: 'present'};
    // A manifest that is already at the destination was accepted without the blob.
    const isElsewhere = source.isAbsent && source.urls === undefined && source.isMade !== true;
    if (isElsewhere || !need.isForPut) return {...base, action: 'foreign'};
    const isNear = !source.isAbsent && holders.areNear(source.from, to);
    const mountFrom = isNear ? source.from : holders.near(to, digest);
    if (mountFrom !== undefined) return {...base, action: 'mount', mountFrom};
    holders.add(to, digest);
    const {urls} = source;
    return {...base, action: 'copy', ...(urls === undefined ? {} : {urls})};
  });
}

/** Groups blobs with the same action and route, because a plan file writes consecutive ones as one record. */
export function alikeTogether(blobs: readonly BlobAction[]): readonly BlobAction[] {
  const alike = Map.groupBy(blobs, ({from, to, action, mountFrom = ''}) =>
    [from, to, action, mountFrom].join(' '),
  );
  return [...alike.values()].flat();
}

function needsOf(candidates: readonly Candidate[], presence: Presence): readonly NeededBlob[] {
  const needs: NeededBlob[] = [];
  const found = new ByPlace<Digest, NeededBlob>();
  for (const candidate of candidates) {
    const {source, destination, graph} = candidate;
    const [from, to] = [source.repository, destination.repository];
    const there: readonly [Source] = [{from, isAbsent: false}];
    const made = madeContent(candidate);
    for (const {descriptor, view} of graph?.manifests ?? []) {
      const isForPut = !presence.has(to, descriptor.digest);
      for (const blob of childBlobs(view)) {
        const isMade = made.has(blob.digest);
        const isAbsent = isMade || source.absentForeign.has(blob.digest);
        const urls = source.converted?.layerUrls.get(blob.digest);
        const listed: readonly [Source] = isAbsent ? [{from, isAbsent, urls, isMade}] : there;
        const need = found.get(to, blob.digest);
        if (need === undefined) {
          const first = {blob, to, sources: listed, isForPut};
          found.set(to, blob.digest, first);
          needs.push(first);
          continue;
        }
        need.isForPut ||= isForPut;
        if (!need.sources.some((known) => known.from === from))
          need.sources = [...need.sources, ...listed];
      }
    }
  }
  return needs;
}

/** For each registry, a repository that has a blob, or will have it at this point of the plan. */
class Holders {
  readonly #repositories = new ByPlace<Digest, string>();
  readonly #registries = new Map<string, string | undefined>();
  /** Registries with more than one repository in the plan: on others, nothing can be mounted. */
  readonly #shared = new Set<string>();

  constructor(candidates: readonly Candidate[]) {
    const repositories = new Set(
      candidates.flatMap(({source, destination}) => [source.repository, destination.repository]),
    );
    const seen = new Set<string>();
    for (const repository of repositories) {
      const registry = this.#registryOf(repository);
      if (registry === undefined) continue;
      if (seen.has(registry)) this.#shared.add(registry);
      seen.add(registry);
    }
  }

  /** Keeps the first repository of each registry. Files are not sources of mounts. */
  add(repository: string, digest: Digest): void {
    const registry = this.#registryOf(repository);
    if (registry === undefined || !this.#shared.has(registry)) return;
    if (!this.#repositories.has(registry, digest)) {
      this.#repositories.set(registry, digest, repository);
    }
  }

  /** A repository on the same registry as `repository` that has the blob. */
  near(repository: string, digest: Digest): string | undefined {
    const registry = this.#registryOf(repository);
    return registry === undefined ? undefined : this.#repositories.get(registry, digest);
  }

  areNear(a: string, b: string): boolean {
    const registry = this.#registryOf(a);
    return registry !== undefined && registry === this.#registryOf(b);
  }

  #registryOf(repository: string): string | undefined {
    if (!this.#registries.has(repository)) {
      this.#registries.set(repository, registryOf(repository));
    }
    return this.#registries.get(repository);
  }
}

/**
 * The scope within which blobs can be mounted between repositories: the registry of a repository, or the layout that
 * contains it. Undefined: mounting is not possible, as for other files and daemons.
 */
export function registryOf(repository: string): string | undefined {
  const place = parsePlace(repository);
  if (place.transport === 'docker') return place.reference.registry;
  const isInside = 'repository' in place && place.repository !== undefined;
  return isInside ? `${place.transport}:${place.file}` : undefined;
}
