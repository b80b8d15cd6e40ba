import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';

/** Distinct blobs, and blobs of all repositories. Tables of that size take some 150 MiB. */
const LIMITS = {blobs: 750_000, uses: 10_000_000};

/**
 * Counts distinct blobs over many repositories. Digests are stored once and referred to by number, so that each blob of
 * a repository takes only a few bytes.
 */
export class BlobTable {
  readonly #numbers = new Map<Digest, number>();
  readonly #sizes: number[] = [];
  /** The number of repositories that contain each blob. */
  readonly #uses: number[] = [];
  #usesCount = 0;
  /** The size of all distinct blobs. */
  bytes = 0;

  /** The number of distinct blobs. */
  get count(): number {
    return this.#sizes.length;
  }

  /**
   * Starts a repository, whose blobs are then added one by one. A blob that is added again counts once.
   * @throws TransshipError from `add`: RESPONSE_INVALID beyond the limits above
   */
  open(): {
    readonly numbers: readonly number[];
    readonly bytes: number;
    add(digest: Digest, size: number): void;
  } {
    const seen = new Set<number>();
    const numbers: number[] = [];
    let bytes = 0;
    return {
      numbers,
      get bytes() {
        return bytes;
      },
      add: (digest, size) => {
        const number = this.#numberOf(digest, size);
        if (seen.has(number)) return;
        if (++this.#usesCount > LIMITS.uses || this.count > LIMITS.blobs) throw tooManyBlobs();
        seen.add(number);
        numbers.push(number);
        bytes += this.#sizes[number] ?? 0;
        this.#uses[number] = (this.#uses[number] ?? 0) + 1;
      },
    };
  }

  /** The size of those of the blobs that are in more than one repository. @param numbers as from `open` */
  sharedBytes(numbers: Uint32Array): number {
    return numbers.reduce(
      (sum, number) => sum + ((this.#uses[number] ?? 0) > 1 ? (this.#sizes[number] ?? 0) : 0),
      0,
    );
  }

  /** The number of a digest. If sizes differ, the first one counts. */
  #numberOf(digest: Digest, size: number): number {
    const known = this.#numbers.get(digest);
    if (known !== undefined) return known;
    const number = this.#sizes.push(size) - 1;
    this.#numbers.set(digest, number);
    this.bytes += size;
    return number;
  }
}

function tooManyBlobs(): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    'the registry has too many blobs for one inventory',
    {
      side: 'source',
      hint: 'add a part of the path after the host, such as host/team, or use --depth tags',
    },
  );
}
