import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

/** What came from the source is not the blob. */
export function digestMismatch({digest}: Descriptor, seen: Digest): TransshipError {
  return new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `the bytes of ${digest} have the digest ${seen}`,
    {
      side: 'source',
      hint: 'the source or the line to it changed the bytes; if it happens again, push the image anew at the source',
    },
  );
}

/** Whoever found out: the sum of the bytes is not the digest. */
export function isDigestMismatch(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'BLOB_DIGEST_MISMATCH';
}
