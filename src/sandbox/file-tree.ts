/** A part of a file in bytes: from `start` up to, not including, `end`. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/**
 * What the sandbox keeps its content in: files in folders, in memory or on disk. Paths are relative, joined by `/`,
 * and made of parts that were checked before (digests, repository names, tags, upload ids).
 */
export interface FileTree {
  /** The size in bytes; undefined: there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** A small file as a whole; undefined: there is no such file. */
  load(path: string): Promise<Uint8Array | undefined>;
  /** Part of a file, opened when it is first asked for bytes. The file must be there. */
  read(path: string, slice: Slice): AsyncIterable<Uint8Array>;
  /** Writes a small file anew, in one step: readers see the old bytes or the new ones. */
  store(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends a body, making the file if need be. When the body breaks off, what had arrived is kept and the error is thrown. */
  append(path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  /** Moves a file in one step, over another one if need be. */
  move(from: string, to: string): Promise<void>;
  /** False: there was no such file. */
  remove(path: string): Promise<boolean>;
  /** The names of the files and folders in a folder, in no order; none where there is no such folder. */
  list(path: string): Promise<readonly string[]>;
}
