import type {FileTree, Slice} from './file-tree.ts';

/** A file keeps the chunks it was written with. */
interface MemoryFile {
  readonly chunks: Uint8Array[];
  size: number;
}

type Folder = Map<string, Folder | MemoryFile>;

/** Keeps everything in memory, and nothing after the process. */
export class MemoryTree implements FileTree {
  readonly #root: Folder = new Map();

  async size(path: string): Promise<number | undefined> {
    return this.#file(path)?.size;
  }

  async load(path: string): Promise<Uint8Array | undefined> {
    const file = this.#file(path);
    return file && (file.chunks.length === 1 ? file.chunks[0] : Buffer.concat(file.chunks));
  }

  async *read(path: string, {start, end}: Slice): AsyncGenerator<Uint8Array> {
    const file = this.#file(path);
    if (!file) throw new Error(`there is no file ${path}`);
    let position = 0;
    for (const chunk of file.chunks) {
      if (position >= end) return;
      const from = Math.max(start - position, 0);
      if (from < chunk.byteLength) yield chunk.subarray(from, end - position);
      position += chunk.byteLength;
    }
  }

  async store(path: string, bytes: Uint8Array): Promise<void> {
    const {folder, name} = this.#makeFolder(path);
    folder.set(name, {chunks: [bytes], size: bytes.byteLength});
  }

  async append(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const {folder, name} = this.#makeFolder(path);
    const file = this.#file(path) ?? {chunks: [], size: 0};
    folder.set(name, file);
    for await (const chunk of body) {
      file.chunks.push(chunk);
      file.size += chunk.byteLength;
    }
  }

  async move(from: string, to: string): Promise<void> {
    const file = this.#file(from);
    if (!file) throw new Error(`there is no file ${from}`);
    const {folder, name} = this.#makeFolder(to);
    folder.set(name, file);
    await this.remove(from);
  }

  async remove(path: string): Promise<boolean> {
    const {parent, name} = split(path);
    return this.#folder(parent)?.delete(name) ?? false;
  }

  async list(path: string): Promise<readonly string[]> {
    return [...(this.#folder(path)?.keys() ?? [])];
  }

  #file(path: string): MemoryFile | undefined {
    const {parent, name} = split(path);
    const found = this.#folder(parent)?.get(name);
    return found instanceof Map ? undefined : found;
  }

  #folder(path: string): Folder | undefined {
    let folder: Folder = this.#root;
    for (const part of path.split('/')) {
      const next = folder.get(part);
      if (!(next instanceof Map)) return undefined;
      folder = next;
    }
    return folder;
  }

  #makeFolder(path: string): {folder: Folder; name: string} {
    const {parent, name} = split(path);
    let folder: Folder = this.#root;
    for (const part of parent.split('/')) {
      const found = folder.get(part);
      const next: Folder = found instanceof Map ? found : new Map();
      folder.set(part, next);
      folder = next;
    }
    return {folder, name};
  }
}

function split(path: string): {parent: string; name: string} {
  const slash = path.lastIndexOf('/');
  return {parent: path.slice(0, slash), name: path.slice(slash + 1)};
}
