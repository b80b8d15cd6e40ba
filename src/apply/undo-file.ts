import type {FileHandle} from 'node:fs/promises';
import {openAppending} from '../http/regular-file.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {printableJsonText} from '../model/json.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import {asUnreadable} from '../observe/inventory.ts';
import {mapAtOnce} from '../observe/at-once.ts';
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
  /** Whether the bytes of a manifest are kept already. */
  has(manifest: Digest): boolean;
  /**
   * Resolves when everything is on disk.
   * @param manifests the deleted manifests and those below them, unless they are already kept
   * @throws TransshipError JOURNAL_WRITE_FAILED
   */
  keep(deleted: readonly Deleted[], manifests: readonly Manifest[]): Promise<void>;
}

/** Manifests below an index that are read concurrently. */
const READ_CONCURRENCY = 4;

/**
 * A manifest to delete and those below it, as far as they exist and are not kept yet.
 * @param root undefined: it does not exist
 */
export async function unkeptManifests(
  repository: RepositoryReader,
  root: Manifest | undefined,
  undo: UndoLog,
  call: Call,
): Promise<readonly Manifest[]> {
  const found = new Map<Digest, Manifest>();
  let level = root === undefined ? [] : [root];
  while (level.length > 0) {
    const fresh = level.filter(({descriptor}) => !undo.has(descriptor.digest));
    for (const manifest of fresh) found.set(manifest.descriptor.digest, manifest);
    const children = new Set(
      fresh.flatMap(({view}) => childManifests(view).map((child) => child.digest)),
    );
    const wanted = [...children].filter((child) => !found.has(child) && !undo.has(child));
    const read = await mapAtOnce(wanted, READ_CONCURRENCY, (child) =>
      readableManifest(repository, child, call),
    );
    level = read.filter((manifest) => manifest !== undefined);
  }
  return [...found.values()];
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

  async keep(deleted: readonly Deleted[], manifests: readonly Manifest[]): Promise<void> {
    const at = this.#now().toISOString();
    const entries: UndoEntry[] = [
      ...manifests.map(({descriptor, bytes}) => ({
        type: 'manifest' as const,
        digest: descriptor.digest,
        mediaType: descriptor.mediaType,
        bytes: Buffer.from(bytes).toString('base64'),
      })),
      ...deleted.map(({repository, tag, digest: named}) => ({
        type: 'deleted' as const,
        plan: this.#plan,
        repository,
        ...(tag === undefined ? {} : {tag}),
        digest: named,
        at,
      })),
    ];
    const text = entries.map((entry) => `${printableJsonText(JSON.stringify(entry))}\n`).join('');
    // One after the other, so that lines are not interleaved.
    const written = this.#last.then(() => this.#append(text));
    this.#last = written.catch(() => undefined);
    await written;
    for (const {descriptor} of manifests) this.#kept.add(descriptor.digest);
  }

  async #append(text: string): Promise<void> {
    try {
      await this.#handle.appendFile(text);
      await this.#handle.datasync();
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
