const MiB = 1024 * 1024;

/** Bounds of a chunk in bytes. */
export interface ChunkBounds {
  readonly min: number;
  readonly max: number;
}

export const DEFAULT_CHUNK: ChunkBounds = {min: 16 * MiB, max: 64 * MiB};

/** What a chunk should take at the measured rate: long against a round trip, short against a token's five minutes. */
const AIM_MS = 4_000;
/** No chunk should take longer than this: a fifth of the shortest usual token life (GitLab: 5 min). */
const LONGEST_MS = 60_000;
/** The least that failures can make us go down to. */
const FLOOR = 16 * 1024;

/**
 * Chooses the size of upload chunks for one registry from what it saw there. A larger chunk costs fewer round trips, a
 * smaller one loses less when the line breaks; what is sent again is never more than one.
 */
export class ChunkSize {
  readonly #bounds: ChunkBounds;
  #ceiling: number;
  /** Bytes per ms of the latest chunks. */
  #rate: number | undefined;
  #takesChunks = true;

  /** @param limitRate the most that will ever be sent, in bytes per second */
  constructor(bounds: ChunkBounds = DEFAULT_CHUNK, limitRate?: number) {
    this.#bounds = bounds;
    this.#ceiling = bounds.max;
    if (limitRate !== undefined) this.#rate = limitRate / 1000;
  }

  /**
   * The size of the next chunk in bytes; Infinity where the registry does not take chunks.
   * @param minChunk what the registry asks for (OCI-Chunk-Min-Length), in bytes
   * @param failures of this upload in a row: each but the first halves the size, for a line that breaks before a whole
   *   chunk is through, and for a proxy whose 413 is lost because it hangs up at once
   */
  next(minChunk = 0, failures = 0): number {
    if (!this.#takesChunks) return Infinity;
    const {min} = this.#bounds;
    const wanted = this.#rate === undefined ? min : Math.max(min, this.#rate * AIM_MS);
    const longest = this.#rate === undefined ? Infinity : this.#rate * LONGEST_MS;
    const size = Math.min(wanted, longest, this.#ceiling);
    const least = Math.min(FLOOR, this.#ceiling);
    return Math.max(Math.floor(size / 2 ** Math.max(0, failures - 1)), least, minChunk);
  }

  /** Tells how long a chunk took. The last of a blob tells nothing where it is a short one. */
  measured(bytes: number, ms: number): void {
    const rate = bytes / Math.max(ms, 1);
    this.#rate = this.#rate === undefined ? rate : (this.#rate + rate) / 2;
  }

  /**
   * A proxy answered 413 to a chunk of `size` bytes: it is halved from now on.
   * @returns false where it cannot get smaller
   */
  refused(size: number): boolean {
    if (size <= FLOOR || !this.#takesChunks) return false;
    this.#ceiling = Math.max(FLOOR, Math.min(this.#ceiling, Math.floor(size / 2)));
    return true;
  }

  /** Chunks do not work at this registry: whatever its size, a blob is one request from now on. */
  unsupported(): void {
    this.#takesChunks = false;
  }
}
