import {randomUUID} from 'node:crypto';
import {mkdir, open, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';

/** A part of a file in bytes: from `start` to `end`, exclusive. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/**
 * The storage of the sandbox: files in directories, in memory or on disk. Paths are relative, joined by `/`; the caller
 * has validated their parts (digests, repository names, tags, upload ids).
 */
export interface FileTree {
  /** Size in bytes; undefined: no such file. */
  size(path: string): Promise<number | undefined>;
  /** The content of a small file; undefined: no such file. */
  load(path: string): Promise<Uint8Array | undefined>;
  /** A part of a file that must exist. It is opened when the first bytes are read. */
  read(path: string, slice: Slice): AsyncIterable<Uint8Array>;
  /** Replaces a small file atomically: readers see the old bytes or the new ones. */
  store(path: string, bytes: Uint8Array): Promise<void>;
  /**
   * Appends a body, and creates the file if necessary.
   * @throws the error of the body; what was received before is kept
   */
  append(path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  /** Moves a file atomically, and replaces one that exists there. */
  move(from: string, to: string): Promise<void>;
  /** @returns whether the file existed */
  remove(path: string): Promise<boolean>;
  /** The names of the files and directories in a directory, unsorted; none if there is no such directory. */
  list(path: string): Promise<readonly string[]>;
}

/** A file consists of the chunks that were written. */
interface MemoryFile {
  readonly chunks: Uint8Array[];
  size: number;
}

type Directory = Map<string, Directory | MemoryFile>;

/** Stores everything in memory. */
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

/** Bytes per read of a download. */
const READ_SIZE = 256 * 1024;

/**
 * Makes sure that there is nothing in a directory but files and directories: a link would lead out of it, and a pipe
 * would block.
 * @throws Error naming what else there is
 */
export async function checkDirectory(root: string): Promise<void> {
  const entries = await unlessMissing(readdir(root, {recursive: true, withFileTypes: true}));
  const other = entries?.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (other === undefined) return;
  const kind = other.isSymbolicLink() ? 'a symbolic link' : 'neither a file nor a directory';
  throw new Error(`${join(other.parentPath, other.name)} is ${kind}`);
}

/** Stores everything in a directory, so that it survives a restart. */
export class DirectoryTree implements FileTree {
  readonly #root: string;

  /** @param root created at the first write */
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

  /** A second check, after the validation of the parts: no path may lead out of the root. */
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
// repositories/<name>/_blobs/<algorithm>/<hex>             empty: the repository has the blob
// repositories/<name>/_manifests/<algorithm>/<hex>         the media type: the repository has the manifest
// repositories/<name>/_tags/<tag>                          the digest of the tag
// repositories/<name>/_referrers/<subject>/<digest>        empty: this manifest has that subject (`:` of it written as
// `/`) repositories/<name>/_uploads/<id>                        the bytes of an upload so far
// No part of a repository's name starts with "_", so the directories of one repository are never those of another.

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

export function manifestDirectory(repository: RepositoryPath): string {
  return `${repositoryDirectory(repository)}/_manifests`;
}

export function manifestLink(repository: RepositoryPath, digest: Digest): string {
  return `${manifestDirectory(repository)}/${slashed(digest)}`;
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
