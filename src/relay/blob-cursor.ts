import {createHash, type Hash} from 'node:crypto';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/** Why a read was ended; made once, since every blob ends with it. */
const LET_GO = new Error('reading of the blob was cancelled');

/** Opens the source's bytes from an offset to the blob's end; the signal ends a read that hangs. */
export type OpenFrom = (offset: number, signal: AbortSignal) => Bytes;

/**
 * A reading position in a blob that can be handed out in pieces and set back. It hashes what passes, as long as it
 * has seen every byte from the first: after a jump over bytes that it has not seen the proof is the registry's alone.
 */
export class BlobCursor implements AsyncDisposable {
  readonly #blob: Descriptor;
  readonly #open: OpenFrom;
  #stream: {readonly chunks: Bytes; readonly end: AbortController} | undefined;
  /** The stream's next chunk, which was asked for before anybody takes it. */
  #ahead: Promise<IteratorResult<Uint8Array, void>> | undefined;
  /** Bytes that the stream gave and nobody took yet: at most one of its chunks. */
  #rest: Uint8Array | undefined;
  #position = 0;
  /** The `take` that is not over. One that was given up may still wait for the stream: what it gets is nobody's. */
  #taking: object | undefined;
  #hash: Hash | undefined;
  /** The hash at the last place that is worth going back to. */
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

  /** Whether every byte so far was hashed, so that the check at the end means something. */
  get hashesAll(): boolean {
    return this.#hash !== undefined;
  }

  /** Asks the source for the next bytes, before anybody takes them. What comes is kept until the position is left. */
  prefetch(): void {
    if (this.#stream !== undefined) return;
    this.#stream = this.#openHere();
    this.#ahead = this.#stream.chunks.next();
    // A failure is for the one who takes them; there may be none.
    this.#ahead.catch(() => undefined);
  }

  /** Leaves the source, which is opened again when bytes are next taken. Ends any `take`. */
  async letGo(): Promise<void> {
    this.#taking = undefined;
    await this.#close();
  }

  /** Remembers the present position, so that `seek` can come back to it with the hash whole. */
  mark(): void {
    this.#mark = {offset: this.#position, hash: this.#hash?.copy()};
  }

  /** Goes to `offset` and ends any `take`. The source is opened there when bytes are next taken. */
  async seek(offset: number): Promise<void> {
    if (offset === this.#position && this.#taking === undefined) return;
    await this.letGo();
    if (offset === this.#position) return;
    this.#position = offset;
    if (offset === 0) this.#hash = createHash(algorithmOf(this.#blob.digest));
    else if (offset === this.#mark.offset) this.#hash = this.#mark.hash?.copy();
    else this.#hash = undefined;
  }

  /**
   * The next `length` bytes. With the last bytes of the blob the digest is checked, before they are given away.
   * @param passed told of each piece before it is given away
   * @throws TransshipError BLOB_DIGEST_MISMATCH and what the source throws
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
      // Over with the last piece, whether or not anybody asks for another.
      if (left === 0) this.#taking = undefined;
      passed(piece.byteLength);
      yield piece;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.letGo();
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

  /** A read that is under way would hold up the end for as long as the source hangs. */
  async #close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#ahead = undefined;
    this.#rest = undefined;
    stream?.end.abort(LET_GO);
    // What it fails with now is of no use to anybody.
    await stream?.chunks.return().catch(() => undefined);
  }
}

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
      hint: 'the source or the network changed the bytes; if it happens again, push the image to the source again',
    },
  );
}

/** Whoever found out: the sum of the bytes is not the digest. */
export function isDigestMismatch(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'BLOB_DIGEST_MISMATCH';
}
