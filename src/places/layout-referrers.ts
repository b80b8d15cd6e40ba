import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import {isArtifactType, isImageType, isIndexType} from '../model/media-type.ts';

/** Reads a manifest; undefined: not there. */
export type ReadManifest = (descriptor: Descriptor) => Promise<Manifest | undefined>;

/**
 * Finds what refers to what below `roots`: a layout has no other list of referrers. Each manifest is read once.
 * @returns descriptors by subject, as the referrers API would list them (distribution-spec, "Listing Referrers")
 */
export async function findReferrers(
  roots: Iterable<Descriptor>,
  read: ReadManifest,
): Promise<ReadonlyMap<Digest, readonly Descriptor[]>> {
  const referrers = new Map<Digest, Descriptor[]>();
  const seen = new Set<Digest>();
  const pending = [...roots];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next.digest) || !isReadable(next)) continue;
    seen.add(next.digest);
    const manifest = await read(next);
    if (manifest === undefined) continue;
    pending.push(...childManifests(manifest.view));
    const {subject, annotations} = manifest.view.kind === 'schema1' ? {} : manifest.view;
    if (subject === undefined) continue;
    const listed = {...manifest.descriptor, ...(annotations === undefined ? {} : {annotations})};
    const others = referrers.get(subject.digest);
    if (others === undefined) referrers.set(subject.digest, [listed]);
    else others.push(listed);
  }
  return referrers;
}

/** Only these have a subject; a layout may list content of any type. */
function isReadable({mediaType}: Descriptor): boolean {
  return isImageType(mediaType) || isIndexType(mediaType) || isArtifactType(mediaType);
}
