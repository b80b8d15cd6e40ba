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
  /** One tag or digest was named, not a repository: leaving it out is then no choice but a failure. */
  readonly single?: boolean;
}

/** A root that may be copied: the filters let it pass and the source has all of it. */
export interface Candidate {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
  readonly root: SourceRoot;
  /** The tag at the destination; undefined: by digest only. */
  readonly tag: Tag | undefined;
  /** What is to be at the destination: the root's digest, or what `--platform` makes of it. */
  readonly digest: Digest;
  /** What hangs below `digest`; undefined: not read, since it is at the destination already. */
  readonly graph: ManifestGraph | undefined;
  readonly cutFrom: PlannedManifest['cutFrom'];
  /** How manifests of the graph are made that the source has in another form. */
  readonly conversions?: ReadonlyMap<Digest, Conversion>;
}

/** Manifests and blobs of a candidate that are made when the plan is applied, and that its source does not have. */
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

/** `host/path:tag` or `host/path@digest`: the name of what a candidate makes at the destination. */
export function targetOf({destination, tag, digest}: Candidate): string {
  return nameOf(destination.repository, tag, digest);
}

/** The tag that a root gets at the destination. */
export function destinationTag(root: SourceRoot): Tag | undefined {
  return root.as === 'asked' ? (root.toTag ?? root.tag) : root.tag;
}

/** Finds a manifest by its digest; undefined: the source does not have it. */
export type FindManifest = (digest: Digest) => SeenManifest | undefined;

/** All that hangs below one manifest. */
export interface ManifestGraph {
  /** Children before parents, each once; the root is the last. */
  readonly manifests: readonly SeenManifest[];
  /** Manifests that an index lists and that were not found. */
  readonly missing: readonly Digest[];
  /** Manifests of Docker schema 1. */
  readonly schema1: readonly Digest[];
}

/** Walks from `root` down; subjects are not followed. */
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
 * The manifest that a tag is attached to by its name: `sha256-<hex>` is the fallback tag of the referrers
 * (distribution-spec, "Referrers Tag Schema"), `sha256-<hex>.sig`, `.att` and `.sbom` are cosign's (its SPEC.md,
 * "Naming"); any other suffix counts as well. Undefined: a tag like any other. So is one of a sha512 digest: a tag is
 * too short for it, and the subject cannot be read from its first half.
 */
export function attachmentSubject(tag: string): Digest | undefined {
  const digest = `sha256:${ATTACHMENT_TAG.exec(tag)?.[1] ?? ''}`;
  return isDigest(digest) ? digest : undefined;
}
