import {createHash, randomUUID} from 'node:crypto';
import {appendFile, readdir, stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {algorithmOf, type Digest, digestOf, isDigest} from '../model/digest.ts';
import {openRegular, readRegular} from '../http/regular-file.ts';
import {makeDirectory, removeFile} from './durable-file.ts';

/** Maximum size of the directory after a sweep, in bytes. */
const LIMIT = 256 * 1024 * 1024;
/** A pack is complete at this size in bytes: packs are removed as a whole. */
const PACK_SIZE = 4 * 1024 * 1024;
/** Limits of buffered writes: bytes, and ms since the last write. */
const HELD_SIZE = 1024 * 1024;
const HELD_MS = 1000;
/** Maximum size of an index, in bytes: about 300,000 entries. */
const INDEX_LIMIT = 32 * 1024 * 1024;
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
  readonly #repositories = new Map<string, Promise<CachedRepository>>();
  /** Packs whose last-used time this process has set. */
  readonly #touched = new Set<string>();
  #heldSize = 0;
  #heldSince = 0;
  #writing: Promise<void> = Promise.resolve();
  #written = 0;

  constructor(directory: string, limit = LIMIT) {
    this.#directory = directory;
    this.#limit = limit;
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
      const sweptAt = await stat(marker).then(
        ({mtimeMs}) => mtimeMs,
        () => 0,
      );
      if (this.#written < SWEEP_AFTER && Date.now() - sweptAt < DAY_MS) return;
      await writeFile(marker, '', {mode: 0o600});
      await this.#removeOldest();
    } catch {
      // Another process removes old packs now, or a later one will.
    }
  }

  #open(repository: string): Promise<CachedRepository> {
    const cached =
      this.#repositories.get(repository) ?? openRepository(this.#directoryOf(repository));
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
        if (cached.held.size > 0) this.#written += await append(cached).catch(() => 0);
      }
    };
    this.#writing = this.#writing.then(write);
    await this.#writing;
  }

  async #touch(pack: string): Promise<void> {
    if (this.#touched.has(pack)) return;
    this.#touched.add(pack);
    const now = new Date();
    await utimes(`${pack}.pack`, now, now).catch(() => undefined);
  }

  async #removeOldest(): Promise<void> {
    const names = await readdir(this.#directory, {recursive: true});
    const packs: {path: string; size: number; usedAt: number}[] = [];
    for (const name of names) {
      if (!name.endsWith('.pack')) continue;
      const path = join(this.#directory, name);
      const file = await stat(path).catch(() => undefined);
      if (file) packs.push({path, size: file.size, usedAt: file.mtimeMs});
    }
    let left = packs.reduce((sum, {size}) => sum + size, 0);
    for (const {path, size} of packs.toSorted((a, b) => a.usedAt - b.usedAt)) {
      if (left <= this.#limit) return;
      await removePack(path.slice(0, -'.pack'.length));
      left -= size;
    }
  }
}

/** Never fails: an unreadable directory counts as empty. */
async function openRepository(directory: string): Promise<CachedRepository> {
  const kept = new Map<Digest, CachedPart>();
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    if (!name.endsWith('.index')) continue;
    const pack = join(directory, name.slice(0, -'.index'.length));
    for (const [digest, entry] of await readIndex(pack).catch(() => [])) kept.set(digest, entry);
  }
  return {directory, isUsed: kept.size > 0, kept, held: new Map(), pack: newPack(directory)};
}

function newPack(directory: string): CachedRepository['pack'] {
  return {path: join(directory, randomUUID()), size: 0};
}

async function readIndex(pack: string): Promise<readonly (readonly [Digest, CachedPart])[]> {
  const text = (await readRegular(`${pack}.index`, INDEX_LIMIT)).toString('latin1');
  return text.split('\n').flatMap((line) => {
    const [digest = '', offset, size] = line.split(' ');
    const entry = {pack, offset: Number(offset), size: Number(size)};
    const isEntry = Number.isSafeInteger(entry.offset) && Number.isSafeInteger(entry.size);
    return isEntry && isDigest(digest) ? [[digest, entry] as const] : [];
  });
}

/** @throws errors of the file system; RangeError if the index names more bytes than a pack can have */
async function readPart({pack, offset, size}: CachedPart): Promise<Buffer> {
  if (size > 2 * PACK_SIZE) throw new RangeError(`${size} bytes in a pack`);
  await using file = await openRegular(`${pack}.pack`);
  const bytes = Buffer.allocUnsafe(size);
  const {bytesRead} = await file.read(bytes, 0, size, offset);
  return bytes.subarray(0, bytesRead);
}

/**
 * Writes the buffered content of a repository. The index is written last, so that it never refers to missing content.
 * @returns the number of bytes
 */
async function append(cached: CachedRepository): Promise<number> {
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
    if (start === 0) await makeDirectory(cached.directory, 0o700);
    await appendFile(`${path}.pack`, bytes, {mode: 0o600});
    await appendFile(`${path}.index`, lines.join(''), {mode: 0o600});
    cached.pack.size = offset;
    for (const [digest, kept] of entries) cached.kept.set(digest, kept);
  } finally {
    // Removed only now, since reads use it until it is on disk. Content that was added meanwhile is kept.
    for (const [digest] of held) cached.held.delete(digest);
  }
  return bytes.byteLength;
}

async function removePack(path: string): Promise<void> {
  await removeFile(`${path}.index`);
  await removeFile(`${path}.pack`);
}
