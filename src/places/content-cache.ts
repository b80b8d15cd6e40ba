import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, stat, utimes, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {algorithmOf, type Digest, digestOf, hexOf} from '../model/digest.ts';
import {removeFile} from './remove-file.ts';

/** What the folder holds at most after a sweep, in bytes on the disk. */
const LIMIT = 256 * 1024 * 1024;
/** What the least file takes on most disks, in bytes. */
const BLOCK = 4096;
/** A process that has written so many bytes sweeps when it ends; one that has written less does so once a day. */
const SWEEP_AFTER = 4 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Manifests and configs that were read, in a folder of the user's, by repository and digest. A memory and never the
 * truth: bytes are checked against their digest when they are read, whether a registry has them is for it to say, and
 * what cannot be read or written is as good as absent. Several processes may use it at once.
 *
 * Beyond its limit, what was not used for longest goes; looked at when a process ends, so that between two sweeps the
 * folder may be larger by what small runs of one day have written.
 */
export class ContentCache {
  readonly #directory: string;
  readonly #limit: number;
  readonly #used = new Map<string, Promise<boolean>>();
  #written = 0;

  constructor(directory: string, limit = LIMIT) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /** Whether an earlier process has kept anything of the repository. */
  isUsed(repository: string): Promise<boolean> {
    const used =
      this.#used.get(repository) ??
      stat(this.#folder(repository)).then(
        () => true,
        () => false,
      );
    this.#used.set(repository, used);
    return used;
  }

  /** Undefined: not kept, or damaged. */
  async read(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    const path = this.#path(repository, digest);
    try {
      const bytes = await readFile(path);
      if (digestOf(bytes, algorithmOf(digest)) !== digest) {
        await removeFile(path);
        return undefined;
      }
      const now = new Date();
      await utimes(path, now, now);
      return bytes;
    } catch {
      return undefined;
    }
  }

  async write(repository: string, digest: Digest, bytes: Uint8Array): Promise<void> {
    const path = this.#path(repository, digest);
    // Cut by a crash or by a full disk, its digest is wrong when it is read.
    const write = () => writeFile(path, bytes, {flag: 'wx', mode: 0o600});
    try {
      await write().catch(async () => {
        await mkdir(dirname(path), {recursive: true, mode: 0o700});
        await write();
      });
      this.#written += Math.max(bytes.byteLength, BLOCK);
    } catch {
      // It is there already, or cannot be kept.
    }
  }

  /** To be called at the end of a process: lets go of what is beyond the limit. */
  async sweep(): Promise<void> {
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
      // Another process sweeps, or the next one does.
    }
  }

  async #removeOldest(): Promise<void> {
    const entries = await readdir(this.#directory, {recursive: true, withFileTypes: true});
    const files: {path: string; size: number; usedAt: number}[] = [];
    for (const entry of entries) {
      if (!entry.isFile() || entry.parentPath === this.#directory) continue;
      const path = join(entry.parentPath, entry.name);
      const file = await stat(path).catch(() => undefined);
      if (file) files.push({path, size: Math.max(file.size, BLOCK), usedAt: file.mtimeMs});
    }
    let left = files.reduce((sum, {size}) => sum + size, 0);
    for (const {path, size} of files.toSorted((a, b) => a.usedAt - b.usedAt)) {
      if (left <= this.#limit) return;
      await removeFile(path);
      left -= size;
    }
  }

  #folder(repository: string): string {
    const name = createHash('sha256').update(repository).digest('hex').slice(0, 32);
    return join(this.#directory, name);
  }

  #path(repository: string, digest: Digest): string {
    return join(this.#folder(repository), `${algorithmOf(digest)}-${hexOf(digest)}`);
  }
}
