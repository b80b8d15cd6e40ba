import {createHash, randomBytes} from 'node:crypto';
import {type FileHandle, open, rename} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {TransshipError} from '../model/error.ts';
import {PART_LIMIT, partName} from './archive-parts.ts';
import {FILE_MODE, removeFile, writeAll} from './durable-file.ts';

/** A complete part, under a temporary name until all parts are complete. */
interface WrittenPart {
  readonly path: string;
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
}

/** The part that is being written. */
interface UnfinishedPart {
  readonly path: string;
  readonly handle: FileHandle;
  size: number;
}

/** Writes a stream as numbered files of a fixed size. */
export class PartWriter {
  readonly parts: WrittenPart[] = [];
  readonly #file: string;
  readonly #partSize: number;
  #current: UnfinishedPart | undefined;
  #hash = createHash('sha256');

  /** @param partSize bytes of each part but the last */
  constructor(file: string, partSize: number) {
    this.#file = file;
    this.#partSize = partSize;
  }

  /** Writes the whole stream. */
  async write(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) await this.#write(chunk);
    await this.#end();
  }

  /** Renames the complete parts to their final names. */
  async rename(): Promise<void> {
    for (const {path, name} of this.parts) await rename(path, join(dirname(this.#file), name));
  }

  /** Removes all parts that were not renamed. */
  async discard(): Promise<void> {
    await this.#current?.handle.close();
    const paths = [...this.parts.map(({path}) => path), this.#current?.path];
    for (const path of paths) if (path !== undefined) await removeFile(path);
  }

  async #write(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.byteLength > 0; ) {
      const part = this.#current ?? (await this.#begin());
      this.#current = part;
      const piece = rest.subarray(0, this.#partSize - part.size);
      this.#hash.update(piece);
      await writeAll(part.handle, piece, part.size);
      part.size += piece.byteLength;
      rest = rest.subarray(piece.byteLength);
      if (part.size === this.#partSize) await this.#end();
    }
  }

  async #begin(): Promise<UnfinishedPart> {
    if (this.parts.length === PART_LIMIT) throw tooMany(this.#file, this.#partSize);
    const name = partName(this.#file, this.parts.length + 1);
    // The name is unpredictable, so nobody can have placed a link there.
    const path = join(dirname(this.#file), `.${name}.${randomBytes(8).toString('hex')}.tmp`);
    return {path, handle: await open(path, 'wx', FILE_MODE), size: 0};
  }

  async #end(): Promise<void> {
    if (this.#current === undefined) return;
    const {path, handle, size} = this.#current;
    await handle.sync();
    await handle.close();
    const name = partName(this.#file, this.parts.length + 1);
    this.parts.push({path, name, sha256: this.#hash.digest('hex'), size});
    this.#current = undefined;
    this.#hash = createHash('sha256');
  }
}

function tooMany(file: string, partSize: number): TransshipError {
  return new TransshipError(
    'FILE_WRITE_FAILED',
    `${file} would have more than ${PART_LIMIT} parts of ${partSize} bytes`,
    {side: 'local', hint: 'plan again with a larger --archive-size'},
  );
}
