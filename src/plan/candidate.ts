import {type Digest, isDigest} from '../model/digest.ts';
import {nameOf} from '../model/place.ts';
import type {Conversion} from '../model/conversion.ts';
import type {PlannedManifest} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import type {DestinationInventory, SourceInventory, SourceRoot} from '../observe/inventory.ts';
import {childManifests, type SeenManifest} from '../model/manifest.ts';

/** An observed source repository and its destination. */
export interface ObservedRoute {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
  /** The source names one tag or digest, not a repository. If that image is skipped, the plan fails. */
  readonly single?: boolean;
}

/** A root that may be copied: it passed the filters, and the source has all of its content. */
export interface Candidate {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
  readonly root: SourceRoot;
  /** The tag at the destination; undefined: by digest only. */
  readonly tag: Tag | undefined;
  /** The digest at the destination: that of the root, or of what `--platform` selects from it. */
  readonly digest: Digest;
  /** The content below `digest`; undefined: not read, because the destination already has it. */
  readonly graph: ManifestGraph | undefined;
  readonly cutFrom: PlannedManifest['cutFrom'];
  /** How to create the manifests of the graph that the source has in another form, by their new digests. */
  readonly conversions?: ReadonlyMap<Digest, Conversion>;
}

/** Manifests and blobs of a candidate that the source does not have, and that are created when the plan is applied. */
export function madeContent({cutFrom, digest, conversions, graph}: Candidate): ReadonlySet<Digest> {
  const made = new Set<Digest>(cutFrom === undefined ? [] : [digest]);
  if (conversions === undefined) return made;
  for (const {descriptor, view} of graph?.manifests ?? []) {
    const conversion = conversions.get(descriptor.digest);
    if (conversion !== undefined) made.add(descriptor.digest);
    if (conversion?.kind === 'schema1' && view.kind === 'image') made.add(view.config.digest);
  }
  return made;
}

/** The name of a candidate at the destination: `host/path:tag`, or `host/path@digest`. */
export function targetOf({destination, tag, digest}: Candidate): string {
  return nameOf(destination.repository, tag, digest);
}

/** The tag that a root gets at the destination. */
export function destinationTag(root: SourceRoot): Tag | undefined {
  return root.as === 'asked' ? (root.toTag ?? root.tag) : root.tag;
}

/** Finds a manifest by its digest; undefined: the source does not have it. */
export type FindManifest = (digest: Digest) => SeenManifest | undefined;

/** A manifest and all manifests below it. */
export interface ManifestGraph {
  /** Children before parents, each once; the root is the last. */
  readonly manifests: readonly SeenManifest[];
  /** Manifests that an index lists but the source does not have. */
  readonly missing: readonly Digest[];
  /** Manifests of Docker schema 1. */
  readonly schema1: readonly Digest[];
}

/** Walks from `root` downwards. Subjects are not followed. */
export function graphOf(root: SeenManifest, find: FindManifest): ManifestGraph {
  const manifests = new Map<Digest, SeenManifest>();
  const missing = new Set<Digest>();
  const visit = (manifest: SeenManifest) => {
    for (const {digest} of childManifests(manifest.view)) {
      const child = find(digest);
      if (!child) missing.add(digest);
      else if (!manifests.has(digest)) visit(child);
    }
    manifests.set(manifest.descriptor.digest, manifest);
  };
  visit(root);
  const all = [...manifests.values()];
  const schema1 = all
    .filter(({view}) => view.kind === 'schema1')
    .map(({descriptor}) => descriptor.digest);
  return {manifests: all, missing: [...missing], schema1};
}

const ATTACHMENT_TAG = /^sha256-([a-f0-9]{64})(?:\.[\w.-]+)?$/;

/**
 * The manifest that a tag is attached to by its name: `sha256-<hex>` is the fallback tag for referrers
 * (distribution-spec, "Referrers Tag Schema"), `sha256-<hex>.sig`, `.att` and `.sbom` are cosign's (its SPEC.md,
 * "Naming"); any other suffix is accepted as well. Undefined: an ordinary tag. That includes tags made from sha512
 * digests: a tag is too short for the whole digest, so the subject is unknown.
 */
export function attachmentSubject(tag: string): Digest | undefined {
  const digest = `sha256:${ATTACHMENT_TAG.exec(tag)?.[1] ?? ''}`;
  return isDigest(digest) ? digest : undefined;
}
