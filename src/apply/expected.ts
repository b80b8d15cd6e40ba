import type {Digest} from '../model/digest.ts';
import type {BlobAction, PlannedManifest} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';

/** What should be at some repositories: tags, and all that is below them, each once per repository. */
export interface Expected {
  readonly tags: readonly {readonly at: string; readonly tag: Tag; readonly digest: Digest}[];
  readonly manifests: readonly {readonly at: string; readonly digest: Digest}[];
  readonly blobs: readonly {readonly at: string; readonly digest: Digest; readonly size: number}[];
}

/** A manifest at a repository, `host/path` or a transport with a file, and perhaps its tag. */
export interface Root {
  readonly at: string;
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** What is looked at of a blob. */
export type ExpectedBlob = Pick<BlobAction, 'digest' | 'to' | 'size' | 'action'>;

/**
 * Walks down from the roots. Of a root that `manifests` does not know only itself is expected.
 * @param blobs for their sizes; what is `foreign` is expected nowhere
 */
export function expectedBelow(
  roots: readonly Root[],
  manifests: readonly PlannedManifest[],
  blobs: readonly ExpectedBlob[],
): Expected {
  const planned = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const sizes = new Map(blobs.map(({digest, size}) => [digest, size]));
  const foreign = new Set(
    blobs.filter(({action}) => action === 'foreign').map(({digest, to}) => `${to} ${digest}`),
  );
  const tags = new Map<string, Expected['tags'][number]>();
  const found = new Map<string, Expected['manifests'][number]>();
  const below = new Map<string, Expected['blobs'][number]>();
  const visit = (at: string, digest: Digest): void => {
    const key = `${at} ${digest}`;
    if (found.has(key)) return;
    found.set(key, {at, digest});
    const manifest = planned.get(digest);
    for (const blob of manifest?.blobs ?? []) {
      if (foreign.has(`${at} ${blob}`)) continue;
      below.set(`${at} ${blob}`, {at, digest: blob, size: sizes.get(blob) ?? 0});
    }
    for (const child of manifest?.manifests ?? []) visit(at, child);
  };
  for (const {at, tag, digest} of roots) {
    if (tag !== undefined) tags.set(`${at}:${tag}`, {at, tag, digest});
    visit(at, digest);
  }
  return {tags: [...tags.values()], manifests: [...found.values()], blobs: [...below.values()]};
}
