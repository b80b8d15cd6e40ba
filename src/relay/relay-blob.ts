import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader, RepositoryWriter, SavedUpload, Upload} from '../model/port.ts';
import type {ChunkSize} from './chunk-size.ts';
import type {RateLimit} from './rate-limit.ts';
import {type ReadConnections, readParts} from './read-parts.ts';
import type {OnRetry, RetryPolicy} from '../http/retry.ts';
import {BlobCursor, digestMismatch, isDigestMismatch} from './blob-cursor.ts';
import {findUpload, putChunks, putWhole} from './put-blob.ts';
import {algorithmOf, digestOf} from '../model/digest.ts';
import {retryable, throwIfStopping, TransshipError} from '../model/error.ts';
import {readBlob, type ReadContext, withActualSize} from './read-blob.ts';
import {RetryBudget} from './retry-budget.ts';

/** One blob that has to travel. */
export interface BlobJob {
  readonly blob: Descriptor;
  readonly source: RepositoryReader;
  readonly destination: RepositoryWriter;
  /** Where an earlier run stood. */
  readonly saved?: SavedUpload;
  /** An upload that is open already: a registry's answer to a mount that it did not do. */
  readonly upload?: Upload;
}

export interface RelaySettings {
  /** Of the destination's host. */
  readonly chunkSize: ChunkSize;
  readonly retry: RetryPolicy;
  /** Of the whole run. */
  readonly connections: ReadConnections;
  /** Of the whole run; absent: as fast as it goes. */
  readonly rate?: RateLimit;
  /** No chunk is begun any more once this is aborted; the one under way is finished and remembered. */
  readonly stopping: AbortSignal;
}

/** What the relay tells while it goes on. */
export interface RelayEvents {
  /** Bytes that the destination holds now; absolute. */
  readonly acknowledged: (bytes: number) => void;
  /** The blob has this size and not that of its manifest; what follows is about it. */
  readonly resized: (size: number) => void;
  /** Bytes that were given away to be sent, those of failed attempts included. */
  readonly sent: (bytes: number) => void;
  /** Where the upload stands; to be remembered, and awaited before more is sent. */
  readonly saved: (upload: SavedUpload) => Promise<void>;
  readonly retrying: OnRetry;
}

/**
 * Brings one blob from place to place without storing it: small ones in one PUT, large ones in chunks that can be
 * continued. The digest decides: a size that is wrong in the manifest is replaced by that of the source, and what comes has
 * to be the digest's. Size and digest are checked before the closing request, and by the registry at it.
 * @throws TransshipError of the side that failed; INTERRUPTED where the run was told to stop
 */
export async function relayBlob(
  job: BlobJob,
  settings: RelaySettings,
  events: RelayEvents,
  call: Call,
): Promise<void> {
  const {blob: described, source, destination, saved} = job;
  const relay = async (blob: Descriptor): Promise<void> => {
    if (blob === described) return relayAgain(job, settings, events, call);
    events.resized(blob.size);
    const resized = {blob, source, destination, ...(saved ? {saved} : {})};
    return relayAgain(resized, settings, events, call);
  };
  await withActualSize(source, described, relay, call);
}

/** A line or a disk may have changed a bit, or an upload have mixed two runs: once more from the start. */
async function relayAgain(
  job: BlobJob,
  settings: RelaySettings,
  events: RelayEvents,
  call: Call,
): Promise<void> {
  const {connections} = settings;
  const isLarge = job.blob.size > connections.buffers.size;
  if (isLarge) connections.enter();
  try {
    await relayOnce(new BlobRelay(job, settings, events, call));
  } catch (error) {
    if (!isDigestMismatch(error)) throw error;
    events.acknowledged(0);
    const {blob, source, destination} = job;
    await relayOnce(new BlobRelay({blob, source, destination}, settings, events, call));
  } finally {
    if (isLarge) connections.leave();
  }
}

async function relayOnce(relay: BlobRelay): Promise<void> {
  const {blob} = relay.job;
  const upload = await findUpload(relay);
  const {chunkSize} = relay.settings;
  let isDone = false;
  // Each way may turn out to be closed, once: one request is too large, or chunks are not taken.
  if (upload === undefined && blob.size <= chunkSize.next()) isDone = await putWhole(relay);
  isDone ||= await putChunks(relay, upload);
  if (!isDone) await putWhole(relay);
  relay.acknowledged(blob.size);
}

/** What all ways to bring one blob over share: its source as a cursor, and the patience with its destination. */
export class BlobRelay {
  readonly job: BlobJob;
  readonly settings: RelaySettings;
  readonly events: RelayEvents;
  readonly call: Call;
  /** Failures of the destination; those of the source are healed where it is read. */
  readonly #budget: RetryBudget;
  /** The farthest that the destination ever was: only what is beyond it is progress. */
  #farthest = 0;
  /** Where the destination last wanted other credentials. */
  #unauthorizedAt: number | undefined;

  constructor(job: BlobJob, settings: RelaySettings, events: RelayEvents, call: Call) {
    this.job = job;
    this.settings = settings;
    this.events = events;
    this.call = call;
    this.#budget = new RetryBudget(settings.retry, events.retrying, settings.stopping);
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#budget.failures;
  }

  /** Tells what the destination holds. An upload that is lost again and again does not count as getting on. */
  acknowledged(bytes: number): void {
    this.events.acknowledged(bytes);
    if (bytes <= this.#farthest) return;
    this.#farthest = bytes;
    this.#budget.progressed();
  }

  /**
   * Waits until the destination may be tried again.
   * @throws `error` where that is of no use: the source has had its own tries, and wrong bytes stay wrong; INTERRUPTED
   *   where the run is to end
   */
  async failed(error: unknown): Promise<void> {
    const {call, settings} = this;
    call.signal.throwIfAborted();
    if (error instanceof TransshipError && (error.side === 'source' || isDigestMismatch(error)))
      throw error;
    if (this.#isUnauthorizedAgain(error)) throw error;
    const signal = AbortSignal.any([call.signal, settings.stopping]);
    try {
      await this.#budget.spend(error, 'destination', {signal});
    } catch (thrown) {
      call.signal.throwIfAborted();
      throwIfStopping(settings.stopping);
      throw thrown;
    }
  }

  /** A token may end while a body is on its way. One that was got anew for the same bytes, and does not do, never will. */
  #isUnauthorizedAgain(error: unknown): boolean {
    if (!(error instanceof TransshipError) || error.status !== 401) return false;
    const isAgain = this.#unauthorizedAt === this.#farthest;
    this.#unauthorizedAt = this.#farthest;
    return isAgain;
  }

  /** Asks the destination until it answers. @throws as `failed` */
  async ask<T>(question: (call: Call) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await question(this.call);
      } catch (error) {
        await this.failed(error);
      }
    }
  }

  /** Whether the blob is in the repository, for when an answer was lost, or our own hash did not see it all. */
  isThere(): Promise<boolean> {
    const {destination, blob} = this.job;
    return this.ask((call) => destination.hasBlob(blob, call));
  }

  /** The error with which a piece of `size` bytes may be tried again with less; undefined: it is not about size. */
  tooLarge(error: unknown, size: number): TransshipError | undefined {
    if (!(error instanceof TransshipError) || error.code !== 'PAYLOAD_TOO_LARGE') return undefined;
    if (!this.settings.chunkSize.refused(size)) return undefined;
    return retryable(error);
  }

  /** The source's bytes, read over several connections where that is of use. */
  cursor(): BlobCursor {
    const {blob, source} = this.job;
    const {connections} = this.settings;
    const context = this.#readContext();
    return new BlobCursor(blob, (offset, end) => {
      // Without `stopping`: to leave a held source would cut the chunk under way, which some registries do not forgive.
      const call = {signal: AbortSignal.any([this.call.signal, end])};
      return blob.size - offset > connections.buffers.size &&
        connections.servesRanges(source.name) !== false
        ? readParts(source, blob, offset, context, call)
        : readBlob(source, blob, offset, context, call);
    });
  }

  /** Reads the whole blob into memory, which is for small ones. @throws what `BlobCursor.take` throws */
  async bytes(): Promise<Uint8Array> {
    const {blob, source} = this.job;
    const pieces: Uint8Array[] = [];
    // Chunks are borrowed.
    for await (const chunk of readBlob(source, blob, 0, this.#readContext(), this.call))
      pieces.push(Buffer.from(chunk));
    const [first = Buffer.alloc(0)] = pieces;
    const bytes = pieces.length > 1 ? Buffer.concat(pieces) : first;
    const seen = digestOf(bytes, algorithmOf(blob.digest));
    if (seen !== blob.digest) throw digestMismatch(blob, seen);
    return bytes;
  }

  #readContext(): ReadContext {
    const {connections, retry, rate, stopping} = this.settings;
    const newBudget = () => new RetryBudget(retry, this.events.retrying, stopping);
    return {connections, newBudget, rate};
  }
}
