import {algorithmOf, type Digest, hexOf} from '../model/digest.ts';
import {childManifests} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/**
 * The tag that lists the referrers of a subject on registries without the API. It contains at most 64 characters of the
 * digest, because a whole sha512 would be too long for a tag (distribution-spec, "Referrers Tag Schema").
 */
export function fallbackTag(subject: Digest): Tag {
  return `${algorithmOf(subject)}-${hexOf(subject).slice(0, 64)}` as Tag;
}

/** The suffixes of cosign's tags (cosign: SPEC.md, "Naming"), and that of the fallback tag. */
const SUFFIXES = ['.sig', '.att', '.sbom', ''];

/** The conventional tags of a subject's signatures and referrers, to look up if the tags cannot be listed. */
export function usualTags(subject: Digest): readonly Tag[] {
  return SUFFIXES.map((suffix) => `${fallbackTag(subject)}${suffix}` as Tag);
}

/**
 * Whether a place has an untagged manifest that can be found: it exists and is listed as a referrer of its subject, if
 * it has one. A run that is killed between pushing the manifest and the list leaves one that cannot be found.
 */
export async function hasUntagged(
  place: RepositoryReader,
  digest: Digest,
  call: Call,
): Promise<boolean> {
  const manifest = await place.getManifest(digest, call);
  if (manifest === undefined) return false;
  const subject = manifest.view.kind === 'schema1' ? undefined : manifest.view.subject?.digest;
  if (subject === undefined) return true;
  const listed =
    (await place.listReferrers(subject, call)) ?? (await fallbackList(place, subject, call));
  return listed.some((referrer) => referrer.digest === digest);
}

async function fallbackList(place: RepositoryReader, subject: Digest, call: Call) {
  const list = await place.getManifest(fallbackTag(subject), call);
  return list === undefined ? [] : childManifests(list.view);
}
