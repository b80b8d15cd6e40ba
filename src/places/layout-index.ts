import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import {FileKindError, readRegular} from '../http/regular-file.ts';
import {type JsonError, type JsonLimits, parseJson} from '../model/json.ts';
import {list, texts, z} from '../model/schema.ts';
import {TransshipError} from '../model/error.ts';
import {makeDirectory, replaceFile, syncDirectory} from './durable-file.ts';
import {isMissing, unreadable, unwritable} from './file-error.ts';
import {type FileLock, takeLock} from './file-lock.ts';
import {refuseWayOut} from './directory-files.ts';
import type {PlaceFiles} from './stored-repository.ts';

/** Far above any real layout: 100,000 tags are about 25 MB, with 8 values each. */
const INDEX_LIMITS: JsonLimits = {size: 32 * 1024 * 1024, depth: 100, values: 1_500_000};
/** How long to wait for the lock, in ms: each process holds it only for milliseconds, but many may wait for it. */
const LOCK_WAIT_MS = 60_000;
/** Maximum size of `oci-layout`, in bytes: it contains only the version. */
const LAYOUT_FILE_LIMIT = 64 * 1024;
const LAYOUT_FILE = '{"imageLayoutVersion":"1.0.0"}';

/** An entry of `index.json`; unknown members are kept. */
const entry = z.looseObject({
  mediaType: z.string(),
  digest: z.string(),
  size: z.int().nonnegative(),
  artifactType: z.string().optional(),
  annotations: texts().optional(),
});
const index = z.looseObject({manifests: list(entry).nullish()});
const layoutFile = z.object({imageLayoutVersion: z.string()});

export type IndexEntry = z.infer<typeof entry>;
type Index = z.infer<typeof index>;

/** Returns the new entries. It must be pure, since it may run long after the call. */
export type IndexChange = (entries: readonly IndexEntry[]) => readonly IndexEntry[];

const NONE: readonly IndexEntry[] = [];

interface Waiting {
  readonly change: IndexChange;
  readonly settle: PromiseWithResolvers<void>;
}

/** The `index.json` of a layout. It is read again after changes, and replaced atomically, by one process at a time. */
export class LayoutIndex {
  readonly #layout: string;
  readonly #scratch: string;
  readonly #path: string;
  /** What the file contained last, when it was read or written. */
  #cached: {readonly version: string; readonly index: Index} | undefined;
  /** `oci-layout` was seen. */
  #isKnown = false;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor(layout: string, scratch: string) {
    this.#layout = layout;
    this.#scratch = scratch;
    this.#path = join(layout, 'index.json');
  }

  /**
   * The entries; the same array until the file changes. Undefined: the directory is not a layout.
   * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
   */
  async entries(): Promise<readonly IndexEntry[] | undefined> {
    const version = await this.#version();
    if (version === undefined || !(await this.#isLayout())) return undefined;
    return (await this.#read(version)).manifests ?? NONE;
  }

  /**
   * Changes the entries, and creates the layout if necessary. Changes that are requested during a write are combined
   * into one write.
   * @throws TransshipError FILE_WRITE_FAILED, FILE_INVALID
   */
  async update(change: IndexChange): Promise<void> {
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({change, settle});
    if (this.#writing === undefined) this.#writing = this.#writeAll();
    await settle.promise;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch.map(({change}) => change));
        for (const {settle} of batch) settle.resolve();
      } catch (error) {
        for (const {settle} of batch) settle.reject(unwritable(this.#path, error));
      }
    }
    this.#writing = undefined;
  }

  async #write(changes: readonly IndexChange[]): Promise<void> {
    await refuseWayOut(this.#layout, this.#scratch, 'local');
    await makeDirectory(this.#scratch);
    await using lock = await this.#lock();
    const before = await this.#readOrNew();
    const manifests = changes.reduce<readonly IndexEntry[]>(
      (entries, change) => change(entries),
      before.manifests ?? [],
    );
    const bytes = Buffer.from(JSON.stringify({...before, manifests}));
    // Content that the new index names must be on disk first.
    for (const algorithm of ['sha256', 'sha512'])
      await syncDirectory(join(this.#layout, 'blobs', algorithm));
    if (!(await this.#isLayout()))
      await replaceFile(join(this.#layout, 'oci-layout'), Buffer.from(LAYOUT_FILE), this.#scratch);
    if (!(await lock.isHeld())) throw lockLost(this.#path);
    await replaceFile(this.#path, bytes, this.#scratch);
    await syncDirectory(this.#layout);
    // With thousands of tags, reading it again for each takes most of the time.
    const version = await this.#version();
    if (version !== undefined)
      this.#cached = {version, index: {...before, manifests: [...manifests]}};
  }

  /** @throws TransshipError FILE_WRITE_FAILED if others hold the lock for too long */
  async #lock(): Promise<FileLock> {
    const path = join(this.#scratch, 'index.lock');
    const attempt = await takeLock(path, {waitMs: LOCK_WAIT_MS});
    if (attempt.kind === 'taken') return attempt.lock;
    throw new TransshipError('FILE_WRITE_FAILED', `${attempt.owner} holds ${path}`, {
      side: 'local',
      hint: 'wait for the other run to end, then run the command again; the lock of a dead process expires',
      retry: true,
    });
  }

  async #readOrNew(): Promise<Index> {
    const version = await this.#version();
    if (version !== undefined) return await this.#read(version);
    return {schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: []};
  }

  /** Reads the file, unless it is the one that was read or written last. */
  async #read(version: string): Promise<Index> {
    if (this.#cached?.version !== version) {
      const bytes = await readSmall(this.#path, INDEX_LIMITS.size);
      this.#cached = {version, index: parse(index, bytes, this.#path)};
    }
    return this.#cached.index;
  }

  /** A stamp that changes with the file: each write creates a new file. */
  async #version(): Promise<string | undefined> {
    await refuseWayOut(this.#layout, this.#path, 'local');
    try {
      const {ino, mtimeNs, size} = await stat(this.#path, {bigint: true});
      return `${ino} ${mtimeNs} ${size}`;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(this.#path, error);
    }
  }

  async #isLayout(): Promise<boolean> {
    if (this.#isKnown) return true;
    const path = join(this.#layout, 'oci-layout');
    await refuseWayOut(this.#layout, path, 'local');
    try {
      checkVersion(await readSmall(path, LAYOUT_FILE_LIMIT), path);
      this.#isKnown = true;
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw unreadable(path, error);
    }
  }
}

/**
 * The entries of a layout in files that do not change; undefined: not a layout.
 * @throws TransshipError FILE_INVALID
 */
export async function readEntries(files: PlaceFiles): Promise<readonly IndexEntry[] | undefined> {
  const [version, content] = await Promise.all([
    files.read('oci-layout', LAYOUT_FILE_LIMIT),
    files.read('index.json', INDEX_LIMITS.size),
  ]);
  if (version === undefined || content === undefined) return undefined;
  checkVersion(sized(version, files.nameOf('oci-layout')), files.nameOf('oci-layout'));
  const name = files.nameOf('index.json');
  return parse(index, sized(content, name), name).manifests ?? [];
}

/** @throws TransshipError FILE_INVALID */
function sized(content: Uint8Array | {readonly size: number}, name: string): Uint8Array {
  if (content instanceof Uint8Array) return content;
  throw invalid(name, `it has ${content.size} bytes`);
}

/** @throws TransshipError FILE_INVALID */
function checkVersion(text: Uint8Array, name: string): void {
  const {imageLayoutVersion} = parse(layoutFile, text, name);
  if (imageLayoutVersion.startsWith('1.')) return;
  throw invalid(name, `the layout's version is ${imageLayoutVersion}`);
}

/** @throws TransshipError FILE_INVALID if it is not a regular file, or too large */
async function readSmall(path: string, limit: number): Promise<Uint8Array> {
  try {
    return await readRegular(path, limit);
  } catch (error) {
    if (error instanceof FileKindError) throw invalid(path, `it ${error.message}`, error);
    throw error;
  }
}

function parse<T>(schema: z.ZodType<T>, text: Uint8Array, path: string): T {
  let json: unknown;
  try {
    json = parseJson(text, INDEX_LIMITS);
  } catch (cause) {
    throw invalid(path, `it ${(cause as JsonError).message}`, cause);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(path, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

function invalid(path: string, why: string, cause?: unknown): TransshipError {
  return new TransshipError('FILE_INVALID', `${path} is not part of a valid OCI layout: ${why}`, {
    side: 'local',
    hint: 'name a directory that contains an OCI image layout of version 1',
    cause,
  });
}

function lockLost(path: string): TransshipError {
  return new TransshipError('FILE_WRITE_FAILED', `another process took over ${path}`, {
    side: 'local',
    hint: 'this process was suspended for a long time; run the command again',
    retry: true,
  });
}
