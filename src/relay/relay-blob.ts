import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader, RepositoryWriter, SavedUpload, Upload} from '../model/port.ts';
import type {ChunkSize} from './chunk-size.ts';
import type {RateLimit} from './rate-limit.ts';
import type {ReadConnections} from './read-connections.ts';
import {readParts} from './read-parts.ts';
import type {OnRetry, RetryPolicy} from '../http/retry.ts';
import {BlobCursor, digestMismatch, isDigestMismatch, type OpenFrom} from './blob-cursor.ts';
import {findUpload, putChunks, putWhole} from './put-blob.ts';
import {algorithmOf, digestOf} from '../model/digest.ts';
import {retryable, throwIfStopping, TransshipError} from '../model/error.ts';
import {readBlob, type ReadContext, withActualSize} from './read-blob.ts';
import {RetryBudget} from './retry-budget.ts';
import type {SharedReader} from './shared-reading.ts';

/** One blob to relay. */
export interface BlobJob {
  readonly blob: Descriptor;
  readonly source: RepositoryReader;
  readonly destination: RepositoryWriter;
  /** The upload of an earlier run. */
  readonly saved?: SavedUpload;
  /** An open upload: a registry's response to a mount that it declined. */
  readonly upload?: Upload;
  /** The blob goes to other registries at the same time. Default: it is read for this relay alone. */
  readonly shared?: SharedReader;
}

/** Settings that all relays to one host share. */
export interface RelaySettings {
  /** The chunk size for the destination's host. */
  readonly chunkSize: ChunkSize;
  readonly retry: RetryPolicy;
  /** The connections of the whole run. */
  readonly connections: ReadConnections;
  /** The rate limit of the whole run; absent: unlimited. */
  readonly rate?: RateLimit;
  /** Once aborted, no further chunk is started; the current one is finished and recorded. */
  readonly stopping: AbortSignal;
}

/** Progress callbacks of a relay. */
export interface RelayEvents {
  /** Bytes that the destination has acknowledged; absolute, so it may decrease. */
  readonly acknowledged: (bytes: number) => void;
  /** The blob has this size, not the one in its manifest; later events refer to it. */
  readonly resized: (size: number) => void;
  /** Before a chunk or the whole blob is sent: its bytes. Replaces the previous announcement. */
  readonly sending: (bytes: number) => void;
  /** Bytes passed on for sending, including those of failed attempts. */
  readonly sent: (bytes: number) => void;
  /** The state of the upload, to be recorded; awaited before more is sent. */
  readonly saved: (upload: SavedUpload) => Promise<void>;
  readonly retrying: OnRetry;
}

/**
 * Relays one blob between places without storing it: small ones in one PUT, large ones in resumable chunks. Size and
 * digest are checked before the closing request, and by the registry during it. If the manifest gives a wrong size, the
 * source's is used, provided that the digest matches.
 * @throws TransshipError of the side that failed; INTERRUPTED if the run is stopping
 */
export async function relayBlob(
  job: BlobJob,
  settings: RelaySettings,
  events: RelayEvents,
  call: Call,
): Promise<void> {
  const {blob: described, source, destination, saved} = job;
  const relay = async (blob: Descriptor): Promise<void> => {
    if (blob === described) return relayTwice(job, settings, events, call);
    events.resized(blob.size);
    const resized = {blob, source, destination, ...(saved ? {saved} : {})};
    return relayTwice(resized, settings, events, call);
  };
  await withActualSize(source, described, relay, call);
}

/**
 * Relays the blob, and once more from the start after a digest mismatch: the network or a disk may have flipped a bit,
 * or an upload may have mixed the bytes of two runs.
 */
async function relayTwice(
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
  // Each method may fail once: a single request may be too large, or chunks may be refused.
  if (upload === undefined && blob.size <= chunkSize.next()) isDone = await putWhole(relay);
  isDone ||= await putChunks(relay, upload);
  if (!isDone) await putWhole(relay);
  relay.acknowledged(blob.size);
}

/** The state that all methods of relaying a blob share: the source cursor, and the retry budget of the destination. */
export class BlobRelay {
  readonly job: BlobJob;
  readonly settings: RelaySettings;
  readonly events: RelayEvents;
  readonly call: Call;
  /** Failures of the destination; those of the source are retried where it is read. */
  readonly #budget: RetryBudget;
  /** The highest offset that the destination reached: only bytes beyond it are progress. */
  #farthest = 0;
  /** The offset at which the destination last rejected the credentials. */
  #unauthorizedAt: number | undefined;

  constructor(job: BlobJob, settings: RelaySettings, events: RelayEvents, call: Call) {
    this.job = job;
    this.settings = settings;
    this.events = events;
    this.call = call;
    this.#budget = new RetryBudget(settings.retry, events.retrying, settings.stopping);
  }

  /** Consecutive failures. */
  get failures(): number {
    return this.#budget.failures;
  }

  /** Records how much the destination has. An upload that is lost repeatedly does not count as progress. */
  acknowledged(bytes: number): void {
    this.events.acknowledged(bytes);
    if (bytes <= this.#farthest) return;
    this.#farthest = bytes;
    this.#budget.progressed();
  }

  /**
   * Waits until the destination may be tried again.
   * @throws `error` if a retry cannot help: the source has its own retries, and wrong bytes stay wrong; INTERRUPTED if
   *   the run is stopping
   */
  async failed(error: unknown): Promise<void> {
    const {call, settings} = this;
    call.signal.throwIfAborted();
    if (error instanceof TransshipError && (error.side === 'source' || isDigestMismatch(error)))
      throw error;
    if (this.#isUnauthorizedAgain(error)) throw error;
    throwIfStopping(settings.stopping);
    await this.#budget.spend(error, 'destination', call);
  }

  /**
   * A token may expire while a body is sent. If a new token is rejected for the same bytes, the failure is permanent.
   */
  #isUnauthorizedAgain(error: unknown): boolean {
    if (!(error instanceof TransshipError) || error.status !== 401) return false;
    const isAgain = this.#unauthorizedAt === this.#farthest;
    this.#unauthorizedAt = this.#farthest;
    return isAgain;
  }

  /** Queries the destination, with retries. @throws as `failed` */
  async query<T>(send: (call: Call) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await send(this.call);
      } catch (error) {
        await this.failed(error);
      }
    }
  }

  /** Whether the repository has the blob: after a lost response, or if not all bytes were hashed here. */
  isThere(): Promise<boolean> {
    const {destination, blob} = this.job;
    return this.query((call) => destination.hasBlob(blob, call));
  }

  /**
   * The error for which a body of `size` bytes may be retried with fewer bytes; undefined: the failure is not about
   * size.
   */
  tooLarge(error: unknown, size: number): TransshipError | undefined {
    if (!(error instanceof TransshipError) || error.code !== 'PAYLOAD_TOO_LARGE') return undefined;
    if (!this.settings.chunkSize.refused(size)) return undefined;
    return retryable(error);
  }

  /** The source's bytes, read over several connections if that helps. */
  cursor(): BlobCursor {
    const {blob, source, shared} = this.job;
    const {connections} = this.settings;
    const context = this.#readContext();
    // Without `stopping`: it would end the current chunk early if the source is paused, and some registries cannot
    // resume an upload after an incomplete chunk.
    const open: OpenFrom = (offset, end) => {
      const call = {signal: AbortSignal.any([this.call.signal, end])};
      return blob.size - offset > connections.buffers.size &&
        connections.servesRanges(source.name) !== false
        ? readParts(source, blob, offset, context, call)
        : readBlob(source, blob, offset, context, call);
    };
    return new BlobCursor(blob, (offset, end) =>
      shared === undefined ? open(offset, end) : shared.read(offset, open, end),
    );
  }

  /** Reads a whole small blob into memory. @throws what `BlobCursor.take` throws */
  async bytes(): Promise<Uint8Array> {
    const {blob, source, shared} = this.job;
    const context = this.#readContext();
    const open: OpenFrom = (offset, end) => {
      const call = {signal: AbortSignal.any([this.call.signal, end])};
      return readBlob(source, blob, offset, context, call);
    };
    const {signal} = this.call;
    const chunks = shared === undefined ? open(0, signal) : shared.read(0, open, signal);
    const pieces: Uint8Array[] = [];
    // Chunks are borrowed.
    for await (const chunk of chunks) pieces.push(Buffer.from(chunk));
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
