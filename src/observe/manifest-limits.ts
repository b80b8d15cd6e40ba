import type {Digest} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';

/**
 * Maximum nesting of indexes in one image. Real indexes have one level, of platforms; an index of such indexes has two.
 * Code that walks a graph may recurse within this limit.
 */
export const MANIFEST_NESTING_LIMIT = 32;
/** Maximum bytes of the manifests of one image. An index of fifty platforms with their attestations is below 1 MiB. */
const IMAGE_LIMIT = 16 * 1024 * 1024;

/**
 * Limits, in bytes, for all manifests that are read, including referrers: the allowance per requested image, and the
 * maximum total. Each manifest counts at least its minimum cost, also if it is missing or invalid: the first image may
 * have 16,000 small referrers, each further one 16.
 */
const TOTAL_LIMIT = 64 * 1024 * 1024;
const TOTAL_LIMIT_EACH = 64 * 1024;
const TOTAL_LIMIT_MOST = 1024 * 1024 * 1024;
const LEAST_SIZE = 4096;

/** An object whose manifests are counted, for messages. */
export interface Counted {
  /** The name of the repository. */
  readonly name: string;
  readonly side: Side;
  /** What to do beyond a limit. Default: leave the image out. */
  readonly hint?: string;
}

/** Counts the bytes of all manifests that are read from a repository. */
export class TotalLimit {
  readonly #of: Counted;
  #limit = TOTAL_LIMIT;
  #bytes = 0;

  constructor(of: Counted) {
    this.#of = of;
  }

  /** One more image is requested. */
  image(): void {
    this.#limit = Math.min(TOTAL_LIMIT_MOST, this.#limit + TOTAL_LIMIT_EACH);
  }

  /** @throws TransshipError RESPONSE_INVALID beyond the limit */
  add(bytes: number): void {
    this.count(bytes);
    this.throwIfBeyond();
  }

  /** The same for a request that failed for another reason. */
  count(bytes: number): void {
    this.#bytes += Math.max(bytes, LEAST_SIZE);
  }

  /** To be called before each request as well: otherwise, queued requests would be sent in vain. */
  throwIfBeyond(): void {
    if (this.#bytes <= this.#limit) return;
    const {
      name,
      side,
      hint = 'its manifests or their referrers are endless or exceed the limits; copy fewer tags at once',
    } = this.#of;
    const message = `${name} has more manifests than the limit`;
    throw new TransshipError('RESPONSE_INVALID', message, {side, hint});
  }
}

/** Counts the levels and bytes of the manifests of one image, which are visited level by level. */
export class ImageLimit {
  readonly #of: Counted;
  readonly #root: Digest;
  readonly #counted = new Set<Digest>();
  #bytes = 0;
  #depth = 0;

  constructor(of: Counted, root: Digest) {
    this.#of = of;
    this.#root = root;
  }

  /** The manifests of a further level are going to be visited. @throws TransshipError MANIFEST_INVALID */
  descend(): void {
    this.#depth += 1;
    if (this.#depth <= MANIFEST_NESTING_LIMIT) return;
    const {name, side, hint = 'leave this image out, or push it again as one index'} = this.#of;
    const message = `${name}@${this.#root} has indexes nested deeper than ${MANIFEST_NESTING_LIMIT} levels`;
    throw new TransshipError('MANIFEST_INVALID', message, {side, hint});
  }

  /** One that is listed several times counts once. @throws TransshipError MANIFEST_TOO_LARGE */
  add({digest, size}: {readonly digest: Digest; readonly size: number}): void {
    if (!this.#counted.has(digest)) this.#bytes += size;
    this.#counted.add(digest);
    if (this.#bytes <= IMAGE_LIMIT) return;
    const {
      name,
      side,
      hint = 'leave this image out, or push it again as several images',
    } = this.#of;
    const message = `the manifests of ${name}@${this.#root} are larger than ${IMAGE_LIMIT} bytes`;
    throw new TransshipError('MANIFEST_TOO_LARGE', message, {side, hint});
  }
}
