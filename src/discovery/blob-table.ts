import type {Digest} from '../model/digest.ts';

/**
 * Counts blobs over many repositories: each distinct one once. Digests are stored once and referred to by number, so
 * that each blob of a repository takes only a few bytes.
 */
export class BlobTable {
  readonly #numbers = new Map<Digest, number>();
  readonly #sizes: number[] = [];
  /** In how many repositories each blob is. */
  readonly #uses: number[] = [];
  /** Of the distinct blobs. */
  bytes = 0;

  get count(): number {
    return this.#sizes.length;
  }

  /** The blobs of one repository, to be added one by one; one that is added again counts once. */
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
        seen.add(number);
        numbers.push(number);
        bytes += this.#sizes[number] ?? 0;
        this.#uses[number] = (this.#uses[number] ?? 0) + 1;
      },
    };
  }

  /** Bytes of those of the blobs that are in more than one repository. */
  sharedBytes(numbers: readonly number[]): number {
    return numbers.reduce(
      (sum, number) => sum + ((this.#uses[number] ?? 0) > 1 ? (this.#sizes[number] ?? 0) : 0),
      0,
    );
  }

  /** The size that is named first counts: the blob of one digest has one size. */
  #numberOf(digest: Digest, size: number): number {
    const known = this.#numbers.get(digest);
    if (known !== undefined) return known;
    const number = this.#sizes.push(size) - 1;
    this.#numbers.set(digest, number);
    this.bytes += size;
    return number;
  }
}
