import type {Digest} from '../model/digest.ts';
import type {BlobAction, CopyStep, PlannedManifest} from '../model/plan.ts';
import {uploadKey} from './journal.ts';

type Manifests = ReadonlyMap<Digest, PlannedManifest>;

/** The blobs below these copies, as `uploadKey`. */
export function wantedBlobs(
  copies: readonly CopyStep[],
  manifests: Manifests,
): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (const {to, manifests: parts} of copies) {
    for (const digest of parts) {
      for (const blob of manifests.get(digest)?.blobs ?? []) wanted.add(uploadKey(blob, to));
    }
  }
  return wanted;
}

/** Blobs that were to travel and did so in an earlier run: copies that are done want them, and none that is left. */
export function blobsOfDone(
  blobs: readonly BlobAction[],
  done: readonly CopyStep[],
  left: ReadonlySet<string>,
  manifests: Manifests,
): readonly BlobAction[] {
  if (done.length === 0) return [];
  const there = wantedBlobs(done, manifests);
  return blobs.filter(({action, digest, to}) => {
    const key = uploadKey(digest, to);
    return action === 'copy' && there.has(key) && !left.has(key);
  });
}
