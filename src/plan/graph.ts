import type {Digest} from '../model/digest.ts';
import {childManifests, type SeenManifest} from '../model/manifest.ts';

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
