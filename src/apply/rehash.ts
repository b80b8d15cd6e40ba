import {createHash} from 'node:crypto';
import PQueue from 'p-queue';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {parsePlace} from '../model/place.ts';
import {BY_ASKING, type Proof} from './compare-expected.ts';
import type {Expected} from './expected.ts';

/** Files that are read at once: more than a disk likes only takes memory. */
const READ_CONCURRENCY = 4;

const NOT_WHOLE: ReadonlySet<ErrorCode> = new Set([
  'BLOB_NOT_FOUND',
  'BLOB_SIZE_MISMATCH',
  'MANIFEST_DIGEST_MISMATCH',
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
]);

/**
 * By reading every byte again: nobody has checked the files of a folder since they were written, and what is deleted
 * next exists nowhere else.
 */
export function byRehashing(): Proof {
  const queue = new PQueue({concurrency: READ_CONCURRENCY});
  return {
    hasTagged: () => false,
    hasManifest: (at, digest, call) =>
      isWhole(async () => (await at.getManifest(digest, call)) !== undefined),
    hasBlob: (at, blob, call) => queue.add(() => isWhole(() => hasBytes(at, blob, call))),
  };
}

/** Files are read again, a registry is asked. */
export function byKindOfPlace(): Proof {
  const rehashing = byRehashing();
  const proofOf = ({name}: RepositoryReader): Proof =>
    parsePlace(name).transport === 'docker' ? BY_ASKING : rehashing;
  return {
    hasTagged: (at) => proofOf(at).hasTagged(at),
    hasManifest: (at, digest, call) => proofOf(at).hasManifest(at, digest, call),
    hasBlob: (at, blob, call) => proofOf(at).hasBlob(at, blob, call),
  };
}

async function hasBytes(
  at: RepositoryReader,
  {digest, size}: Expected['blobs'][number],
  call: Call,
): Promise<boolean> {
  return (await hashOf(at, digest, size, call)) === digest;
}

async function hashOf(
  at: RepositoryReader,
  digest: Digest,
  size: number,
  call: Call,
): Promise<Digest> {
  const blob = {mediaType: 'application/octet-stream', digest, size};
  const {chunks} = await at.openBlob(blob, {offset: 0}, call);
  const algorithm = algorithmOf(digest);
  const hash = createHash(algorithm);
  for await (const chunk of chunks) hash.update(chunk);
  return finishDigest(hash, algorithm);
}

/** False where it is damaged or not there; other failures are failures. */
export async function isWhole(ask: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TransshipError && NOT_WHOLE.has(error.code)) return false;
    throw error;
  }
}
