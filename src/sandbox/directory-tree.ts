import {randomUUID} from 'node:crypto';
import {mkdir, open, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import type {FileTree, Slice} from './file-tree.ts';

/** Bytes that a download holds of its file at a time. */
const READ_SIZE = 256 * 1024;

/** Keeps everything in a directory, so that it survives a restart. */
export class DirectoryTree implements FileTree {
  readonly #root: string;

  /** @param root made when it is first written to */
  constructor(root: string) {
    this.#root = resolve(root);
  }

  async size(path: string): Promise<number | undefined> {
    const found = await unlessMissing(stat(this.#locate(path)));
    return found?.isFile() ? found.size : undefined;
  }

  async load(path: string): Promise<Uint8Array | undefined> {
    return unlessMissing(readFile(this.#locate(path)));
  }

  async *read(path: string, {start, end}: Slice): AsyncGenerator<Uint8Array> {
    await using file = await open(this.#locate(path));
    for (let position = start; position < end; ) {
      const size = Math.min(READ_SIZE, end - position);
      const {bytesRead, buffer} = await file.read(Buffer.allocUnsafeSlow(size), 0, size, position);
      if (bytesRead === 0) throw new Error(`${path} ends at ${position}, before ${end}`);
      yield buffer.subarray(0, bytesRead);
      position += bytesRead;
    }
  }

  async store(path: string, bytes: Uint8Array): Promise<void> {
    const beside = `_new/${randomUUID()}`;
    await writeFile(await this.#makeFolder(beside), bytes);
    await this.move(beside, path);
  }

  async append(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    await using file = await open(await this.#makeFolder(path), 'a');
    for await (const chunk of body) await file.appendFile(chunk);
  }

  async move(from: string, to: string): Promise<void> {
    await rename(this.#locate(from), await this.#makeFolder(to));
  }

  async remove(path: string): Promise<boolean> {
    return (await unlessMissing(rm(this.#locate(path)).then(() => true))) ?? false;
  }

  async list(path: string): Promise<readonly string[]> {
    return (await unlessMissing(readdir(this.#locate(path)))) ?? [];
  }

  async #makeFolder(path: string): Promise<string> {
    const file = this.#locate(path);
    await mkdir(dirname(file), {recursive: true});
    return file;
  }

  /** The second lock on the door: the parts of a path were checked, and still none may lead out of the root. */
  #locate(path: string): string {
    const file = join(this.#root, path);
    if (!file.startsWith(this.#root + sep)) throw new Error(`${path} is outside of ${this.#root}`);
    return file;
  }
}

/** ENOTDIR: a file stands where a folder would be; what is asked for is not there either. */
async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
