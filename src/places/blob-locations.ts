import {createHash, randomUUID} from 'node:crypto';
import {rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {FileKindError, openAppending, readRegular} from '../http/regular-file.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {isRepositoryPath, type Repository, type RepositoryPath} from '../model/reference.ts';
import {removeFile} from './durable-file.ts';
import {
  type CacheOptions,
  forgetOldest,
  isOwnDirectory,
  makeOwnDirectory,
} from './own-directory.ts';

/** Maximum size in bytes of the file of one registry when a process ends: about 40,000 entries. */
const FILE_LIMIT = 4 * 1024 * 1024;
/** Maximum number of registries; the least recently used ones are removed. */
const REGISTRY_LIMIT = 32;
/** Maximum number of repositories of a blob; the latest ones are kept. */
const REPOSITORY_LIMIT = 4;
/** The name of the file of a registry. */
const FILE_NAME = /^[0-9a-f]{32}$/;

/** The known blobs of one registry, and their file. */
interface RegistryFile {
  readonly path: string;
  /** The content of the file, with changes of this process; undefined: it was not read yet. */
  known: Promise<KnownBlobs> | undefined;
  /** Lines that `known` does not have yet. */
  changes: string[];
  /** The latest of the writes, which follow one another. */
  writing: Promise<void>;
}

/**
 * Remembers in which repositories of a registry blobs were seen, in a directory of the user, so that a later run can
 * mount a blob instead of sending it again. It is never authoritative: only a mount proves an entry, and content that
 * cannot be read or written counts as absent.
 *
 * Each registry has one file of lines: `+ digest path` for a blob that was seen, `- digest path` for one that no longer
 * exists; the last line about a blob and a repository counts. Lines are only appended, several in one write, so several
 * processes may use the file concurrently. A file beyond the limit is replaced by one with the newest entries.
 */
export class BlobLocations implements AsyncDisposable {
  readonly #directory: string;
  readonly #limit: number;
  readonly #uid: number | undefined;
  readonly #files = new Map<string, RegistryFile>();

  constructor(directory: string, {limit = FILE_LIMIT, uid}: CacheOptions = {}) {
    this.#directory = directory;
    this.#limit = limit;
    this.#uid = uid;
  }

  /**
   * The best other repository of the same registry to mount the blob from: one below the same groups, which a login
   * that may write here can usually read; of several, the one in which the blob was seen last.
   */
  async find({registry, path}: Repository, digest: Digest): Promise<RepositoryPath | undefined> {
    const known = await this.#read(this.#fileOf(registry));
    const others = known.repositories(digest).filter((other) => other !== path);
    return others.toReversed().toSorted((a, b) => sharedParts(b, path) - sharedParts(a, path))[0];
  }

  /** Records that the repository has the blob. */
  add({registry, path}: Repository, digest: Digest): void {
    this.#fileOf(registry).changes.push(`+ ${digest} ${path}`);
  }

  /** Records that the repository does not have the blob, or that it cannot be mounted from there. */
  forget({registry, path}: Repository, digest: Digest): void {
    this.#fileOf(registry).changes.push(`- ${digest} ${path}`);
  }

  /** Writes the changes of a registry, for concurrent processes. */
  async flush(registry: string): Promise<void> {
    await this.#write(this.#fileOf(registry));
  }

  /** Writes all changes, and removes the oldest entries beyond the limits. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await this.#write(file);
    if (this.#files.size > 0)
      await forgetOldest(this.#directory, REGISTRY_LIMIT, FILE_NAME, this.#uid).catch(
        () => undefined,
      );
  }

  #fileOf(registry: string): RegistryFile {
    const known = this.#files.get(registry);
    if (known !== undefined) return known;
    const name = createHash('sha256').update(registry).digest('hex').slice(0, 32);
    const path = join(this.#directory, name);
    const file: RegistryFile = {path, known: undefined, changes: [], writing: Promise.resolve()};
    this.#files.set(registry, file);
    return file;
  }

  /** Never fails: a file that cannot be read counts as empty. */
  async #read(file: RegistryFile): Promise<KnownBlobs> {
    file.known ??= this.#linesOf(file.path).then((lines) => new KnownBlobs(lines));
    const known = await file.known;
    known.addAll(file.changes.splice(0));
    return known;
  }

  async #linesOf(file: string): Promise<readonly string[]> {
    return (await isOwnDirectory(this.#directory, this.#uid))
      ? await readLines(file, 2 * this.#limit)
      : [];
  }

  #write(file: RegistryFile): Promise<void> {
    const write = async (): Promise<void> => {
      const fresh = (await this.#read(file)).takeUnwritten();
      if (fresh.length === 0) return;
      await makeOwnDirectory(this.#directory, this.#uid);
      const size = await append(file.path, textOf(fresh));
      if (size > this.#limit) await this.#dropOldest(file.path);
    };
    file.writing = file.writing.then(write).catch(() => undefined);
    return file.writing;
  }

  /** Lines that another process appends meanwhile are lost, which only costs their mounts. */
  async #dropOldest(file: string): Promise<void> {
    const entries = new KnownBlobs(await this.#linesOf(file)).lines();
    let size = 0;
    const dropped = entries.findLastIndex((line) => (size += line.length + 1) > this.#limit / 2);
    const fresh = `${file}.${randomUUID()}.tmp`;
    try {
      await writeFile(fresh, textOf(entries.slice(dropped + 1)), {mode: 0o600, flag: 'wx'});
      await rename(fresh, file);
    } catch (error) {
      await removeFile(fresh);
      throw error;
    }
  }
}

/** The repositories of each known blob of one registry. */
class KnownBlobs {
  /** Blobs and their repositories, the most recently seen ones last. */
  readonly #repositories = new Map<Digest, readonly RepositoryPath[]>();
  #unwritten: string[] = [];

  /** @param lines of a file */
  constructor(lines: readonly string[]) {
    for (const line of lines) this.#add(line);
  }

  /** Adds lines that are not in the file yet. */
  addAll(lines: readonly string[]): void {
    for (const line of lines) if (this.#add(line)) this.#unwritten.push(line);
  }

  /** Returns the lines to append to the file, and clears them. */
  takeUnwritten(): readonly string[] {
    const lines = this.#unwritten;
    this.#unwritten = [];
    return lines;
  }

  /** The repositories of a blob, the oldest first. */
  repositories(digest: Digest): readonly RepositoryPath[] {
    return this.#repositories.get(digest) ?? [];
  }

  /** All entries as lines, the oldest first. */
  lines(): readonly string[] {
    return [...this.#repositories].flatMap(([digest, paths]) =>
      paths.map((path) => `+ ${digest} ${path}`),
    );
  }

  /**
   * Adds a line; invalid ones are ignored, since the file may have been changed by others.
   * @returns whether it is new
   */
  #add(line: string): boolean {
    const [sign, digest = '', path = '', ...rest] = line.split(' ');
    if (!isDigest(digest) || !isRepositoryPath(path) || rest.length > 0) return false;
    const known = this.repositories(digest);
    const isKnown = known.includes(path);
    if (isKnown ? sign !== '-' : sign !== '+') return false;
    const left = isKnown
      ? known.filter((other) => other !== path)
      : [...known, path].slice(-REPOSITORY_LIMIT);
    this.#repositories.delete(digest);
    if (left.length > 0) this.#repositories.set(digest, left);
    return true;
  }
}

/** Never fails. The last line may be incomplete, since another process may be writing it. */
async function readLines(file: string, limit: number): Promise<readonly string[]> {
  try {
    return (await readRegular(file, limit, {noFollow: true})).toString('latin1').split('\n');
  } catch (error) {
    // Larger than this program writes: it could never be read again.
    if (error instanceof FileKindError) await removeFile(file).catch(() => undefined);
    return [];
  }
}

/** Appends without following a link, which others may have created. @returns the size of the file in bytes */
async function append(file: string, text: string): Promise<number> {
  await using handle = await openAppending(file);
  await handle.appendFile(text);
  return (await handle.stat()).size;
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The number of leading parts that both paths share. */
function sharedParts(a: string, b: string): number {
  const others = b.split('/');
  const differs = a.split('/').findIndex((part, at) => part !== others[at]);
  return differs < 0 ? others.length : differs;
}
