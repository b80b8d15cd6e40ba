import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childManifests} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {isLayoutName, type Tag} from '../model/reference.ts';
import {asUnreadable, type NotRead, type SourceRoot} from './inventory.ts';
import type {ManifestReader} from './manifest-reader.ts';

// Images of a layout may have no name, or the same name as another one.

/** One image by its tag or its digest; with neither, the only one. */
export interface ImageReference {
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** The content of a place: names, and unnamed images. */
export interface Listing {
  readonly names: readonly string[];
  readonly unnamed: readonly Digest[];
}

/**
 * Reads the unnamed images, except those that are copied with another image: the parts of an index and the referrers of
 * an image. Not needed, and empty, if the reference identifies an image.
 */
export async function readUnnamed(
  reader: ManifestReader,
  source: RepositoryReader,
  names: readonly string[],
  reference: ImageReference | undefined,
  call: Call,
): Promise<readonly Digest[]> {
  if (reference?.tag !== undefined || reference?.digest !== undefined) return [];
  const unnamed = (await source.listUnnamed?.(call)) ?? [];
  if (unnamed.length === 0) return [];
  for (const each of [...unnamed, ...names.filter(isLayoutName)]) {
    try {
      const digest = await reader.readRoot(each, call);
      if (digest !== undefined) await reader.readAll([digest], call);
    } catch (error) {
      // The error is reported when the image is copied; here, it counts as an image by itself.
      asUnreadable(error);
    }
  }
  const parts = new Set(
    [...reader.manifests.values()].flatMap(({view}) =>
      childManifests(view).map(({digest}) => digest),
    ),
  );
  return unnamed.filter((digest) => {
    const subject = reader.subjectOf(digest);
    return !parts.has(digest) && !(subject !== undefined && reader.manifests.has(subject));
  });
}

/** The unnamed images that are not copied with another image. */
export function leftUnnamed(
  name: string,
  reader: ManifestReader,
  roots: readonly SourceRoot[],
  unnamed: readonly Digest[],
): readonly NotRead[] {
  const taken = new Set(reader.graph(roots.map(({digest}) => digest)));
  return unnamed
    .filter((digest) => !taken.has(digest))
    .map((digest) => ({
      digest,
      reason: 'unnamed',
      detail: `it has no name: copy it as ${name}@${digest}`,
    }));
}

/**
 * The only image of a place. Signatures and other attachments do not count, unless there is nothing else.
 * @throws TransshipError REFERENCE_INVALID if there is more than one image, TAG_NOT_FOUND if there is none
 */
export async function onlyImage(
  reader: ManifestReader,
  place: string,
  {names, unnamed}: Listing,
  isAttachment: (name: string) => boolean,
  call: Call,
): Promise<ImageReference> {
  const images = new Map<Digest, ImageReference>(unnamed.map((digest) => [digest, {digest}]));
  const proper = names.filter((name) => !isAttachment(name));
  for (const tag of (proper.length > 0 ? proper : names).filter(isLayoutName)) {
    const digest = await reader.readRoot(tag, call);
    if (digest !== undefined) images.set(digest, {tag});
  }
  const [only] = images.values();
  if (only !== undefined && images.size === 1) return only;
  if (only === undefined) {
    throw new TransshipError('TAG_NOT_FOUND', `${place} contains no image`, {
      side: 'source',
      hint: 'check the name',
    });
  }
  throw new TransshipError('REFERENCE_INVALID', `${place} contains ${images.size} images`, {
    side: 'source',
    hint: `name one of them: ${place}:NAME or ${place}@DIGEST`,
  });
}
