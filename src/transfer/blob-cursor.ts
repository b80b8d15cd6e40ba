import {createHash, type Hash} from 'node:crypto';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

/** Opens the source's bytes from an offset to the blob's end. */
export type OpenFrom = (offset: number) => AsyncGenerator<Uint8Array, void, undefined>;

/**
 * A reading position in a blob that can be handed out in pieces and set back. It hashes what passes, as long as it
 * has seen every byte from the first: after a jump over bytes that it has not seen the proof is the registry's alone.
 */
export class BlobCursor implements AsyncDisposable {
  readonly #blob: Descriptor;
  readonly #open: OpenFrom;
  #stream: AsyncGenerator<Uint8Array, void, undefined> | undefined;
  /** Bytes that the stream gave and nobody took yet: at most one of its chunks. */
  #rest: Uint8Array | undefined;
  #position = 0;
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

  /** Remembers the present position, so that `seek` can come back to it with the hash whole. */
  mark(): void {
    this.#mark = {offset: this.#position, hash: this.#hash?.copy()};
  }

  /** Goes to `offset`. The source is opened there when bytes are next taken. */
  async seek(offset: number): Promise<void> {
    if (offset === this.#position) return;
    await this.#close();
    this.#position = offset;
    if (offset === 0) this.#hash = createHash(algorithmOf(this.#blob.digest));
    else if (offset === this.#mark.offset) this.#hash = this.#mark.hash?.copy();
    else this.#hash = undefined;
  }

  /**
   * The next `length` bytes. With the last bytes of the blob the digest is checked, before they are given away.
   * @throws TransshipError BLOB_DIGEST_MISMATCH
   */
  async *take(length: number): AsyncGenerator<Uint8Array, void, undefined> {
    let left = length;
    while (left > 0) {
      const chunk = await this.#next();
      const piece = chunk.byteLength <= left ? chunk : chunk.subarray(0, left);
      this.#rest = piece === chunk ? undefined : chunk.subarray(left);
      this.#hash?.update(piece);
      this.#position += piece.byteLength;
      left -= piece.byteLength;
      if (this.#position === this.#blob.size) this.#check();
      yield piece;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #next(): Promise<Uint8Array> {
    if (this.#rest) return this.#rest;
    this.#stream ??= this.#open(this.#position);
    const {value, done} = await this.#stream.next();
    if (done !== true) return value;
    throw new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `${this.#blob.digest} ended after ${this.#position} bytes`,
      {
        side: 'source',
        hint: 'the source holds less than the manifest says; push the image anew there',
      },
    );
  }

  #check(): void {
    const seen: Digest | undefined =
      this.#hash && finishDigest(this.#hash.copy(), algorithmOf(this.#blob.digest));
    if (seen === undefined || seen === this.#blob.digest) return;
    throw new TransshipError(
      'BLOB_DIGEST_MISMATCH',
      `the bytes of ${this.#blob.digest} have the digest ${seen}`,
      {
        side: 'source',
        hint: 'the source or the line to it changed the bytes; if it happens again, push the image anew at the source',
      },
    );
  }

  async #close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#rest = undefined;
    await stream?.return();
  }
}
