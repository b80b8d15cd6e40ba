import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {ATTESTED, type SeenManifest} from '../model/manifest.ts';
import {
  formatPlatform,
  isAttestationPlatform,
  type Platform,
  PLATFORM_PATTERN,
  platformMatches,
} from '../model/platform.ts';
import type {PlannedManifest} from '../model/plan.ts';
import type {SourceInventory} from '../observe/inventory.ts';
import {compareText} from './compare.ts';
import type {FindManifest} from './candidate.ts';

/** The manifest to copy in place of a root. */
export type PlatformChoice =
  /** `digest` unchanged: the root, or a manifest below it. */
  | {readonly kind: 'whole'; readonly digest: Digest}
  /** The index `digest`, reduced to the manifests in `keep`, in index order. */
  | {
      readonly kind: 'cut';
      readonly digest: Digest;
      readonly keep: readonly Digest[];
      /** Attestations of kept images that are removed as well, because the source does not have them. */
      readonly absent: readonly Digest[];
    }
  | {readonly kind: 'none'; readonly available: readonly string[]};

export interface PlatformWish {
  /** Empty: all platforms. */
  readonly wanted: readonly Platform[];
  readonly find: FindManifest;
  /** The platforms in the configs of images, as far as configs were read. */
  readonly platformOf?: ReadonlyMap<Digest, Platform> | undefined;
}

/** An image below an index, or an entry that is not an image. */
interface Leaf {
  readonly digest: Digest;
  /** Undefined: neither an index nor a config names the platform. */
  readonly platform: Platform | undefined;
}

/**
 * Selects the parts of `root` for the requested platforms.
 * - If everything is for them: the root unchanged, with its attestations. If the source lacks some attestations, as
 *   after a cleanup of untagged manifests: the index without those.
 * - If one platform is requested and one image is for it, at any depth: that image.
 * - Otherwise the index, reduced to matching entries and their attestations. A nested index is kept whole if anything
 *   in it matches; if only one nested index matches, it replaces the root, reduced in the same way.
 * - Content without any platform (a chart, an index of artifacts, an image whose config was not read) is kept
 *   unchanged, because there is nothing to select.
 */
export function choosePlatforms(root: SeenManifest, wish: PlatformWish): PlatformChoice {
  const {wanted, platformOf} = wish;
  const {digest} = root.descriptor;
  const isWanted = ({platform}: Leaf) =>
    platform !== undefined && wanted.some((one) => platformMatches(one, platform));
  const leaves =
    root.view.kind === 'index'
      ? leavesOf(root.view.manifests, wish)
      : [{digest, platform: platformOf?.get(digest)}];
  if (wanted.length === 0 || leaves.every(({platform}) => platform === undefined)) {
    return {kind: 'whole', digest};
  }
  const matching = new Set(leaves.filter(isWanted).map((leaf) => leaf.digest));
  if (matching.size === 0) return {kind: 'none', available: namesOf(leaves)};
  const entries = root.view.kind === 'index' ? root.view.manifests : [];
  const isWhole = !entries.some((entry) => isAbsentAttestation(entry, wish));
  if (isWhole && leaves.every((leaf) => matching.has(leaf.digest))) return {kind: 'whole', digest};
  const [only] = matching;
  if (wanted.length === 1 && matching.size === 1 && only) return {kind: 'whole', digest: only};
  const chosen = entries.filter((entry) =>
    leavesOf([entry], wish).some((leaf) => matching.has(leaf.digest)),
  );
  return cutTo(root, chosen, wish);
}

function cutTo(
  root: SeenManifest,
  chosen: readonly Descriptor[],
  wish: PlatformWish,
): PlatformChoice {
  const {digest} = root.descriptor;
  const entries = root.view.kind === 'index' ? root.view.manifests : [];
  const chosenDigests = new Set(chosen.map((entry) => entry.digest));
  const [first] = chosenDigests;
  const inner = chosenDigests.size === 1 && first ? wish.find(first) : undefined;
  if (inner?.view.kind === 'index') return choosePlatforms(inner, wish);
  const kept = entries.filter(
    (entry) => chosenDigests.has(entry.digest) || isAttestationOf(entry, chosenDigests),
  );
  const [absent, there] = [true, false].map((isAbsent) => [
    ...new Set(
      kept
        .filter((entry) => isAbsentAttestation(entry, wish) === isAbsent)
        .map((entry) => entry.digest),
    ),
  ]);
  return kept.length === entries.length && absent?.length === 0
    ? {kind: 'whole', digest}
    : {kind: 'cut', digest, keep: there ?? [], absent: absent ?? []};
}

/**
 * The entries, with nested indexes replaced by their entries; attestations are omitted, because they follow their
 * images. An index that occurs again is skipped: indexes that list each other twice on each level would otherwise grow
 * exponentially.
 */
function leavesOf(
  entries: readonly Descriptor[],
  wish: PlatformWish,
  seen = new Set<Digest>(),
): readonly Leaf[] {
  return entries.flatMap((entry) => {
    if (isAttestation(entry) || seen.has(entry.digest)) return [];
    const inner = wish.find(entry.digest);
    if (inner?.view.kind === 'index') {
      seen.add(entry.digest);
      return leavesOf(inner.view.manifests, wish, seen);
    }
    return [{digest: entry.digest, platform: entry.platform ?? wish.platformOf?.get(entry.digest)}];
  });
}

function isAttestation({platform, annotations}: Descriptor): boolean {
  return isAttestationPlatform(platform) || annotations?.[ATTESTED] !== undefined;
}

function isAbsentAttestation(entry: Descriptor, {find}: PlatformWish): boolean {
  return isAttestation(entry) && find(entry.digest) === undefined;
}

function isAttestationOf({annotations}: Descriptor, digests: ReadonlySet<string>): boolean {
  return digests.has(annotations?.[ATTESTED] ?? '');
}

function namesOf(leaves: readonly Leaf[]): readonly string[] {
  const names = leaves.flatMap(({platform}) => (platform ? [formatPlatform(platform)] : []));
  return [...new Set(names)].sort(compareText);
}

/** The platform of attestations by BuildKit. */
const ATTESTATION = 'unknown/unknown';

/**
 * The platforms of images as plans name them: the platform in an index that lists the image, or else in its config, if
 * that was read. If indexes differ, the first in alphabetical order is used, so that the result does not depend on the
 * order of reading. Invalid names are omitted.
 */
export function namedPlatforms(
  sources: Iterable<Pick<SourceInventory, 'manifests' | 'platformOf'>>,
): ReadonlyMap<Digest, string> {
  const listed = new Map<Digest, string>();
  const configured = new Map<Digest, string>();
  for (const {manifests, platformOf} of sources) {
    for (const [digest, platform] of platformOf ?? [])
      addName(configured, digest, formatPlatform(platform));
    for (const {view} of manifests.values()) {
      for (const entry of view.kind === 'index' ? view.manifests : []) {
        if (isAttestation(entry)) addName(listed, entry.digest, ATTESTATION);
        else if (entry.platform !== undefined)
          addName(listed, entry.digest, formatPlatform(entry.platform));
      }
    }
  }
  return new Map([...configured, ...listed]);
}

function addName(names: Map<Digest, string>, digest: Digest, name: string): void {
  const known = names.get(digest);
  if (PLATFORM_PATTERN.test(name) && (known === undefined || compareText(name, known) < 0))
    names.set(digest, name);
}

/** The platforms of a planned image. */
export interface ImagePlatforms {
  /** `os/architecture[/variant]`, sorted. Empty for content without platforms, such as a chart. */
  readonly names: readonly string[];
  /** The number of images whose platform is unknown. */
  readonly unknown: number;
}

/**
 * The platforms of the images in a plan, by digest.
 * @param isImage whether a manifest without children is an image, not another kind of artifact
 */
export function platformsOfImages(
  manifests: readonly PlannedManifest[],
  isImage: (manifest: PlannedManifest) => boolean,
): (digest: Digest) => ImagePlatforms {
  const planned = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const known = new Map<Digest, ImagePlatforms>();
  const visit = (digest: Digest, names: Set<string>, seen: Set<Digest>): number => {
    const manifest = planned.get(digest);
    if (manifest === undefined || seen.has(digest)) return 0;
    seen.add(digest);
    if (manifest.manifests.length > 0)
      return manifest.manifests.reduce((sum, child) => sum + visit(child, names, seen), 0);
    const {platform} = manifest;
    if (platform === undefined) return isImage(manifest) ? 1 : 0;
    if (platform !== ATTESTATION) names.add(platform);
    return 0;
  };
  return (digest) => {
    const before = known.get(digest);
    if (before !== undefined) return before;
    const names = new Set<string>();
    const unknown = visit(digest, names, new Set());
    const result = {names: [...names].sort(compareText), unknown};
    known.set(digest, result);
    return result;
  };
}
