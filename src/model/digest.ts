import {type Hash, hash as hexDigest} from 'node:crypto';
import {TransshipError} from './error.ts';

/**
 * `sha256:<64 hex>` or `sha512:<128 hex>`, checked. The identity of all content.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
 */
export type Digest = string & {readonly __brand: 'Digest'};

/** The algorithms that the image spec registers. */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** The form of a digest, for schemas. */
export const DIGEST_PATTERN: RegExp = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

export function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text);
}

/** @throws TransshipError DIGEST_INVALID */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new TransshipError('DIGEST_INVALID', `"${text}" is not a digest`, {
    side: 'local',
    hint: 'write sha256: and 64 lower-case hexadecimal digits, or sha512: and 128',
  });
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The hexadecimal part. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

export function digestOf(
  bytes: Uint8Array | string,
  algorithm: DigestAlgorithm = 'sha256',
): Digest {
  return `${algorithm}:${hexDigest(algorithm, bytes)}` as Digest;
}

/** Finishes `hash` and returns its digest; the hash cannot be used afterwards. */
export function finishDigest(hash: Hash, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}

/** `sha256:abcdef012345`, for people. Never parse it. */
export function shortDigest(digest: Digest): string {
  return digest.slice(0, digest.indexOf(':') + 13);
}
