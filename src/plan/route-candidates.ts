import {algorithmOf, type Digest, digestOf, shortDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, parseManifest, type SeenManifest} from '../model/manifest.ts';
import {nameOf} from '../model/place.ts';
import type {Check, Skip, WishFilters} from '../model/plan.ts';
import {parsePlatform, type Platform} from '../model/platform.ts';
import type {Tag} from '../model/reference.ts';
import type {SourceRoot} from '../observe/inventory.ts';
import {tagsTooOld, timeOf} from './age.ts';
import {
  type Candidate,
  destinationTag,
  graphOf,
  type ManifestGraph,
  type ObservedRoute,
} from './candidate.ts';
import * as checks from './copy-checks.ts';
import {compareText} from './compare.ts';
import {convertedImage} from './converted-image.ts';
import {cutIndex} from './cut-index.ts';
import {choosePlatforms} from './platforms.ts';

/** The result of one route. */
export interface RouteCandidates {
  readonly candidates: readonly Candidate[];
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

type AttachedRoot = Exclude<SourceRoot, {as: 'asked'}>;

/** Why a root is not copied. */
type LeftOutReason = 'filtered' | 'kept' | 'unsupported' | 'incomplete';

/**
 * Decides for each root of a route whether it is copied: first the requested roots, the oldest first (by tag if times
 * are equal or unknown), then their attachments, each after its subject.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERNAL if the inventory does not contain a root
 */
export function candidatesOf(route: ObservedRoute, filters: WishFilters): RouteCandidates {
  const walk = new RouteWalk(route, filters);
  walk.takeNotRead();
  walk.takeAsked(filters);
  walk.takeAttached();
  return walk;
}

/** The checks about entries that the source lists but that cannot be copied. Filtered entries need no check. */
const NOT_READ_CHECKS = [
  ['invalid-name', checks.invalidNamesCheck],
  ['misnamed', checks.misnamedCheck],
  ['gone', checks.goneCheck],
  ['unnamed', checks.unnamedCheck],
] as const;

/**
 * Limits for the images of a route together, far above any real repository: tags may share the manifests and layers
 * below them, but a plan names those manifests for each tag, and is made by looking at each of their layers.
 */
const LIMITS = {manifests: 1_000_000, listed: 20_000_000};

/** A walk over the roots of a route. */
class RouteWalk implements RouteCandidates {
  readonly candidates: Candidate[] = [];
  readonly skipped: Skip[] = [];
  readonly checks: Check[] = [];
  readonly #route: ObservedRoute;
  readonly #platforms: readonly Platform[];
  readonly #isClobberAllowed: boolean;
  /** By the digest of the manifest above: many tags may point to one. */
  readonly #graphs = new Map<Digest, ManifestGraph>();
  /** What is below the candidates so far. */
  #manifests = 0;
  #listed = 0;
  /** Requested roots that are not copied; their attachments are skipped for the same reason. */
  readonly #leftOut = new Map<Digest, LeftOutReason>();

  constructor(route: ObservedRoute, {platforms = [], noClobber = false}: WishFilters) {
    this.#route = route;
    this.#platforms = platforms.map(parsePlatform);
    this.#isClobberAllowed = !noClobber;
  }

  takeNotRead(): void {
    const {repository, notRead, unreadable = [], uncopied = []} = this.#route.source;
    if (uncopied.length > 0) this.checks.push(checks.uncopiedCheck(repository, uncopied));
    const sorted = [...notRead].sort(compareNames);
    for (const {reason, ...one} of sorted) {
      const why = reason === 'misnamed' ? 'invalid-name' : reason;
      this.skipped.push({reason: why, from: repository, ...one});
    }
    for (const [reason, check] of NOT_READ_CHECKS) {
      const named = sorted.filter((one) => one.reason === reason);
      if (named.length > 0) this.checks.push(check(repository, named));
    }
    for (const {error, ...one} of [...unreadable].sort(compareNames)) {
      const {tag, digest} = one;
      this.skipped.push({reason: 'unsupported', from: repository, ...one, detail: error.message});
      this.checks.push(checks.unreadableCheck(nameOf(repository, tag, digest), error));
    }
  }

  takeAsked(filters: WishFilters): void {
    const {roots, created} = this.#route.source;
    const asked = roots
      .filter((root) => root.as === 'asked')
      .sort((a, b) => compareTimes(a, b, created) || compareRoots(a, b));
    const tagged = asked.flatMap(({tag, digest}) => (tag === undefined ? [] : [{tag, digest}]));
    const tooOld = tagsTooOld(tagged, created ?? new Map(), filters);
    for (const root of asked) {
      const detail = root.tag === undefined ? undefined : tooOld.get(root.tag);
      if (detail === undefined) this.#takeAskedRoot(root);
      else this.#skip(root, 'filtered', detail);
    }
  }

  /** Includes attachments of attachments. Attachments of images that are not copied are skipped. */
  takeAttached(): void {
    const waiting = Map.groupBy(
      this.#route.source.roots.filter((root) => root.as !== 'asked').sort(compareRoots),
      ({subject}) => subject,
    );
    for (let next = 0; next < this.candidates.length; next++) {
      const candidate = this.candidates[next];
      if (candidate)
        for (const digest of digestsOf(candidate)) this.#takeAttachedTo(digest, waiting);
    }
    for (const [subject, roots] of waiting) {
      for (const root of roots) this.#skipAttached(root, subject);
    }
  }

  #takeAttachedTo(subject: Digest, waiting: Map<Digest, AttachedRoot[]>): void {
    const roots = waiting.get(subject) ?? [];
    waiting.delete(subject);
    for (const root of roots) {
      const manifest = this.#find(root.digest);
      if (manifest) this.#consider(root, manifest, undefined);
      else this.#skipIncomplete(root, [root.digest]);
    }
  }

  #takeAskedRoot(root: SourceRoot): void {
    const {source, destination, single} = this.#route;
    const manifest = this.#find(root.digest);
    if (!manifest) {
      this.#takeUnread(root);
      return;
    }
    const choice = choosePlatforms(manifest, {
      wanted: this.#platforms,
      find: this.#find,
      platformOf: source.platformOf,
    });
    if (choice.kind === 'none') {
      const detail = `it has only ${choice.available.join(', ')}, no chosen platform`;
      this.#skip(root, 'filtered', detail);
      if (single) this.checks.push(checks.noPlatformCheck(this.#sourceName(root), detail));
      return;
    }
    const chosen = this.#find(choice.digest);
    if (!chosen) {
      this.#skipIncomplete(root, [choice.digest]);
      return;
    }
    const cutFrom = choice.kind === 'cut' ? {digest: choice.digest, keep: choice.keep} : undefined;
    const content = cutFrom ? cutManifest(chosen, cutFrom.keep) : chosen;
    if (!this.#consider(root, content, cutFrom) || content.descriptor.digest === root.digest)
      return;
    const {digest} = this.candidates.at(-1) ?? content.descriptor;
    const target = nameOf(destination.repository, destinationTag(root), digest);
    const instead = cutFrom
      ? `an index of ${cutFrom.keep.length} manifests`
      : `${shortDigest(choice.digest)} alone`;
    const absent = choice.kind === 'cut' ? choice.absent : [];
    this.checks.push(checks.indexCutCheck(target, root.digest, instead, absent));
  }

  /** A root whose manifest was not read: the destination already has it, or the source has lost it. */
  #takeUnread(root: SourceRoot): void {
    const {source, destination} = this.#route;
    const tag = destinationTag(root);
    const isThere =
      this.#platforms.length === 0 &&
      (tag === undefined
        ? destination.present.has(root.digest)
        : destination.tags.get(tag) === root.digest);
    if (isThere) {
      const {digest} = root;
      this.candidates.push({
        source,
        destination,
        root,
        tag,
        digest,
        graph: undefined,
        cutFrom: undefined,
      });
    } else if (source.missingManifests.has(root.digest)) {
      this.#skipIncomplete(root, [root.digest]);
    } else {
      throw internal(this.#sourceName(root));
    }
  }

  /** @returns whether the root is copied */
  #consider(root: SourceRoot, chosen: SeenManifest, cutFrom: Candidate['cutFrom']): boolean {
    const {source, destination, single = false} = this.#route;
    const facts = source.converted;
    const other = facts && convertedImage(chosen, cutFrom, {find: this.#find, facts});
    if (other !== undefined && 'error' in other) {
      this.#skip(root, 'unsupported', other.error.message);
      const alone = single && root.as === 'asked';
      this.checks.push(checks.unreadableCheck(this.#sourceName(root), other.error, alone));
      return false;
    }
    const content = other?.root ?? chosen;
    const there = destination.tags.get(destinationTag(root) ?? ('' as Tag));
    if (!this.#isClobberAllowed && there !== undefined && there !== content.descriptor.digest) {
      const detail = `--no-clobber: the tag is there and points to ${shortDigest(there)}`;
      this.#skip(root, 'kept', detail);
      return false;
    }
    const graph = other === undefined ? this.#graphOf(content) : graphOf(content, other.find);
    if (graph.schema1.length > 0) {
      this.#skip(root, 'unsupported', 'Docker schema 1');
      const alone = single && root.as === 'asked';
      this.checks.push(checks.schema1Check(this.#sourceName(root), alone));
      return false;
    }
    if (graph.missing.length > 0) {
      this.#skipIncomplete(root, graph.missing);
      return false;
    }
    this.#count(graph);
    const tag = destinationTag(root);
    const {digest} = content.descriptor;
    const made =
      other === undefined ? {cutFrom} : {cutFrom: undefined, conversions: other.conversions};
    this.candidates.push({source, destination, root, tag, digest, graph, ...made});
    if (other !== undefined) {
      const target = nameOf(destination.repository, tag, digest);
      this.checks.push(checks.convertedCheck(target, root.digest, digest, other.conversions));
    }
    return true;
  }

  #graphOf(content: SeenManifest): ManifestGraph {
    const {digest} = content.descriptor;
    const graph = this.#graphs.get(digest) ?? graphOf(content, this.#find);
    this.#graphs.set(digest, graph);
    return graph;
  }

  /** @throws TransshipError RESPONSE_INVALID beyond the limits */
  #count({manifests}: ManifestGraph): void {
    this.#manifests += manifests.length;
    for (const {view} of manifests)
      this.#listed += childManifests(view).length + childBlobs(view).length;
    if (this.#manifests <= LIMITS.manifests && this.#listed <= LIMITS.listed) return;
    throw new TransshipError(
      'RESPONSE_INVALID',
      `the images of ${this.#route.source.repository} list too many manifests and layers for one plan`,
      {side: 'source', hint: 'copy fewer tags at once, with --tag or --semver'},
    );
  }

  #skipIncomplete(root: SourceRoot, missing: readonly Digest[]): void {
    const names = missing.map(shortDigest).join(', ');
    this.#skip(root, 'incomplete', `the source does not have ${names}`);
    const alone = this.#route.single === true && root.as === 'asked';
    this.checks.push(checks.incompleteCheck(this.#sourceName(root), missing, alone));
  }

  #skipAttached(root: AttachedRoot, subject: Digest): void {
    const reason = this.#leftOut.get(subject) ?? 'filtered';
    this.#skip(root, reason, `it belongs to ${shortDigest(subject)}, which is not copied`);
  }

  #skip({tag, digest}: SourceRoot, reason: LeftOutReason, detail: string): void {
    const from = this.#route.source.repository;
    this.#leftOut.set(digest, reason);
    this.skipped.push({reason, from, ...(tag === undefined ? {} : {tag}), digest, detail});
  }

  #sourceName({tag, digest}: SourceRoot): string {
    return nameOf(this.#route.source.repository, tag, digest);
  }

  readonly #find = (digest: Digest) => this.#route.source.manifests.get(digest);
}

/** The index, reduced to the manifests in `keep`; its digest uses the algorithm of the source's digest. */
function cutManifest(index: SeenManifest, keep: readonly Digest[]): SeenManifest {
  if (index.bytes === undefined) throw internal(index.descriptor.digest);
  const bytes = cutIndex(index.bytes, keep);
  const {mediaType, digest} = index.descriptor;
  return parseManifest(bytes, mediaType, digestOf(bytes, algorithmOf(digest)), 'source');
}

function internal(name: string): TransshipError {
  return new TransshipError('INTERNAL', `${name} was not read`, {
    side: 'local',
    hint: 'this is a bug in transship: please report it',
  });
}

function digestsOf({digest, graph}: Candidate): readonly Digest[] {
  return graph ? graph.manifests.map(({descriptor}) => descriptor.digest) : [digest];
}

/** By tag, entries without a tag first; then by digest. */
function compareNames(a: Named, b: Named): number {
  return compareText(a.tag ?? '', b.tag ?? '') || compareText(a.digest ?? '', b.digest ?? '');
}

interface Named {
  readonly tag?: string;
  readonly digest?: string;
}

function compareTimes(
  a: SourceRoot,
  b: SourceRoot,
  created: ReadonlyMap<Digest, string> | undefined,
): number {
  const [timeA, timeB] = [timeOf(a.digest, created), timeOf(b.digest, created)];
  return timeA === timeB ? 0 : timeA - timeB;
}

/** By tag, roots without a tag last; then by digest. */
function compareRoots(a: SourceRoot, b: SourceRoot): number {
  if (a.tag !== undefined && b.tag !== undefined) {
    return compareText(a.tag, b.tag) || compareText(a.digest, b.digest);
  }
  if (a.tag === b.tag) return compareText(a.digest, b.digest);
  return a.tag === undefined ? 1 : -1;
}
