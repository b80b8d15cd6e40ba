import {createHash, randomUUID} from 'node:crypto';
import {lstat, lutimes, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {algorithmOf, type Digest, digestOf, isDigest} from '../model/digest.ts';
import {openAppending, openRegular, readRegular} from '../http/regular-file.ts';
import {removeFile} from './durable-file.ts';
import {type CacheOptions, isOwnDirectory, makeOwnDirectory} from './own-directory.ts';

/** Maximum size of the directory after a sweep, in bytes. */
const LIMIT = 256 * 1024 * 1024;
/** A pack is complete at this size in bytes: packs are removed as a whole. */
const PACK_SIZE = 4 * 1024 * 1024;
/** Limits of buffered writes: bytes, and ms since the last write. */
const HELD_SIZE = 1024 * 1024;
const HELD_MS = 1000;
/** Maximum size of all indexes that a process reads, in bytes: about 190,000 entries. */
const INDEX_LIMIT = 16 * 1024 * 1024;
/** The names of the directory of a repository, and of a pack and its index in there. */
const DIRECTORY_NAME = /^[0-9a-f]{32}$/;
const PACK_NAME = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?:pack|index)$/;
/** A process that has written this many bytes removes old packs when it ends; others do so once a day. */
const SWEEP_AFTER = 4 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

/** The location of cached bytes: in a pack, from `offset`. */
interface CachedPart {
  readonly pack: string;
  readonly offset: number;
  readonly size: number;
}

/** The cache of one repository: the content of its directory, and additions of this process. */
interface CachedRepository {
  readonly directory: string;
  /** Whether it had content when it was opened. */
  readonly isUsed: boolean;
  readonly kept: Map<Digest, CachedPart>;
  /** Not yet written. */
  readonly held: Map<Digest, Uint8Array>;
  /** The pack that this process writes to, without its extension, and its size in bytes. */
  pack: {readonly path: string; size: number};
}

/**
 * A cache of manifests and configs in a directory of the user, by repository and digest. It is never authoritative:
 * bytes are checked against their digest when they are read, callers must ask the registry whether it still has them,
 * and content that cannot be read or written counts as absent.
 *
 * A repository has a directory of packs: a file of concatenated contents, and an index with lines of `digest offset
 * size`. Each process writes its own packs, so several processes may use the directory concurrently. When a process
 * ends, the least recently used packs beyond the limit are removed.
 */
export class ContentCache {
  readonly #directory: string;
  readonly #limit: number;
  readonly #uid: number | undefined;
  readonly #repositories = new Map<string, Promise<CachedRepository>>();
  /** Packs whose last-used time this process has set. */
  readonly #touched = new Set<string>();
  #heldSize = 0;
  #heldSince = 0;
  #writing: Promise<void> = Promise.resolve();
  #written = 0;
  /** Bytes of indexes that were read. */
  #indexed = 0;

  constructor(directory: string, {limit = LIMIT, uid}: CacheOptions = {}) {
    this.#directory = directory;
    this.#limit = limit;
    this.#uid = uid;
  }

  /** Whether an earlier process has cached anything of the repository. */
  async isUsed(repository: string): Promise<boolean> {
    return (await this.#open(repository)).isUsed;
  }

  /** Undefined: not cached, or damaged. */
  async read(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    const cached = await this.#open(repository);
    const held = cached.held.get(digest);
    if (held !== undefined) return held;
    const kept = cached.kept.get(digest);
    if (kept === undefined) return undefined;
    const bytes = await readPart(kept).catch(() => undefined);
    if (bytes === undefined || digestOf(bytes, algorithmOf(digest)) !== digest) {
      cached.kept.delete(digest);
      await removePack(kept.pack).catch(() => undefined);
      return undefined;
    }
    await this.#touch(kept.pack);
    return bytes;
  }

  /**
   * Caches the bytes, which must not be changed afterwards. They are on disk when `close` has completed, or earlier.
   */
  async write(repository: string, digest: Digest, bytes: Uint8Array): Promise<void> {
    const cached = await this.#open(repository);
    if (cached.kept.has(digest) || cached.held.has(digest)) return;
    cached.held.set(digest, bytes);
    if (this.#heldSize === 0) this.#heldSince = Date.now();
    this.#heldSize += bytes.byteLength;
    if (this.#heldSize >= HELD_SIZE || Date.now() - this.#heldSince >= HELD_MS) await this.#flush();
  }

  /** Writes buffered content, and removes packs beyond the limit. */
  async close(): Promise<void> {
    await this.#flush();
    if (this.#written === 0) return;
    const marker = join(this.#directory, 'swept');
    try {
      const sweptAt = await lstat(marker).then(
        ({mtimeMs}) => mtimeMs,
        () => 0,
      );
      if (this.#written < SWEEP_AFTER && Math.abs(Date.now() - sweptAt) < DAY_MS) return;
      await this.#removeOldest();
      await using file = await openAppending(marker);
      await file.utimes(new Date(), new Date());
    } catch {
      // Another process removes old packs now, or a later one will.
    }
  }

  #open(repository: string): Promise<CachedRepository> {
    const cached =
      this.#repositories.get(repository) ?? this.#openRepository(this.#directoryOf(repository));
    this.#repositories.set(repository, cached);
    return cached;
  }

  #directoryOf(repository: string): string {
    const name = createHash('sha256').update(repository).digest('hex').slice(0, 32);
    return join(this.#directory, name);
  }

  /** Sequentially, because writes append to a pack. */
  async #flush(): Promise<void> {
    this.#heldSize = 0;
    const write = async (): Promise<void> => {
      for (const opening of this.#repositories.values()) {
        const cached = await opening;
        if (cached.held.size > 0)
          this.#written += await appendHeld(cached, this.#uid).catch(() => 0);
      }
    };
    this.#writing = this.#writing.then(write);
    await this.#writing;
  }

  async #touch(pack: string): Promise<void> {
    if (this.#touched.has(pack)) return;
    this.#touched.add(pack);
    const now = new Date();
    await lutimes(`${pack}.pack`, now, now).catch(() => undefined);
  }

  /** Never fails: an unreadable directory counts as empty. */
  async #openRepository(directory: string): Promise<CachedRepository> {
    const kept = new Map<Digest, CachedPart>();
    for (const pack of await packsIn(directory, this.#uid)) {
      const left = INDEX_LIMIT - this.#indexed;
      const index = await readRegular(`${pack}.index`, left, {noFollow: true}).catch(() => '');
      this.#indexed += index.length;
      for (const [digest, entry] of entriesOf(index.toString('latin1'), pack))
        kept.set(digest, entry);
    }
    return {directory, isUsed: kept.size > 0, kept, held: new Map(), pack: newPack(directory)};
  }

  /** Looks for nothing but packs, one level below: whatever else somebody put there stays. */
  async #removeOldest(): Promise<void> {
    const names = (await isOwnDirectory(this.#directory, this.#uid))
      ? await readdir(this.#directory)
      : [];
    const directories = names.filter((name) => DIRECTORY_NAME.test(name));
    const packs: {path: string; size: number; usedAt: number}[] = [];
    for (const directory of directories) {
      for (const path of await packsIn(join(this.#directory, directory), this.#uid)) {
        const [pack, index] = await Promise.all(
          [`${path}.pack`, `${path}.index`].map((file) => lstat(file).catch(() => undefined)),
        );
        const usedAt = (pack ?? index)?.mtimeMs ?? 0;
        packs.push({path, size: (pack?.size ?? 0) + (index?.size ?? 0), usedAt});
      }
    }
    let left = packs.reduce((sum, {size}) => sum + size, 0);
    for (const {path, size} of packs.toSorted((a, b) => a.usedAt - b.usedAt)) {
      if (left <= this.#limit) return;
      await removePack(path);
      left -= size;
    }
  }
}

/**
 * The packs in the directory of a repository, without their extensions; none where it is not a directory of the user.
 */
async function packsIn(directory: string, uid: number | undefined): Promise<ReadonlySet<string>> {
  const names = (await isOwnDirectory(directory, uid))
    ? await readdir(directory).catch(() => [])
    : [];
  const packs = names.flatMap((name) => PACK_NAME.exec(name)?.[1] ?? []);
  return new Set(packs.map((pack) => join(directory, pack)));
}

function newPack(directory: string): CachedRepository['pack'] {
  return {path: join(directory, randomUUID()), size: 0};
}

function* entriesOf(index: string, pack: string): Generator<readonly [Digest, CachedPart]> {
  for (const line of index.split('\n')) {
    const [digest = '', offset, size] = line.split(' ');
    const entry = {pack, offset: Number(offset), size: Number(size)};
    const isEntry = Number.isSafeInteger(entry.offset) && Number.isSafeInteger(entry.size);
    if (isEntry && isDigest(digest)) yield [digest, entry];
  }
}

/** @throws errors of the file system; RangeError if the index names more bytes than a pack can have */
async function readPart({pack, offset, size}: CachedPart): Promise<Buffer> {
  if (size > 2 * PACK_SIZE) throw new RangeError(`${size} bytes in a pack`);
  await using file = await openRegular(`${pack}.pack`, {noFollow: true});
  const bytes = Buffer.allocUnsafe(size);
  const {bytesRead} = await file.read(bytes, 0, size, offset);
  return bytes.subarray(0, bytesRead);
}

/**
 * Writes the buffered content of a repository. The index is written last, so that it never refers to missing content.
 * @returns the number of bytes
 */
async function appendHeld(cached: CachedRepository, uid: number | undefined): Promise<number> {
  if (cached.pack.size >= PACK_SIZE) cached.pack = newPack(cached.directory);
  const held = [...cached.held];
  const {path} = cached.pack;
  const lines: string[] = [];
  const entries: [Digest, CachedPart][] = [];
  const start = cached.pack.size;
  let offset = start;
  for (const [digest, {byteLength: size}] of held) {
    entries.push([digest, {pack: path, offset, size}]);
    lines.push(`${digest} ${offset} ${size}\n`);
    offset += size;
  }
  const bytes = Buffer.concat(held.map(([, content]) => content));
  try {
    if (start === 0) await makeOwnDirectory(cached.directory, uid);
    await append(`${path}.pack`, bytes);
    await append(`${path}.index`, lines.join(''));
    cached.pack.size = offset;
    for (const [digest, kept] of entries) cached.kept.set(digest, kept);
  } finally {
    // Removed only now, since reads use it until it is on disk. Content that was added meanwhile is kept.
    for (const [digest] of held) cached.held.delete(digest);
  }
  return bytes.byteLength;
}

async function append(file: string, content: Uint8Array | string): Promise<void> {
  await using handle = await openAppending(file);
  await handle.appendFile(content);
}

async function removePack(path: string): Promise<void> {
  await removeFile(`${path}.index`);
  await removeFile(`${path}.pack`);
}
