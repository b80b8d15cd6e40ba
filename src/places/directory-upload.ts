import {createHash, type Hash, randomUUID} from 'node:crypto';
import {type FileHandle, open, rename, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, hexOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, SavedUpload, Upload} from '../model/port.ts';
import {FileKindError, openRegular} from '../http/regular-file.ts';
import {FILE_MODE, makeDirectory, removeFile, writeAll} from './durable-file.ts';
import {isMissing, unwritable} from './file-error.ts';

/** Bytes per write, and the maximum that is lost if the process is killed. */
const WRITE_SIZE = 1024 * 1024;

/**
 * A blob that is written to a directory of images: a separate file, named after the digest and closed between calls. It
 * is hashed while it is written, and renamed to its final name only if the digest matches.
 */
export class DirectoryUpload implements Upload {
  readonly minChunk = 0;
  readonly #file: string;
  readonly #target: string;
  readonly #digest: Digest;
  #hash: Hash;
  #offset: number;

  private constructor(file: string, target: string, digest: Digest, hash: Hash, offset: number) {
    this.#file = file;
    this.#target = target;
    this.#digest = digest;
    this.#hash = hash;
    this.#offset = offset;
  }

  /**
   * @param scratch the directory for unfinished blobs; created if necessary
   * @param target the final path of the blob
   */
  static async begin(scratch: string, target: string, digest: Digest): Promise<DirectoryUpload> {
    const file = join(scratch, `${partialName(digest)}.${randomUUID()}.part`);
    try {
      await makeDirectory(scratch);
      await (await open(file, 'wx', FILE_MODE)).close();
    } catch (error) {
      throw unwritable(file, error);
    }
    return new DirectoryUpload(file, target, digest, createHash(algorithmOf(digest)), 0);
  }

  /** Finds the file of an earlier run and hashes it. Undefined: it does not exist, or is a link or no file at all. */
  static async resume(
    scratch: string,
    target: string,
    {digest, location}: SavedUpload,
  ): Promise<DirectoryUpload | undefined> {
    // An untrusted location must not refer to other files.
    if (basename(location) !== location || !location.startsWith(`${partialName(digest)}.`)) return;
    const file = join(scratch, location);
    const hash = createHash(algorithmOf(digest));
    let offset = 0;
    try {
      await using handle = await openRegular(file, {noFollow: true});
      const stream = handle.createReadStream({highWaterMark: WRITE_SIZE, autoClose: false});
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        hash.update(chunk);
        offset += chunk.byteLength;
      }
    } catch (error) {
      if (isMissing(error) || error instanceof FileKindError) return undefined;
      throw unwritable(file, error);
    }
    return new DirectoryUpload(file, target, digest, hash, offset);
  }

  get offset(): number {
    return this.#offset;
  }

  get saved(): SavedUpload {
    return {digest: this.#digest, location: basename(this.#file), offset: this.#offset};
  }

  async append(body: AsyncIterable<Uint8Array>, length: number, call: Call): Promise<number> {
    await using file = await this.#open();
    const end = this.#offset + length;
    for await (const piece of gathered(body, Math.min(WRITE_SIZE, length))) {
      call.signal.throwIfAborted();
      if (this.#offset + piece.byteLength > end) throw this.#wrongSize(`more than ${end}`);
      await this.#write(file, piece);
    }
    if (this.#offset < end) throw this.#wrongSize(`${this.#offset} and not ${end}`);
    return this.#offset;
  }

  async queryOffset(): Promise<number | undefined> {
    try {
      await stat(this.#file);
      return this.#offset;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unwritable(this.#file, error);
    }
  }

  /** @throws TransshipError BLOB_SIZE_MISMATCH, BLOB_DIGEST_MISMATCH, after which the bytes are discarded */
  async commit(blob: Descriptor): Promise<void> {
    if (this.#offset !== blob.size) throw this.#wrongSize(`${this.#offset} and not ${blob.size}`);
    const seen = finishDigest(this.#hash.copy(), algorithmOf(this.#digest));
    if (seen !== blob.digest) {
      await this.cancel();
      throw new TransshipError(
        'BLOB_DIGEST_MISMATCH',
        `the bytes of ${blob.digest} have the digest ${seen}`,
        {side: 'source', hint: 'run the command again to download the blob again', retry: true},
      );
    }
    {
      await using file = await this.#open();
      await file.sync();
    }
    try {
      await makeDirectory(dirname(this.#target));
      await rename(this.#file, this.#target);
    } catch (error) {
      throw unwritable(this.#target, error);
    }
  }

  async cancel(): Promise<void> {
    await removeFile(this.#file);
  }

  /** Hashes while writing. A failed write leaves hash and offset unchanged. */
  async #write(file: FileHandle, piece: Uint8Array): Promise<void> {
    const hash = this.#hash.copy();
    const writing = writeAll(file, piece, this.#offset);
    hash.update(piece);
    try {
      await writing;
    } catch (error) {
      throw unwritable(this.#file, error);
    }
    this.#hash = hash;
    this.#offset += piece.byteLength;
  }

  async #open(): Promise<FileHandle> {
    try {
      return await openRegular(this.#file, {noFollow: true, write: true});
    } catch (error) {
      if (!isMissing(error)) throw unwritable(this.#file, error);
      throw new TransshipError('UPLOAD_LOST', `${this.#file} no longer exists`, {
        side: 'destination',
        hint: 'run the command again to write the blob from the start',
        retry: true,
        cause: error,
      });
    }
  }

  #wrongSize(what: string): TransshipError {
    return new TransshipError('BLOB_SIZE_MISMATCH', `${this.#digest} got bytes: ${what}`, {
      side: 'source',
      hint: 'the source sent a different number of bytes than announced; run the command again',
      retry: true,
    });
  }
}

function partialName(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}`;
}

/**
 * Joins small chunks into pieces of up to `size` bytes, so that a file is written with few calls. Chunks of `size` or
 * more are passed on unchanged. A piece is valid only until the next one is requested, since its buffer is reused. If
 * `body` fails, the bytes gathered so far are returned before the error is thrown.
 */
export async function* gathered(
  body: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  let failure: {readonly error: unknown} | undefined;
  try {
    for await (const chunk of body) {
      if (filled + chunk.byteLength > size && filled > 0) {
        yield buffer.subarray(0, filled);
        filled = 0;
      }
      if (chunk.byteLength >= size) {
        yield chunk;
      } else {
        buffer.set(chunk, filled);
        filled += chunk.byteLength;
      }
    }
  } catch (error) {
    failure = {error};
  }
  if (filled > 0) yield buffer.subarray(0, filled);
  if (failure !== undefined) throw failure.error;
}
