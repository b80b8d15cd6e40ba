import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

/** What came from the source is not the blob. Of one whose manifest gives it 0 bytes nothing is read. */
export function digestMismatch({digest, size}: Descriptor, seen: Digest): TransshipError {
  if (size === 0) {
    return new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `the manifest says that ${digest} has 0 bytes, but that is not the digest of an empty blob`,
      {
        side: 'source',
        hint: 'the tool that built the image wrote a wrong size; build and push the image again with another version of it',
      },
    );
  }
  return new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `the bytes of ${digest} have the digest ${seen}`,
    {
      side: 'source',
      hint: 'the source or the line to it changed the bytes; if it happens again, push the image to the source again',
    },
  );
}

/** Whoever found out: the sum of the bytes is not the digest. */
export function isDigestMismatch(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'BLOB_DIGEST_MISMATCH';
}
