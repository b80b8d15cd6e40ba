import {type Digest, isDigest} from '../model/digest.ts';

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
