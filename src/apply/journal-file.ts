import {z} from '../model/schema.ts';
import {isDigest} from '../model/digest.ts';
import {isTag} from '../model/reference.ts';
import type {FileHandle} from 'node:fs/promises';
import {resolve as resolvePath} from 'node:path';
import {hasCode, isMissing} from '../places/file-error.ts';
import {openAppending, readRegular} from '../http/regular-file.ts';
import {printableJsonText, readJson} from '../model/json.ts';
import {TransshipError} from '../model/error.ts';
import type {Shard} from '../model/outcome.ts';

const digest = z.string().refine(isDigest, {error: 'not a digest'});
const tag = z.string().refine(isTag, {error: 'not a tag'});
const policy = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
/** GitLab's ID of a project. */
const project = z.int().positive();
const runEnd = z.enum(['done', 'incomplete', 'failed', 'interrupted', 'drift']);
const side = z.enum(['source', 'destination', 'gitlab', 'local']);
const errorData = z.object({
  code: z.string(),
  side,
  retry: z.boolean().default(false),
  message: z.string(),
  hint: z.string(),
});
/** For people. Journals of earlier versions do not have them. */
const times = {
  /** When it ended. */
  at: z.iso.datetime().optional(),
  /** How long it took from its beginning in this run, in ms. */
  ms: z.int().nonnegative().optional(),
};
/** One line of the journal. A line is only ever added; the latest word on a thing counts. */
export const journalEntry = z.discriminatedUnion('type', [
  /** A run of `apply` began. The first line of a journal says whose it is. */
  z.object({
    type: z.literal('run'),
    plan: digest,
    at: z.iso.datetime(),
    /** Of a plan of transfers: what others need to know to find it, and to name the commands that work. */
    transfer: z
      .object({
        gitlab: z.string(),
        planFile: z.string(),
        projects: z
          .array(z.object({id: project, from: z.string(), to: z.string(), donor: z.string()}))
          .min(1),
      })
      .optional(),
  }),
  /** Where an upload stands: enough to go on with it in another process. */
  z.object({
    type: z.literal('upload'),
    digest,
    to: z.string(),
    location: z.string(),
    offset: z.int().nonnegative(),
    minChunk: z.int().positive().optional(),
  }),
  z.object({
    type: z.literal('blob'),
    digest,
    to: z.string(),
    outcome: z.enum(['copied', 'mounted', 'present']),
    ...times,
    /** Bytes that this run sent, if it was copied. */
    bytes: z.int().nonnegative().optional(),
    /** How often it was tried again; absent: never. */
    retries: z.int().positive().optional(),
  }),
  z.object({
    type: z.literal('step'),
    id: z.string(),
    outcome: z.enum(['done', 'present', 'failed', 'blocked']),
    ...times,
    error: errorData.optional(),
  }),
  /** A blob or a manifest is tried again. For people; each run writes the first 1,000. */
  z.object({
    type: z.literal('retry'),
    at: z.iso.datetime(),
    what: z.string(),
    /** How long it waits before. */
    delayMs: z.number().nonnegative(),
    code: z.string(),
    side,
  }),
  /**
   * A tag at the old path of a transfer is about to be deleted; written before it is. Or, where that journal is lost:
   * it is gone, and the donor has it.
   */
  z.object({type: z.literal('delete'), project, repository: z.string(), tag, digest}),
  /**
   * A tag, or a referrer without one, is about to be deleted by a plan of copies; written before it is. For people: a
   * run asks the registry what is there, and believes no journal.
   */
  z.object({type: z.literal('deleting'), repository: z.string(), tag: tag.optional(), digest}),
  /** It was not deleted after all, or is there again. */
  z.object({type: z.literal('kept'), project, repository: z.string(), tag}),
  /**
   * The cleanup policy of a project, the one that moves or its donor, is about to be switched off; as it was before.
   */
  z.object({type: z.literal('pause'), project, policy}),
  /** It was put back as it was, or somebody switched it on. */
  z.object({type: z.literal('resume'), project}),
  /** A tag that came or moved after planning is taken along. */
  z.object({type: z.literal('adopt'), project, repository: z.string(), tag}),
  /** GitLab did not move the images of a project itself: from now on they go by way of the donor. */
  z.object({type: z.literal('fallback'), project}),
  /**
   * What this plan makes for its donor: only that is ever removed. Written before it is made; of a project once more
   * with its id. `place` is a directory or a layout as the plan names them, or the full path of the project.
   */
  z.object({
    type: z.literal('made'),
    what: z.enum(['directory', 'project']),
    place: z.string(),
    /** What the project's description ends with: it tells whose it is where the answer with its id got lost. */
    mark: z.string().optional(),
    id: z.int().positive().optional(),
  }),
  /** What follows takes a project back: what its steps before did no longer counts. */
  z.object({type: z.literal('rollback'), project}),
  /** A run is through with a project. `done`: it is at its new path with all images, or as before. */
  z.object({type: z.literal('project-end'), project, result: runEnd}),
  z.object({type: z.literal('end'), result: runEnd, at: z.iso.datetime()}),
]);

export type JournalEntry = z.infer<typeof journalEntry>;

/** What the steps of a transfer go by, beside what they find. */
export type TransferEntry = Exclude<
  JournalEntry,
  {type: 'upload' | 'blob' | 'step' | 'retry' | 'deleting'}
>;

export function isTransferEntry(entry: JournalEntry): entry is TransferEntry {
  return !['upload', 'blob', 'step', 'retry', 'deleting'].includes(entry.type);
}

/** The largest journal, in bytes: an entry has some 300. */
const FILE_LIMIT = 64 * 1024 * 1024;
/** All entries are held in memory. */
const ENTRY_LIMIT = 250_000;
const NEWLINE = 0x0a;

/** The journal of a plan, or of a shard of it, where nobody names another with `--journal`. */
export function journalBeside(planFile: string, shard?: Shard): string {
  const part = shard === undefined ? '' : `.${shard.index}-of-${shard.total}`;
  return `${withoutEnding(planFile)}${part}.journal.ndjson`;
}

/** Whether a file is named as the journal of a shard of this plan. */
export function isShardJournal(file: string, planFile: string): boolean {
  const [name, plan] = [resolvePath(file), resolvePath(withoutEnding(planFile))];
  return name.startsWith(plan) && /^\.\d+-of-\d+\.journal\.ndjson$/.test(name.slice(plan.length));
}

function withoutEnding(planFile: string): string {
  return planFile.replace(/(?:\.plan)?\.json$/, '');
}

/** A plan as commands take it: its file, its shard, and the flag for its journal where that is not beside it. */
export function planArguments(planFile: string, journal: string, shard?: Shard): string {
  const part = shard === undefined ? '' : ` --shard ${shard.index}/${shard.total}`;
  const isBeside = resolvePath(journal) === resolvePath(journalBeside(planFile, shard));
  return isBeside ? `${planFile}${part}` : `${planFile}${part} --journal ${journal}`;
}

/**
 * Reads a journal. No link is followed: somebody else may have put it there. A last line without its end was being
 * written when the process was killed: it is not counted.
 * @returns no entries where there is no file
 * @throws TransshipError JOURNAL_INVALID naming the line
 */
export async function readJournal(file: string): Promise<readonly JournalEntry[]> {
  return (await readWhole(file)).entries;
}

async function readWhole(file: string): Promise<{entries: JournalEntry[]; wholeBytes: number}> {
  let bytes: Buffer;
  try {
    bytes = await readRegular(file, FILE_LIMIT, {noFollow: true});
  } catch (error) {
    if (isMissing(error)) return {entries: [], wholeBytes: 0};
    const why = error instanceof Error ? error.message : String(error);
    throw new TransshipError('JOURNAL_INVALID', `the journal ${file} cannot be read: ${why}`, {
      side: 'local',
      hint: 'check its permissions, or name another file with --journal',
      cause: error,
    });
  }
  const entries: JournalEntry[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    if (entries.length === ENTRY_LIMIT)
      throw invalid(`the journal ${file} has more than ${ENTRY_LIMIT} entries`);
    entries.push(parseLine(bytes.subarray(start, end), file, entries.length + 1));
    start = end + 1;
  }
  return {entries, wholeBytes: start};
}

function parseLine(line: Uint8Array, file: string, number: number): JournalEntry {
  const entry = readJson(line, journalEntry);
  if (entry !== undefined) return entry;
  throw invalid(`line ${number} of the journal ${file} is not a journal entry`);
}

function invalid(message: string): TransshipError {
  return new TransshipError('JOURNAL_INVALID', message, {
    side: 'local',
    hint: 'move the file away; completed work is found at the destination, and only partly sent blobs start again',
  });
}

/** A note is in the file this long after it was made at the latest, in ms. */
const NOTE_MS = 50;

interface Line {
  readonly text: string;
  /** Absent: a note, which nobody waits for. */
  readonly settle?: {resolve(): void; reject(reason: Error): void};
}

/**
 * Adds lines to a journal, in the order they come. Lines that come while the disk is busy are written together, so
 * that many small steps do not wait for one flush each.
 */
export class JournalWriter implements AsyncDisposable {
  readonly #file: string;
  readonly #handle: FileHandle;
  #waiting: Line[] = [];
  #flushing: Promise<void> | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  /** Half a line may stand at the end by now: to add to it would spoil the journal for good. */
  #broken: TransshipError | undefined;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Opens the journal for adding, with what is in it. A half-written last line is cut off.
   * @throws TransshipError JOURNAL_INVALID, JOURNAL_WRITE_FAILED
   */
  static async open(
    file: string,
  ): Promise<{writer: JournalWriter; entries: readonly JournalEntry[]}> {
    const {entries, wholeBytes} = await readWhole(file);
    try {
      // It names upload locations, which are nobody else's business.
      const handle = await openAppending(file);
      if ((await handle.stat()).size > wholeBytes) await handle.truncate(wholeBytes);
      return {writer: new JournalWriter(file, handle), entries};
    } catch (error) {
      throw writeFailed(file, error);
    }
  }

  /**
   * Resolves when the entry, and all before it, are on the disk.
   * @throws TransshipError JOURNAL_WRITE_FAILED, for instance when the disk is full
   */
  append(entry: JournalEntry): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({text: textOf(entry), settle: {resolve, reject}});
      void this.#flushed();
    });
  }

  /**
   * Takes an entry to be written soon, which whoever kills the process may prevent.
   * @throws TransshipError JOURNAL_WRITE_FAILED where an earlier entry could not be written
   */
  note(entry: JournalEntry): void {
    if (this.#broken) throw this.#broken;
    this.#waiting.push({text: textOf(entry)});
    this.#noteTimer ??= setTimeout(() => {
      this.#noteTimer = undefined;
      void this.#flushed();
    }, NOTE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flushed();
    clearTimeout(this.#noteTimer);
    await this.#handle.close();
  }

  /** Never rejects. */
  async #flushed(): Promise<void> {
    if (this.#waiting.length > 0) this.#flushing ??= this.#flush();
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#noteTimer);
    this.#noteTimer = undefined;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#broken) throw this.#broken;
        await this.#handle.appendFile(batch.map(({text}) => text).join(''));
        if (batch.some(({settle}) => settle !== undefined)) await this.#handle.datasync();
        for (const {settle} of batch) settle?.resolve();
      } catch (error) {
        this.#broken ??= writeFailed(this.#file, error);
        for (const {settle} of batch) settle?.reject(this.#broken);
      }
    }
    this.#flushing = undefined;
  }
}

function textOf(entry: JournalEntry): string {
  return `${printableJsonText(JSON.stringify(entry))}\n`;
}

/** Without a journal nothing more may be done: the run ends. */
export function isJournalFailure(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'JOURNAL_WRITE_FAILED';
}

/** @param what kind of file it is */
export function writeFailed(file: string, cause: unknown, what = 'journal'): TransshipError {
  const full = hasCode(cause, 'ENOSPC') || hasCode(cause, 'EDQUOT');
  return new TransshipError(
    'JOURNAL_WRITE_FAILED',
    `the ${what} ${file} cannot be written${full ? ': the disk is full' : `: ${String(cause)}`}`,
    {
      side: 'local',
      hint: full
        ? 'free some space, then apply again to resume'
        : `name a file in a writable directory with --${what.split(' ')[0]}`,
      cause,
    },
  );
}
