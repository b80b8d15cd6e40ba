import type {Descriptor} from '../model/descriptor.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader, RepositoryWriter, SavedUpload, Upload} from '../model/port.ts';
import {BlobCursor} from './blob-cursor.ts';
import type {ChunkSize} from './chunk-size.ts';
import {throwIfStopping} from './interrupted.ts';
import {readBlob} from './read-blob.ts';
import type {ReadConnections} from './read-connections.ts';
import {PART_SIZE, readParts} from './read-parts.ts';
import {type OnRetry, RetryBudget, type RetryPolicy} from './retry-budget.ts';

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

export interface TransferSettings {
  /** Of the destination's host. */
  readonly chunkSize: ChunkSize;
  readonly retry: RetryPolicy;
  /** Of the whole run. */
  readonly connections: ReadConnections;
  /** No chunk is begun any more once this is aborted; the one under way is finished and remembered. */
  readonly stopping: AbortSignal;
}

/** What the transfer tells while it goes on. */
export interface TransferEvents {
  /** Bytes that the destination holds now; absolute. */
  readonly acknowledged: (bytes: number) => void;
  /** Bytes that were handed to the destination, those of failed attempts included. */
  readonly sent: (bytes: number) => void;
  /** Where the upload stands; to be remembered, and awaited before more is sent. */
  readonly saved: (upload: SavedUpload) => Promise<void>;
  readonly retrying: OnRetry;
}

/**
 * Brings one blob from place to place without storing it: small ones in one PUT, large ones in chunks that can be
 * continued. Size and digest are checked before the closing request, and by the registry at it.
 * @throws TransshipError of the side that failed
 */
export async function transferBlob(
  job: BlobJob,
  settings: TransferSettings,
  events: TransferEvents,
  call: Call,
): Promise<void> {
  const transfer = new BlobTransfer(job, settings, events, call);
  try {
    await transfer.run(job.saved, job.upload);
  } catch (error) {
    // The registry says that the sum is wrong although ours was right, or was not known: once more from the start.
    if (!(error instanceof TransshipError) || error.code !== 'BLOB_DIGEST_MISMATCH') throw error;
    events.acknowledged(0);
    await transfer.run(undefined, undefined);
  }
}

class BlobTransfer {
  readonly #job: BlobJob;
  readonly #settings: TransferSettings;
  readonly #events: TransferEvents;
  readonly #call: Call;
  readonly #budget: RetryBudget;

  constructor(job: BlobJob, settings: TransferSettings, events: TransferEvents, call: Call) {
    this.#job = job;
    this.#settings = settings;
    this.#events = events;
    this.#call = call;
    this.#budget = new RetryBudget(settings.retry, events.retrying);
  }

  async run(saved: SavedUpload | undefined, open: Upload | undefined): Promise<void> {
    const {blob} = this.#job;
    if (blob.size <= this.#settings.chunkSize.next() && !saved && !open) await this.#putWhole();
    else await this.#putChunks(saved, open);
    this.#events.acknowledged(blob.size);
  }

  async #putWhole(): Promise<void> {
    const {blob, destination} = this.#job;
    for (;;) {
      try {
        await destination.putBlob(blob, () => Promise.resolve(this.#wholeBody()), this.#call);
        return;
      } catch (error) {
        const smaller = this.#smallerChunks(error, blob.size);
        await this.#budget.spend(smaller, 'destination', this.#call);
        if (smaller !== error) return this.#putChunks(undefined, undefined);
      }
    }
  }

  async *#wholeBody(): AsyncGenerator<Uint8Array, void, undefined> {
    await using cursor = this.#cursor();
    yield* this.#counted(cursor.take(this.#job.blob.size));
  }

  async #putChunks(saved: SavedUpload | undefined, open: Upload | undefined): Promise<void> {
    await using cursor = this.#cursor();
    let upload = open ?? (saved && (await this.#resume(saved)));
    for (;;) {
      try {
        upload ??= await this.#job.destination.beginUpload(this.#job.blob, this.#call);
        await this.#continue(upload, cursor);
        return;
      } catch (error) {
        const tried = this.#settings.chunkSize.next(upload?.minChunk);
        await this.#budget.spend(this.#smallerChunks(error, tried), 'destination', this.#call);
        upload = upload && (await this.#stillThere(upload));
      }
    }
  }

  /** Sends from the upload's offset to the end and closes the upload. */
  async #continue(upload: Upload, cursor: BlobCursor): Promise<void> {
    const {blob} = this.#job;
    while (upload.offset < blob.size) {
      await cursor.seek(upload.offset);
      cursor.mark();
      this.#events.acknowledged(upload.offset);
      await this.#events.saved(upload.saved);
      throwIfStopping(this.#settings.stopping);
      const size = this.#settings.chunkSize.next(upload.minChunk);
      const length = Math.min(size, blob.size - upload.offset);
      const started = performance.now();
      await upload.append(this.#counted(cursor.take(length)), length, this.#call);
      this.#settings.chunkSize.measured(length, performance.now() - started);
      this.#budget.progressed();
    }
    await upload.commit(blob, this.#call);
  }

  async #resume(saved: SavedUpload): Promise<Upload | undefined> {
    for (;;) {
      try {
        return await this.#job.destination.resumeUpload(saved, this.#call);
      } catch (error) {
        await this.#budget.spend(error, 'destination', this.#call);
      }
    }
  }

  /** After any doubt the registry is asked; an upload that is gone, or longer than the blob, starts anew. */
  async #stillThere(upload: Upload): Promise<Upload | undefined> {
    for (;;) {
      try {
        const offset = await upload.ask(this.#call);
        if (offset !== undefined && offset <= this.#job.blob.size) return upload;
        if (offset !== undefined) await upload.cancel(this.#call);
        return undefined;
      } catch (error) {
        await this.#budget.spend(error, 'destination', this.#call);
      }
    }
  }

  /** A 413 is worth another try with less. */
  #smallerChunks(error: unknown, tried: number): unknown {
    if (!(error instanceof TransshipError) || error.code !== 'PAYLOAD_TOO_LARGE') return error;
    if (!this.#settings.chunkSize.refused(Math.min(tried, this.#job.blob.size))) return error;
    const {side, hint} = error;
    return new TransshipError(error.code, error.message, {side, hint, retry: true, cause: error});
  }

  #cursor(): BlobCursor {
    const {blob, source} = this.#job;
    const {connections, retry} = this.#settings;
    const newBudget = () => new RetryBudget(retry, this.#events.retrying);
    return new BlobCursor(blob, (offset) =>
      blob.size - offset > PART_SIZE && connections.servesRanges(source.name)
        ? readParts(source, blob, offset, {connections, newBudget}, this.#call)
        : readBlob(source, blob, offset, newBudget(), this.#call),
    );
  }

  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      this.#events.sent(chunk.byteLength);
      yield chunk;
    }
  }
}
