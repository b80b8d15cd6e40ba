import {createHash, randomUUID} from 'node:crypto';
import {rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {FileKindError, openAppending, readRegular} from '../http/regular-file.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {isRepositoryPath, type Repository, type RepositoryPath} from '../model/reference.ts';
import {forgetOldest, makeFolder, removeFile} from './durable-file.ts';

/** Maximum size in bytes of the file of one registry when a process ends: about 40,000 entries. */
const FILE_LIMIT = 4 * 1024 * 1024;
/** Registries that are remembered; those that were used longest ago are forgotten. */
const REGISTRY_LIMIT = 32;
/** Repositories that are remembered of a blob: the newest ones. */
const REPOSITORY_LIMIT = 4;

/** What is remembered of one registry. */
interface Shelf {
  readonly file: string;
  /** The content of the file, with changes of this process; undefined: it was not read yet. */
  known: Promise<KnownBlobs> | undefined;
  /** Lines that `known` does not have yet. */
  changes: string[];
  /** The latest of the writes, which follow one another. */
  writing: Promise<void>;
}

/**
 * In which repositories of a registry a blob was seen, in a folder of the user's, so that a later run can mount it from
 * there instead of sending it again. It is never authoritative: only a mount proves an entry, and content that cannot be
 * read or written counts as absent.
 *
 * A registry has one file of lines: `+ digest path` for a blob that was seen, `- digest path` for one that is not there
 * any more; the last line on a blob and a repository counts. Lines are only ever added, in one write each time, so that
 * several processes may use the file at once. A file beyond the limit is replaced by one with the newest entries.
 */
export class BlobLocations implements AsyncDisposable {
  readonly #directory: string;
  readonly #limit: number;
  readonly #shelves = new Map<string, Shelf>();

  /** @param limit of the file of a registry, in bytes */
  constructor(directory: string, limit = FILE_LIMIT) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /**
   * The other repository of the same registry that is the best one to mount the blob from: below the same groups, since
   * a login that may write here can usually read there; of several, the one in which it was seen last.
   */
  async find({registry, path}: Repository, digest: Digest): Promise<RepositoryPath | undefined> {
    const known = await this.#read(this.#shelf(registry));
    const others = known.repositories(digest).filter((other) => other !== path);
    return others.toReversed().toSorted((a, b) => sharedParts(b, path) - sharedParts(a, path))[0];
  }

  /** The repository has the blob. */
  add({registry, path}: Repository, digest: Digest): void {
    this.#shelf(registry).changes.push(`+ ${digest} ${path}`);
  }

  /** It does not, or it cannot be mounted from there. */
  forget({registry, path}: Repository, digest: Digest): void {
    this.#shelf(registry).changes.push(`- ${digest} ${path}`);
  }

  /** Writes what is new of a registry, for processes that run at the same time. */
  async flush(registry: string): Promise<void> {
    await this.#write(this.#shelf(registry));
  }

  /** Writes what is new, and drops the oldest entries beyond the limits. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const shelf of this.#shelves.values()) await this.#write(shelf);
    if (this.#shelves.size > 0)
      await forgetOldest(this.#directory, REGISTRY_LIMIT).catch(() => undefined);
  }

  #shelf(registry: string): Shelf {
    const known = this.#shelves.get(registry);
    if (known !== undefined) return known;
    const name = createHash('sha256').update(registry).digest('hex').slice(0, 32);
    const file = join(this.#directory, name);
    const shelf: Shelf = {file, known: undefined, changes: [], writing: Promise.resolve()};
    this.#shelves.set(registry, shelf);
    return shelf;
  }

  /** Never fails: a file that cannot be read counts as empty. */
  async #read(shelf: Shelf): Promise<KnownBlobs> {
    shelf.known ??= readLines(shelf.file, 2 * this.#limit).then((lines) => new KnownBlobs(lines));
    const known = await shelf.known;
    known.addAll(shelf.changes.splice(0));
    return known;
  }

  #write(shelf: Shelf): Promise<void> {
    const write = async (): Promise<void> => {
      const fresh = (await this.#read(shelf)).takeUnwritten();
      if (fresh.length === 0) return;
      await makeFolder(this.#directory, 0o700);
      const size = await append(shelf.file, textOf(fresh));
      if (size > this.#limit) await this.#dropOldest(shelf.file);
    };
    shelf.writing = shelf.writing.then(write).catch(() => undefined);
    return shelf.writing;
  }

  /** Lines that another process adds meanwhile are lost, as entries that it has to learn again. */
  async #dropOldest(file: string): Promise<void> {
    const entries = new KnownBlobs(await readLines(file, 2 * this.#limit)).lines();
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

/** Which repositories of one registry have which blobs. */
class KnownBlobs {
  /** The blob that was seen last in another repository comes last, and so does that repository. */
  readonly #repositories = new Map<Digest, readonly RepositoryPath[]>();
  #unwritten: string[] = [];

  /** @param lines of a file */
  constructor(lines: readonly string[]) {
    for (const line of lines) this.#add(line);
  }

  /** Adds lines that are in no file. */
  addAll(lines: readonly string[]): void {
    for (const line of lines) if (this.#add(line)) this.#unwritten.push(line);
  }

  /** The lines that change what the file says, once. */
  takeUnwritten(): readonly string[] {
    const lines = this.#unwritten;
    this.#unwritten = [];
    return lines;
  }

  /** The oldest first. */
  repositories(digest: Digest): readonly RepositoryPath[] {
    return this.#repositories.get(digest) ?? [];
  }

  /** What is known, the oldest first. */
  lines(): readonly string[] {
    return [...this.#repositories].flatMap(([digest, paths]) =>
      paths.map((path) => `+ ${digest} ${path}`),
    );
  }

  /** Whether the line says anything new. Others than ours may have written to the file: what is no line is ignored. */
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

/** Never fails. The last line may be one that is being written. */
async function readLines(file: string, limit: number): Promise<readonly string[]> {
  try {
    return (await readRegular(file, limit, {noFollow: true})).toString('latin1').split('\n');
  } catch (error) {
    // Beyond any size that this program leaves: it would never be read again.
    if (error instanceof FileKindError) await removeFile(file).catch(() => undefined);
    return [];
  }
}

/** @returns the size of the file in bytes */
async function append(file: string, text: string): Promise<number> {
  await using handle = await openAppending(file);
  await handle.appendFile(text);
  return (await handle.stat()).size;
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The number of parts with which both paths begin. */
function sharedParts(a: string, b: string): number {
  const others = b.split('/');
  const differs = a.split('/').findIndex((part, at) => part !== others[at]);
  return differs < 0 ? others.length : differs;
}
