import {createHash, type Hash} from 'node:crypto';
import PQueue from 'p-queue';
import type {RetryPolicy} from '../http/retry.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {TransshipError} from '../model/error.ts';
import {type Report, retryEvent} from '../model/event.ts';
import {parsePlace} from '../model/place.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {readBlob} from '../relay/read-blob.ts';
import {RetryBudget} from '../relay/retry-budget.ts';

/** A blob that should be at a repository. */
export interface PlacedBlob {
  readonly at: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** How to verify that a repository has some content. */
export interface Proof {
  /** Called first with the blobs to verify. */
  readonly begins?: (blobs: readonly PlacedBlob[]) => void;
  /** Whether the manifest of a tag certainly exists. */
  readonly hasTagged: (at: RepositoryReader) => boolean;
  readonly hasManifest: (at: RepositoryReader, digest: Digest, call: Call) => Promise<boolean>;
  readonly hasBlob: (at: RepositoryReader, blob: PlacedBlob, call: Call) => Promise<boolean>;
}

/** Verifies by one HEAD request each, since a registry checks the digest of content that it accepts. */
export const BY_ASKING: Proof = {
  hasTagged: () => true,
  hasManifest: async (at, digest, call) => (await at.head(digest, call)) !== undefined,
  hasBlob: (at, blob, call) => at.hasBlob(blob, call),
};

/** Files that are read concurrently. */
const READ_CONCURRENCY = 4;

const NOT_WHOLE: ReadonlySet<ErrorCode> = new Set([
  'BLOB_NOT_FOUND',
  'BLOB_SIZE_MISMATCH',
  'MANIFEST_DIGEST_MISMATCH',
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
]);

/** The environment for reading from registries. */
export interface Reading {
  /** The plan that is verified. */
  readonly plan: Digest;
  readonly retry: RetryPolicy;
  readonly report: Report;
}

/**
 * Verifies by reading and hashing all content: files may have changed since they were written, and may be the only copy
 * after a deletion.
 * @param reading for registries: retries and progress. Absent: only files are read
 */
export function byRehashing(reading?: Reading): Proof {
  const queue = new PQueue({concurrency: READ_CONCURRENCY});
  return {
    hasTagged: () => false,
    hasManifest: (at, digest, call) =>
      isWhole(async () => (await at.getManifest(digest, call)) !== undefined),
    hasBlob: (at, blob, call) => queue.add(() => isWhole(() => hasBytes(at, blob, reading, call))),
    ...(reading === undefined
      ? {}
      : {begins: (blobs: readonly PlacedBlob[]) => tellTotal(blobs, reading)}),
  };
}

function tellTotal(blobs: readonly PlacedBlob[], {plan, report}: Reading): void {
  const bytes = blobs.reduce((sum, {size}) => sum + size, 0);
  report({type: 'run-started', plan, steps: 0, blobs: blobs.length, bytes});
}

/** Verifies files by reading them, and registries by HEAD requests. */
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
  {digest}: PlacedBlob,
  reading: Reading | undefined,
  call: Call,
): Promise<boolean> {
  // The actual size is used, since that in the manifest may be wrong; the digest decides.
  const size = await at.blobSize(digest, call);
  if (size === undefined) return false;
  const blob = {mediaType: 'application/octet-stream', digest, size};
  const algorithm = algorithmOf(digest);
  const hash = createHash(algorithm);
  if (reading === undefined) {
    const {chunks} = await at.openBlob(blob, {offset: 0}, call);
    for await (const chunk of chunks) hash.update(chunk);
  } else {
    await readInto(hash, at, blob, reading, call);
  }
  return finishDigest(hash, algorithm) === digest;
}

/** Reads a blob of a registry with progress events. Broken connections are replaced. */
async function readInto(
  hash: Hash,
  at: RepositoryReader,
  blob: Descriptor,
  {retry, report}: Reading,
  call: Call,
): Promise<void> {
  const {digest, size} = blob;
  const what = {digest, to: at.name, size};
  const newBudget = () =>
    new RetryBudget(retry, (attempt, delayMs, error) =>
      report(retryEvent(`${digest} from ${at.name}`, attempt, delayMs, error)),
    );
  report({type: 'blob-started', ...what});
  let done = 0;
  let isRead = false;
  try {
    for await (const chunk of readBlob(at, blob, 0, {newBudget}, call)) {
      hash.update(chunk);
      done += chunk.byteLength;
      report({type: 'blob-progress', ...what, acknowledged: done});
    }
    isRead = true;
  } finally {
    report({type: 'blob-ended', ...what, outcome: isRead ? 'present' : 'failed'});
  }
}

/** Whether the content is undamaged and exists. @throws all other failures */
export async function isWhole(ask: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TransshipError && NOT_WHOLE.has(error.code)) return false;
    throw error;
  }
}
