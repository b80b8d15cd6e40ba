import type {RateLimit} from './rate-limit.ts';
import type {ReadConnections} from './read-connections.ts';
import type {RetryBudget} from './retry-budget.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {algorithmOf, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {digestMismatch, isDigestMismatch} from './blob-cursor.ts';

/** Options for reading a blob. */
export interface ReadContext {
  readonly connections: ReadConnections;
  /** Each connection has its own budget: when the network fails, all connections fail at once. */
  readonly newBudget: () => RetryBudget;
  /** The rate limit of the whole run; absent: unlimited. */
  readonly rate?: RateLimit | undefined;
  /** The minimum rate of a connection. Default: 60 KiB in a minute. */
  readonly slowest?: SlowestPace | undefined;
}

/**
 * Reads a blob from `offset` to its end. If a connection breaks or delivers less than requested, another one is opened
 * at the same offset, so the consumer sees one continuous stream. A place that cannot serve ranges is read from the
 * start, and the known part is skipped. The size is checked here; the consumer must check the digest.
 * @throws TransshipError BLOB_SIZE_MISMATCH, BLOB_NOT_FOUND, or the last failure when the budget is spent
 */
export async function* readBlob(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  {newBudget, rate, slowest}: Omit<ReadContext, 'connections'>,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  const budget = newBudget();
  let position = offset;
  while (position < blob.size) {
    try {
      const stream = await source.openBlob(blob, {offset: position}, call);
      const pace = new Pace(slowest);
      let at = stream.start;
      for await (const chunk of stream.chunks) {
        const isTooSlow = pace.isTooSlow(chunk.byteLength);
        for (const piece of rate?.pieces(chunk) ?? [chunk]) {
          if (rate) await rate.pass(piece.byteLength, call);
          const known = Math.max(0, position - at);
          at += piece.byteLength;
          if (at > stream.end) throw longer(source, blob);
          if (at <= position) continue;
          if (!isTooSlow) budget.arrived(at - position, blob.size - offset);
          position = at;
          yield known === 0 ? piece : piece.subarray(known);
        }
        if (isTooSlow && position < blob.size) throw tooSlow(source, blob);
        pace.waits();
      }
      if (position < stream.end) throw endedEarly(source, blob, position);
    } catch (error) {
      await budget.spend(error, 'source', call);
    }
  }
}

/**
 * Reads a blob whose manifest may give a wrong size. Registries accept such manifests, and clients that check only the
 * digest copy them (containers/image). If `read` fails because of the size, it is called again with the size that the
 * source reports, and the digest decides.
 * @throws what `read` throws; the first error if the source reports no other size, or has other bytes
 */
export async function withActualSize<T>(
  source: RepositoryReader,
  blob: Descriptor,
  read: (blob: Descriptor) => Promise<T>,
  call: Call,
): Promise<T> {
  const empty = blob.size === 0 ? digestOf(new Uint8Array(), algorithmOf(blob.digest)) : undefined;
  try {
    // Checked before `read`, which would discard the upload of an earlier run, since that has more than 0 bytes.
    if (empty !== undefined && empty !== blob.digest) throw digestMismatch(blob, empty);
    return await read(blob);
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'BLOB_SIZE_MISMATCH') throw error;
    const size = await source.blobSize(blob.digest, call);
    if (size === undefined || size === blob.size) throw error;
    try {
      return await read({...blob, size});
    } catch (again) {
      throw isDigestMismatch(again) ? error : again;
    }
  }
}

/** The minimum rate for keeping a connection: bytes per ms of waiting time. */
export interface SlowestPace {
  readonly bytes: number;
  readonly ms: number;
}

/** 1 KiB/s: at this rate, 86 MiB take a day, so another connection can only be faster. */
const SLOWEST: SlowestPace = {bytes: 60 * 1024, ms: 60_000};

/**
 * Decides whether to keep a connection that is very slow without stalling. Only time spent waiting for data counts: a
 * slow reader is not the source's fault.
 */
export class Pace {
  readonly #slowest: SlowestPace;
  readonly #now: () => number;
  #waitingSince: number;
  #waitedMs = 0;
  #bytes = 0;

  /** @param now ms of a monotonic clock */
  constructor(slowest: SlowestPace = SLOWEST, now: () => number = () => performance.now()) {
    this.#slowest = slowest;
    this.#now = now;
    this.#waitingSince = now();
  }

  /** Starts waiting for the next bytes. */
  waits(): void {
    this.#waitingSince = this.#now();
  }

  /**
   * Records received bytes.
   * @returns whether the rate over the latest period is too low
   */
  isTooSlow(bytes: number): boolean {
    this.#waitedMs += this.#now() - this.#waitingSince;
    this.#bytes += bytes;
    if (this.#waitedMs < this.#slowest.ms) return false;
    // The rate counts, not the number of bytes: a burst after a long pause is not fast.
    const isSlow = this.#bytes * this.#slowest.ms < this.#slowest.bytes * this.#waitedMs;
    this.#waitedMs = 0;
    this.#bytes = 0;
    return isSlow;
  }
}

/** The error for more bytes than the descriptor says. */
export function longer(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError(
    'BLOB_SIZE_MISMATCH',
    `${source.name}@${blob.digest} is longer than the ${blob.size} bytes in the manifest`,
    {
      side: 'source',
      hint: 'the manifest and the blob do not match; push the image to the source again',
    },
  );
}

/** The error for a connection below the minimum rate; another one may be faster. */
export function tooSlow(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError(
    'TIMEOUT',
    `${source.name}@${blob.digest}: download stalled (below 1 KiB/s)`,
    {
      side: 'source',
      retry: true,
      hint: 'the registry or the network in between is overloaded',
    },
  );
}

/** The error for fewer bytes than the descriptor says: a connection that ended silently, or a damaged blob. */
export function endedEarly(source: RepositoryReader, blob: Descriptor, at: number): TransshipError {
  return new TransshipError(
    'BLOB_SIZE_MISMATCH',
    `${source.name}@${blob.digest} ended after ${at} of ${blob.size} bytes`,
    {
      side: 'source',
      retry: true,
      hint: 'the source has fewer bytes than the manifest says; push the image there again',
    },
  );
}
