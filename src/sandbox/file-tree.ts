import {randomUUID} from 'node:crypto';
import {mkdir, open, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';

/** A part of a file in bytes: from `start` up to, not including, `end`. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/**
 * What the sandbox keeps its content in: files in directories, in memory or on disk. Paths are relative, joined by `/`,
 * and made of parts that were checked before (digests, repository names, tags, upload ids).
 */
export interface FileTree {
  /** The size in bytes; undefined: there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** A small file as a whole; undefined: there is no such file. */
  load(path: string): Promise<Uint8Array | undefined>;
  /** Part of a file, opened when it is first asked for bytes. The file must be there. */
  read(path: string, slice: Slice): AsyncIterable<Uint8Array>;
  /** Writes a small file anew, in one step: readers see the old bytes or the new ones. */
  store(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends a body, making the file if need be. When the body breaks off, what had arrived is kept and the error is thrown. */
  append(path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  /** Moves a file in one step, over another one if need be. */
  move(from: string, to: string): Promise<void>;
  /** False: there was no such file. */
  remove(path: string): Promise<boolean>;
  /** The names of the files and directories in a directory, in no order; none where there is no such directory. */
  list(path: string): Promise<readonly string[]>;
}

/** A file keeps the chunks it was written with. */
interface MemoryFile {
  readonly chunks: Uint8Array[];
  size: number;
}

type Directory = Map<string, Directory | MemoryFile>;

/** Keeps everything in memory, and nothing after the process. */
export class MemoryTree implements FileTree {
  readonly #root: Directory = new Map();

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
    const {directory, name} = this.#makeDirectory(path);
    directory.set(name, {chunks: [bytes], size: bytes.byteLength});
  }

  async append(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const {directory, name} = this.#makeDirectory(path);
    const file = this.#file(path) ?? {chunks: [], size: 0};
    directory.set(name, file);
    for await (const chunk of body) {
      file.chunks.push(chunk);
      file.size += chunk.byteLength;
    }
  }

  async move(from: string, to: string): Promise<void> {
    const file = this.#file(from);
    if (!file) throw new Error(`there is no file ${from}`);
    const {directory, name} = this.#makeDirectory(to);
    directory.set(name, file);
    await this.remove(from);
  }

  async remove(path: string): Promise<boolean> {
    const {parent, name} = split(path);
    return this.#directory(parent)?.delete(name) ?? false;
  }

  async list(path: string): Promise<readonly string[]> {
    return [...(this.#directory(path)?.keys() ?? [])];
  }

  #file(path: string): MemoryFile | undefined {
    const {parent, name} = split(path);
    const found = this.#directory(parent)?.get(name);
    return found instanceof Map ? undefined : found;
  }

  #directory(path: string): Directory | undefined {
    let directory: Directory = this.#root;
    for (const part of path.split('/')) {
      const next = directory.get(part);
      if (!(next instanceof Map)) return undefined;
      directory = next;
    }
    return directory;
  }

  #makeDirectory(path: string): {directory: Directory; name: string} {
    const {parent, name} = split(path);
    let directory: Directory = this.#root;
    for (const part of parent.split('/')) {
      const found = directory.get(part);
      const next: Directory = found instanceof Map ? found : new Map();
      directory.set(part, next);
      directory = next;
    }
    return {directory, name};
  }
}

function split(path: string): {parent: string; name: string} {
  const slash = path.lastIndexOf('/');
  return {parent: path.slice(0, slash), name: path.slice(slash + 1)};
}

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
    await writeFile(await this.#makeDirectory(beside), bytes);
    await this.move(beside, path);
  }

  async append(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    await using file = await open(await this.#makeDirectory(path), 'a');
    for await (const chunk of body) await file.appendFile(chunk);
  }

  async move(from: string, to: string): Promise<void> {
    await rename(this.#locate(from), await this.#makeDirectory(to));
  }

  async remove(path: string): Promise<boolean> {
    return (await unlessMissing(rm(this.#locate(path)).then(() => true))) ?? false;
  }

  async list(path: string): Promise<readonly string[]> {
    return (await unlessMissing(readdir(this.#locate(path)))) ?? [];
  }

  async #makeDirectory(path: string): Promise<string> {
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

/** ENOTDIR: a file is in the place of a directory, so the requested file does not exist either. */
async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

// blobs/<algorithm>/<hex>                                  the bytes of blobs and manifests
// repositories/<name>/_blobs/<algorithm>/<hex>             this repository has the blob
// repositories/<name>/_manifests/<algorithm>/<hex>         this repository has the manifest; holds the media type
// repositories/<name>/_tags/<tag>                          holds a digest
// repositories/<name>/_referrers/<subject>/<digest>        this manifest has that subject (`:` written as `/`)
// repositories/<name>/_uploads/<id>                        the bytes of an upload so far
// No part of a repository's name starts with "_", so the directories of one never meet those of another.

export const REPOSITORIES_DIRECTORY = 'repositories';

export function contentFile(digest: Digest): string {
  return `blobs/${slashed(digest)}`;
}

export function repositoryDirectory(repository: string): string {
  return `${REPOSITORIES_DIRECTORY}/${repository}`;
}

export function blobLink(repository: RepositoryPath, digest: Digest): string {
  return `${repositoryDirectory(repository)}/_blobs/${slashed(digest)}`;
}

export function manifestLink(repository: RepositoryPath, digest: Digest): string {
  return `${repositoryDirectory(repository)}/_manifests/${slashed(digest)}`;
}

export function tagDirectory(repository: RepositoryPath): string {
  return `${repositoryDirectory(repository)}/_tags`;
}

export function tagFile(repository: RepositoryPath, tag: Tag): string {
  return `${tagDirectory(repository)}/${tag}`;
}

export function referrerDirectory(repository: RepositoryPath, subject: Digest): string {
  return `${repositoryDirectory(repository)}/_referrers/${slashed(subject)}`;
}

export function uploadFile(repository: RepositoryPath, id: string): string {
  return `${repositoryDirectory(repository)}/_uploads/${id}`;
}

function slashed(digest: Digest): string {
  return digest.replace(':', '/');
}
