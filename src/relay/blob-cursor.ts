import {createHash, type Hash} from 'node:crypto';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/** The reason for ending a read; created once, since every blob uses it. */
const RELEASED = new Error('reading of the blob was cancelled');

/** Opens the source from an offset to the end of the blob; the signal ends a hanging read. */
export type OpenFrom = (offset: number, signal: AbortSignal) => Bytes;

/**
 * A read position in a blob that can be read in chunks and moved back. It hashes the bytes as long as it has seen every
 * byte from the first: after skipping unseen bytes, only the registry verifies the digest.
 */
export class BlobCursor implements AsyncDisposable {
  readonly #blob: Descriptor;
  readonly #open: OpenFrom;
  #stream: {readonly chunks: Bytes; readonly end: AbortController} | undefined;
  /** The stream's next chunk, prefetched. */
  #ahead: Promise<IteratorResult<Uint8Array, void>> | undefined;
  /** Bytes received from the stream and not yet taken: at most one chunk. */
  #rest: Uint8Array | undefined;
  #position = 0;
  /** The active `take`. An abandoned one may still wait for the stream; its data is discarded. */
  #taking: object | undefined;
  #hash: Hash | undefined;
  /** The hash at the last marked position. */
  #mark: {readonly offset: number; readonly hash: Hash | undefined};

  constructor(blob: Descriptor, open: OpenFrom) {
    this.#blob = blob;
    this.#open = open;
    this.#hash = createHash(algorithmOf(blob.digest));
    this.#mark = {offset: 0, hash: this.#hash.copy()};
  }

  get position(): number {
    return this.#position;
  }

  /** Whether every byte so far was hashed, so that the final digest check is valid. */
  get hashesAll(): boolean {
    return this.#hash !== undefined;
  }

  /** Prefetches the next bytes. They are kept until the position changes. */
  prefetch(): void {
    if (this.#stream !== undefined) return;
    this.#stream = this.#openHere();
    this.#ahead = this.#stream.chunks.next();
    // `take` reports a failure; it may never be called.
    this.#ahead.catch(() => undefined);
  }

  /** Closes the source, which the next `take` opens again. Ends any active `take`. */
  async release(): Promise<void> {
    this.#taking = undefined;
    await this.#close();
  }

  /** Marks the current position, so that `seek` can return to it with a complete hash. */
  mark(): void {
    this.#mark = {offset: this.#position, hash: this.#hash?.copy()};
  }

  /** Moves to `offset` and ends any active `take`. The next `take` opens the source there. */
  async seek(offset: number): Promise<void> {
    if (offset === this.#position && this.#taking === undefined) return;
    await this.release();
    if (offset === this.#position) return;
    this.#position = offset;
    if (offset === 0) this.#hash = createHash(algorithmOf(this.#blob.digest));
    else if (offset === this.#mark.offset) this.#hash = this.#mark.hash?.copy();
    else this.#hash = undefined;
  }

  /**
   * The next `length` bytes. The digest is checked before the last bytes of the blob are returned.
   * @param passed called with each chunk before it is returned
   * @throws TransshipError BLOB_DIGEST_MISMATCH, BLOB_SIZE_MISMATCH if the source has fewer bytes, and errors of the
   *   source
   */
  async *take(length: number, passed: (bytes: number) => void = () => undefined): Bytes {
    const taking = {};
    this.#taking = taking;
    let left = length;
    while (left > 0 && this.#taking === taking) {
      const chunk = await this.#next();
      if (this.#taking !== taking) return;
      const piece = chunk.byteLength <= left ? chunk : chunk.subarray(0, left);
      this.#rest = piece === chunk ? undefined : chunk.subarray(left);
      this.#hash?.update(piece);
      this.#position += piece.byteLength;
      left -= piece.byteLength;
      if (this.#position === this.#blob.size) this.#check();
      // Ends with the last chunk, whether or not another one is requested.
      if (left === 0) this.#taking = undefined;
      passed(piece.byteLength);
      yield piece;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #next(): Promise<Uint8Array> {
    if (this.#rest) return this.#rest;
    this.#stream ??= this.#openHere();
    const next = this.#ahead ?? this.#stream.chunks.next();
    this.#ahead = undefined;
    const {value, done} = await next;
    if (done !== true) return value;
    throw new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `${this.#blob.digest} ended after ${this.#position} bytes`,
      {
        side: 'source',
        hint: 'the source has fewer bytes than the manifest says; push the image there again',
      },
    );
  }

  #openHere() {
    const end = new AbortController();
    return {chunks: this.#open(this.#position, end.signal), end};
  }

  #check(): void {
    const {digest} = this.#blob;
    const seen = this.#hash && finishDigest(this.#hash.copy(), algorithmOf(digest));
    if (seen !== undefined && seen !== digest) throw digestMismatch(this.#blob, seen);
  }

  /** Aborts the read first: `return` alone would wait for as long as the source hangs. */
  async #close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#ahead = undefined;
    this.#rest = undefined;
    stream?.end.abort(RELEASED);
    // The stream is not needed any more, so its errors are ignored.
    await stream?.chunks.return().catch(() => undefined);
  }
}

/** The error for bytes whose digest is `seen` and not the blob's. If the manifest says 0 bytes, no bytes were read. */
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
      hint: 'the source or the network changed the bytes; if it happens again, push the image to the source again',
    },
  );
}

/** Whether bytes did not match the digest, according to this program or to the registry. */
export function isDigestMismatch(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'BLOB_DIGEST_MISMATCH';
}
