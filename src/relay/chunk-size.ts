const MiB = 1024 * 1024;

/** Bounds of a chunk in bytes. */
export interface ChunkBounds {
  readonly min: number;
  readonly max: number;
}

export const DEFAULT_CHUNK: ChunkBounds = {min: 16 * MiB, max: 64 * MiB};

/**
 * Target duration of a chunk at the measured rate, in ms: long compared with a round trip, short compared with a token
 * lifetime of five minutes.
 */
const AIM_MS = 4_000;
/** Maximum duration of a chunk, in ms: a fifth of the shortest usual token lifetime (GitLab: 5 min). */
const LONGEST_MS = 60_000;
/** The minimum size after failures, in bytes. */
const FLOOR = 16 * 1024;

/**
 * Chooses the size of upload chunks for one registry from measurements. Larger chunks need fewer round trips; smaller
 * ones lose less when a connection breaks. At most one chunk is sent again.
 */
export class ChunkSize {
  readonly #bounds: ChunkBounds;
  #ceiling: number;
  /** Bytes per ms of the latest chunks. */
  #rate: number | undefined;
  #acceptsChunks = true;

  /** @param limitRate the rate limit of the run, in bytes per second */
  constructor(bounds: ChunkBounds = DEFAULT_CHUNK, limitRate?: number) {
    this.#bounds = bounds;
    this.#ceiling = bounds.max;
    if (limitRate !== undefined) this.#rate = limitRate / 1000;
  }

  /**
   * The size of the next chunk in bytes; Infinity if the registry does not accept chunks.
   * @param minChunk the registry's minimum (OCI-Chunk-Min-Length), in bytes
   * @param failures consecutive failures of this upload. Each but the first halves the size: connections may break
   *   before a whole chunk is sent, or a proxy may close the connection so early that its 413 is lost
   */
  next(minChunk = 0, failures = 0): number {
    if (!this.#acceptsChunks) return Infinity;
    const {min} = this.#bounds;
    const wanted = this.#rate === undefined ? min : Math.max(min, this.#rate * AIM_MS);
    const longest = this.#rate === undefined ? Infinity : this.#rate * LONGEST_MS;
    const size = Math.min(wanted, longest, this.#ceiling);
    const least = Math.min(FLOOR, this.#ceiling);
    return Math.max(Math.floor(size / 2 ** Math.max(0, failures - 1)), least, minChunk);
  }

  /** Records how long a chunk took. A short last chunk of a blob is ignored. */
  measured(bytes: number, ms: number): void {
    const rate = bytes / Math.max(ms, 1);
    this.#rate = this.#rate === undefined ? rate : (this.#rate + rate) / 2;
  }

  /**
   * Records that a proxy answered 413 to a chunk of `size` bytes: the size is halved from now on.
   * @returns false if the size cannot be reduced further
   */
  refused(size: number): boolean {
    if (size <= FLOOR || !this.#acceptsChunks) return false;
    this.#ceiling = Math.max(FLOOR, Math.min(this.#ceiling, Math.floor(size / 2)));
    return true;
  }

  /** Records that chunks do not work at this registry: blobs of any size are sent in one request from now on. */
  unsupported(): void {
    this.#acceptsChunks = false;
  }
}
