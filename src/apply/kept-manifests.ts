import type {FileHandle} from 'node:fs/promises';
import {openRegular} from '../http/regular-file.ts';
import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {DOCUMENT_LIMITS, readJson} from '../model/json.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import {nameOf} from '../model/place.ts';
import {hasCode} from '../places/file-error.ts';
import {type Deleted, undoEntry} from './undo-file.ts';

/** The longest line, in bytes: a manifest of 4 MiB in base64, and its names. */
const LINE_LIMIT = 8 * 1024 * 1024;
const LINE_LIMITS = {...DOCUMENT_LIMITS, size: LINE_LIMIT};
const PIECE = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * The tags that a plan deleted, and the bytes of their manifests, which are read from the file on demand, since there
 * may be many.
 */
export class KeptManifests implements AsyncDisposable {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #lines = new Map<Digest, {readonly start: number; readonly length: number}>();
  readonly #deleted = new Set<string>();

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Reads the deletions of a plan in the file. Links are not followed. An incomplete last line, left by a killed
   * process, is ignored.
   * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
   */
  static async open(file: string, plan: Digest): Promise<KeptManifests> {
    const handle = await openRegular(file, {noFollow: true}).catch((cause: unknown) => {
      throw unreadable(file, cause);
    });
    const kept = new KeptManifests(file, handle);
    try {
      await kept.#index(plan);
      return kept;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Whether a run of the plan deleted it, or was about to. */
  wasDeleted({repository, tag, digest: named}: Deleted): boolean {
    return this.#deleted.has(`${nameOf(repository, tag, named)} ${named}`);
  }

  /**
   * The manifest; undefined: not in the file.
   * @throws TransshipError FILE_INVALID if its bytes do not match the digest
   */
  async manifest(wanted: Digest): Promise<Manifest | undefined> {
    const line = this.#lines.get(wanted);
    if (line === undefined) return undefined;
    const {start, length} = line;
    const {buffer} = await this.#handle.read(Buffer.alloc(length), 0, length, start);
    const entry = readJson(buffer, undoEntry, LINE_LIMITS);
    const bytes = entry?.type === 'manifest' ? Buffer.from(entry.bytes, 'base64') : undefined;
    const isWhole = bytes !== undefined && digestOf(bytes, algorithmOf(wanted)) === wanted;
    if (entry?.type !== 'manifest' || !isWhole)
      throw invalid(`the undo file ${this.#file} has other bytes for ${wanted}`);
    return parseManifest(bytes, entry.mediaType, wanted, 'local');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  async #index(plan: Digest): Promise<void> {
    let number = 0;
    for await (const {start, line} of linesOf(this.#handle, this.#file)) {
      number += 1;
      if (line.byteLength === 0) continue;
      const entry = readJson(line, undoEntry, LINE_LIMITS);
      // The rest of a line that a killed process did not finish.
      if (entry === undefined) continue;
      if (entry.type === 'manifest')
        this.#lines.set(entry.digest, {start, length: line.byteLength});
      else if (entry.plan === plan)
        this.#deleted.add(`${nameOf(entry.repository, entry.tag, entry.digest)} ${entry.digest}`);
    }
    if (number > 0 && this.#lines.size === 0) throw invalid(`${this.#file} is not an undo file`);
  }
}

async function* linesOf(
  handle: FileHandle,
  file: string,
): AsyncGenerator<{readonly start: number; readonly line: Uint8Array}> {
  let start = 0;
  let rest = Buffer.alloc(0);
  const memory = Buffer.alloc(PIECE);
  for (let at = 0; ; ) {
    const {bytesRead} = await handle.read(memory, 0, PIECE, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    rest = Buffer.concat([rest, memory.subarray(0, bytesRead)]);
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      yield {start, line: rest.subarray(0, end)};
      start += end + 1;
      rest = rest.subarray(end + 1);
    }
    if (rest.byteLength > LINE_LIMIT) throw invalid(`${file} is not an undo file`);
  }
}

function unreadable(file: string, cause: unknown): TransshipError {
  const why = hasCode(cause, 'ENOENT')
    ? 'it does not exist'
    : cause instanceof Error
      ? cause.message
      : String(cause);
  return new TransshipError('FILE_UNREADABLE', `cannot read the undo file ${file}: ${why}`, {
    side: 'local',
    hint: 'name the file that "transship apply" wrote, with --undo',
    cause,
  });
}

function invalid(message: string): TransshipError {
  return new TransshipError('FILE_INVALID', message, {
    side: 'local',
    hint: 'name the file that "transship apply" wrote, with --undo',
  });
}
