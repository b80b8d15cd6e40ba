import type {FileHandle} from 'node:fs/promises';
import {openAppending} from '../http/regular-file.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {printableJsonText} from '../model/json.ts';
import type {Side} from '../model/error.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import {asUnreadable} from '../observe/inventory.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {type Counted, ImageLimit, TotalLimit} from '../observe/manifest-limits.ts';
import type {DeleteStep} from '../model/plan.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {isTag} from '../model/reference.ts';
import {z} from '../model/schema.ts';
import {writeFailed} from './journal-file.ts';

const digest = z.string().refine(isDigest, {error: 'not a digest'});

/** One line of the file. Lines are only appended; the manifests of a tag precede it. */
export const undoEntry = z.discriminatedUnion('type', [
  z.object({type: z.literal('manifest'), digest, mediaType: z.string(), bytes: z.base64()}),
  /** A tag that is about to be deleted. */
  z.object({
    type: z.literal('deleted'),
    plan: digest,
    repository: z.string(),
    tag: z.string().refine(isTag, {error: 'not a tag'}).optional(),
    digest,
    at: z.iso.datetime(),
  }),
]);
type UndoEntry = z.infer<typeof undoEntry>;

/** The object of a deletion. */
export type Deleted = Pick<DeleteStep, 'repository' | 'tag' | 'digest'>;

/** Keeps the data to restore deleted tags. */
export interface UndoLog {
  /** Whether a manifest is kept already, with all below it. */
  has(manifest: Digest): boolean;
  /** Writes a manifest. It is kept only from `keep` on. @throws TransshipError JOURNAL_WRITE_FAILED */
  write(manifest: Manifest): Promise<void>;
  /**
   * Resolves when everything is on disk.
   * @param written the deleted manifests and those below them, unless they are already kept
   * @throws TransshipError JOURNAL_WRITE_FAILED
   */
  keep(deleted: readonly Deleted[], written: readonly Digest[]): Promise<void>;
}

/** The limits of what is kept of one repository. */
export interface UndoLimits {
  readonly of: Counted;
  readonly total: TotalLimit;
}

/** @param name of the repository */
export function undoLimits(name: string, side: Side): UndoLimits {
  const hint = 'leave this image out, or run apply with --no-undo, which cannot be rolled back';
  const of = {name, side, hint};
  return {of, total: new TotalLimit(of)};
}

/** Manifests below an index that are read concurrently. */
const READ_CONCURRENCY = 4;

/**
 * Writes a manifest to delete and those below it, as far as they exist and are not kept yet: one after the other, since
 * they may have many MiB.
 * @param root undefined: it does not exist
 * @returns the digests of what was written
 * @throws TransshipError MANIFEST_INVALID, MANIFEST_TOO_LARGE or RESPONSE_INVALID beyond the limits; refusals of the
 *   registry; JOURNAL_WRITE_FAILED
 */
export async function writeUnkept(
  repository: RepositoryReader,
  root: Manifest | undefined,
  undo: UndoLog,
  {of, total}: UndoLimits,
  call: Call,
): Promise<readonly Digest[]> {
  if (root === undefined || undo.has(root.descriptor.digest)) return [];
  total.image();
  const limit = new ImageLimit(of, root.descriptor.digest);
  const written = new Set<Digest>();
  const write = async (manifest: Manifest): Promise<readonly Digest[]> => {
    written.add(manifest.descriptor.digest);
    limit.add(manifest.descriptor);
    total.add(manifest.descriptor.size);
    await undo.write(manifest);
    return childManifests(manifest.view).map((child) => child.digest);
  };
  let level = await write(root);
  while (level.length > 0) {
    limit.descend();
    const wanted = [...new Set(level)].filter((child) => !written.has(child) && !undo.has(child));
    const below = await mapAtOnce(wanted, READ_CONCURRENCY, async (child) => {
      const manifest = await readableManifest(repository, child, call);
      return manifest === undefined ? [] : await write(manifest);
    });
    level = below.flat();
  }
  return [...written];
}

/**
 * Reads a manifest; undefined: it is damaged, so it cannot be restored.
 * @throws TransshipError the registry's refusals
 */
export async function readableManifest(
  repository: RepositoryReader,
  wanted: Digest,
  call: Call,
): Promise<Manifest | undefined> {
  try {
    return await repository.getManifest(wanted, call);
  } catch (error) {
    asUnreadable(error);
    return undefined;
  }
}

/** The default undo file of a plan, unless `--undo` names another. */
export function undoBeside(planFile: string): string {
  return `${planFile.replace(/(?:\.plan)?\.json$/, '')}.undo.ndjson`;
}

const NEWLINE = 0x0a;

/** Appends to the undo file of a plan, or creates it. */
export class UndoFile implements UndoLog, AsyncDisposable {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #plan: Digest;
  readonly #now: () => Date;
  readonly #kept = new Set<Digest>();
  #last: Promise<void> = Promise.resolve();

  private constructor(file: string, handle: FileHandle, plan: Digest, now: () => Date) {
    this.#file = file;
    this.#handle = handle;
    this.#plan = plan;
    this.#now = now;
  }

  /** @throws TransshipError JOURNAL_WRITE_FAILED */
  static async open(file: string, plan: Digest, now: () => Date): Promise<UndoFile> {
    try {
      const handle = await openAppending(file);
      await endLine(handle);
      return new UndoFile(file, handle, plan, now);
    } catch (error) {
      throw writeFailed(file, error, 'undo file');
    }
  }

  has(manifest: Digest): boolean {
    return this.#kept.has(manifest);
  }

  async write({descriptor: {digest: named, mediaType}, bytes}: Manifest): Promise<void> {
    const text = Buffer.from(bytes).toString('base64');
    await this.#append([{type: 'manifest', digest: named, mediaType, bytes: text}]);
  }

  async keep(deleted: readonly Deleted[], written: readonly Digest[]): Promise<void> {
    const at = this.#now().toISOString();
    const entries = deleted.map(
      ({repository, tag, digest: named}): UndoEntry => ({
        type: 'deleted',
        plan: this.#plan,
        repository,
        ...(tag === undefined ? {} : {tag}),
        digest: named,
        at,
      }),
    );
    await this.#append(entries, true);
    for (const one of written) this.#kept.add(one);
  }

  /** One after the other, so that lines are not interleaved. */
  async #append(entries: readonly UndoEntry[], isSynced = false): Promise<void> {
    const text = entries.map((entry) => `${printableJsonText(JSON.stringify(entry))}\n`).join('');
    const written = this.#last.then(() => this.#write(text, isSynced));
    this.#last = written.catch(() => undefined);
    await written;
  }

  async #write(text: string, isSynced: boolean): Promise<void> {
    try {
      await this.#handle.appendFile(text);
      if (isSynced) await this.#handle.datasync();
    } catch (error) {
      throw writeFailed(this.#file, error, 'undo file');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#handle.close();
  }
}

/** Ends an incomplete last line, left by a killed process, so that it does not absorb the next one. */
async function endLine(handle: FileHandle): Promise<void> {
  const {size} = await handle.stat();
  if (size === 0) return;
  const {buffer} = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  if (buffer[0] !== NEWLINE) await handle.appendFile('\n');
}
