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
import {shellWord} from '../model/shell-word.ts';

const digest = z.string().refine(isDigest, {error: 'not a digest'});
const tag = z.string().refine(isTag, {error: 'not a tag'});
const policy = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
/** The project's ID in GitLab. */
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
/** For people. Journals of earlier versions do not contain them. */
const times = {
  /** The time of its end. */
  at: z.iso.datetime().optional(),
  /** Its duration in this run, in ms. */
  ms: z.int().nonnegative().optional(),
};
/** A line of the journal. Lines are only appended; the last entry about something is valid. */
export const journalEntry = z.discriminatedUnion('type', [
  /** The beginning of a run of `apply`. The first line of a journal identifies the plan. */
  z.object({
    type: z.literal('run'),
    plan: digest,
    at: z.iso.datetime(),
    /** Transfers only: information for other plans to find the transfer, and for commands that continue it. */
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
  /** The state of an upload, sufficient to resume it in another process. */
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
    /** The bytes that this run sent, if it was copied. */
    bytes: z.int().nonnegative().optional(),
    /** The number of retries; absent: none. */
    retries: z.int().positive().optional(),
  }),
  z.object({
    type: z.literal('step'),
    id: z.string(),
    outcome: z.enum(['done', 'present', 'failed', 'blocked']),
    ...times,
    error: errorData.optional(),
  }),
  /** A retry of a blob or a manifest. For people; each run records only the first 1,000. */
  z.object({
    type: z.literal('retry'),
    at: z.iso.datetime(),
    what: z.string(),
    /** The delay before the retry, in ms. */
    delayMs: z.number().nonnegative(),
    code: z.string(),
    side,
  }),
  /**
   * Written before a tag at the old path of a transfer is deleted. If that journal is lost: the tag is gone, and the
   * donor has it.
   */
  z.object({type: z.literal('delete'), project, repository: z.string(), tag, digest}),
  /**
   * Written before a copy plan deletes a tag, or a referrer without a tag. For people: a run reads the registry, and
   * does not trust the journal.
   */
  z.object({type: z.literal('deleting'), repository: z.string(), tag: tag.optional(), digest}),
  /** The tag was not deleted after all, or was restored. */
  z.object({type: z.literal('kept'), project, repository: z.string(), tag}),
  /**
   * Written before the cleanup policy of the moved project or of its donor is disabled, with the policy at that time.
   */
  z.object({type: z.literal('pause'), project, policy}),
  /** The policy was restored, or somebody enabled it. */
  z.object({type: z.literal('resume'), project}),
  /** A tag that was created or changed after planning is included in the move. */
  z.object({type: z.literal('adopt'), project, repository: z.string(), tag}),
  /** GitLab did not move the images of a project itself: from now on, they are moved by way of the donor. */
  z.object({type: z.literal('fallback'), project}),
  /**
   * Written before the plan creates something for its donor, and for a project again with its ID: only that is ever
   * removed. `place` is a directory or a layout as in the plan, or the full path of the project.
   */
  z.object({
    type: z.literal('made'),
    what: z.enum(['directory', 'project']),
    place: z.string(),
    /** The end of the project's description, which identifies the project if the response with its ID is lost. */
    mark: z.string().optional(),
    id: z.int().positive().optional(),
  }),
  /** The beginning of a rollback of a project: its earlier steps are no longer valid. */
  z.object({type: z.literal('rollback'), project}),
  /** The run has finished a project. `done`: it is at its new path with all images, or as before. */
  z.object({type: z.literal('project-end'), project, result: runEnd}),
  z.object({type: z.literal('end'), result: runEnd, at: z.iso.datetime()}),
]);

export type JournalEntry = z.infer<typeof journalEntry>;

/** The entries on which the steps of a transfer depend, besides what they observe. */
export type TransferEntry = Exclude<
  JournalEntry,
  {type: 'upload' | 'blob' | 'step' | 'retry' | 'deleting'}
>;

export function isTransferEntry(entry: JournalEntry): entry is TransferEntry {
  return !['upload', 'blob', 'step', 'retry', 'deleting'].includes(entry.type);
}

/** The maximum size of a journal, in bytes. An entry has about 300. */
const FILE_LIMIT = 64 * 1024 * 1024;
/** All entries are kept in memory. */
const ENTRY_LIMIT = 250_000;
const NEWLINE = 0x0a;

/** The default journal of a plan, or of a shard of it. */
export function journalBeside(planFile: string, shard?: Shard): string {
  const part = shard === undefined ? '' : `.${shard.index}-of-${shard.total}`;
  return `${withoutEnding(planFile)}${part}.journal.ndjson`;
}

/** Whether a file name is that of the journal of a shard of this plan. */
export function isShardJournal(file: string, planFile: string): boolean {
  const [name, plan] = [resolvePath(file), resolvePath(withoutEnding(planFile))];
  return name.startsWith(plan) && /^\.\d+-of-\d+\.journal\.ndjson$/.test(name.slice(plan.length));
}

function withoutEnding(planFile: string): string {
  return planFile.replace(/(?:\.plan)?\.json$/, '');
}

/**
 * A plan as command-line arguments: its file, its shard, and a flag for its journal, unless that is beside the plan.
 */
export function planArguments(planFile: string, journal: string, shard?: Shard): string {
  const part = shard === undefined ? '' : ` --shard ${shard.index}/${shard.total}`;
  const isBeside = resolvePath(journal) === resolvePath(journalBeside(planFile, shard));
  return isBeside
    ? `${shellWord(planFile)}${part}`
    : `${shellWord(planFile)}${part} --journal ${shellWord(journal)}`;
}

/**
 * Reads a journal. Links are not followed, because somebody else may have created them. An incomplete last line, left
 * by a killed process, is ignored.
 * @returns no entries if the file does not exist
 * @throws TransshipError JOURNAL_INVALID with the line
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

/** The maximum delay before a note is written, in ms. */
const NOTE_MS = 50;

interface Line {
  readonly text: string;
  /** Absent: a note, for which nobody waits. */
  readonly settle?: {resolve(): void; reject(reason: Error): void};
}

/**
 * Appends lines to a journal, in order. Lines that arrive while the disk is busy are written together, so that many
 * small steps do not wait for one flush each.
 */
export class JournalWriter implements AsyncDisposable {
  readonly #file: string;
  readonly #handle: FileHandle;
  #waiting: Line[] = [];
  #flushing: Promise<void> | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  /**
   * Set after a failed write: the file may end with an incomplete line, and appending to it would damage the journal.
   */
  #broken: TransshipError | undefined;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Opens the journal for appending, and reads its entries. An incomplete last line is removed.
   * @throws TransshipError JOURNAL_INVALID, JOURNAL_WRITE_FAILED
   */
  static async open(
    file: string,
  ): Promise<{writer: JournalWriter; entries: readonly JournalEntry[]}> {
    const {entries, wholeBytes} = await readWhole(file);
    try {
      // The journal contains URLs of uploads, which other users must not read.
      const handle = await openAppending(file);
      if ((await handle.stat()).size > wholeBytes) await handle.truncate(wholeBytes);
      return {writer: new JournalWriter(file, handle), entries};
    } catch (error) {
      throw writeFailed(file, error);
    }
  }

  /**
   * Resolves when the entry and all before it are on disk.
   * @throws TransshipError JOURNAL_WRITE_FAILED, for example if the disk is full
   */
  append(entry: JournalEntry): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({text: textOf(entry), settle: {resolve, reject}});
      void this.#flushed();
    });
  }

  /**
   * Writes an entry soon. It is lost if the process is killed before.
   * @throws TransshipError JOURNAL_WRITE_FAILED if an earlier entry could not be written
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

/** Whether an error means that the journal cannot be written, in which case the run must stop. */
export function isJournalFailure(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'JOURNAL_WRITE_FAILED';
}

/** @param what the kind of file */
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
