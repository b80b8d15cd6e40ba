import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {childBlobs} from '../model/manifest.ts';
import type {BlobAction} from '../model/plan.ts';
import {ByPlace} from './by-place.ts';
import {type Candidate, madeContent} from './candidate.ts';
import type {Presence} from './presence.ts';
import {parsePlace} from '../model/place.ts';

/** One blob that one destination repository needs. */
interface NeededBlob {
  readonly blob: Descriptor;
  readonly to: string;
  /** Where it is listed, in the order of the candidates; the same array for all that are listed there alone. */
  sources: readonly [Source, ...Source[]];
  /** Whether a manifest is going to be put that lists it. */
  isForPut: boolean;
}

interface Source {
  readonly from: string;
  /** What the source itself does not have: a layer with URLs, a config that is made. */
  readonly isAbsent: boolean;
  /** Where the layer is instead, if it is to be copied from there. */
  readonly urls?: readonly string[] | undefined;
  /** It is made when the plan is applied. */
  readonly isMade?: boolean;
}

/**
 * What happens to each blob at each destination repository, in the order in which the candidates need them. A digest
 * crosses the wire once for each destination registry: the first repository gets it by copy, the others mount it from
 * there; and none copies it if a source or destination repository on that registry has it already.
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
    // A manifest that is there already got by without it.
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

/** Blobs to which the same happens stand together, so that a plan's file names them together. */
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

/** For each registry, a repository that has a blob, or will have it once the plan has got so far. */
class Holders {
  readonly #repositories = new ByPlace<Digest, string>();
  readonly #registries = new Map<string, string | undefined>();
  /** Registries with more than one repository of the plan: on others there is nothing to mount from. */
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

  /** The first repository of a registry stays. Repositories that are files are no source of mounts. */
  add(repository: string, digest: Digest): void {
    const registry = this.#registryOf(repository);
    if (registry === undefined || !this.#shared.has(registry)) return;
    if (!this.#repositories.has(registry, digest)) {
      this.#repositories.set(registry, digest, repository);
    }
  }

  /** A repository on the registry of `repository` that has the blob. */
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
 * The registry of a repository's name, or the layout that it is in, between whose repositories blobs can be mounted.
 * Undefined for other files and for daemons, where nothing can.
 */
export function registryOf(repository: string): string | undefined {
  const place = parsePlace(repository);
  if (place.transport === 'docker') return place.reference.registry;
  const isInside = 'repository' in place && place.repository !== undefined;
  return isInside ? `${place.transport}:${place.file}` : undefined;
}
