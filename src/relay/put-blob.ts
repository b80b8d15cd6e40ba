import {throwIfStopping, TransshipError} from '../model/error.ts';
import type {BlobRelay} from './relay-blob.ts';
import {LARGE_BODY} from '../http/request.ts';
import type {BlobBody, Upload} from '../model/port.ts';
import type {BlobCursor} from './blob-cursor.ts';

/**
 * Sends a blob in one PUT.
 * @returns false if the registry or a proxy refuses it as too large, although the chunk size so far allowed it
 */
export async function putWhole(relay: BlobRelay): Promise<boolean> {
  const {blob, destination} = relay.job;
  for (;;) {
    throwIfStopping(relay.settings.stopping);
    relay.events.sending(blob.size);
    try {
      await destination.putBlob(blob, () => openBody(relay), relay.call);
      return true;
    } catch (error) {
      const tooLarge = relay.tooLarge(error, blob.size);
      await relay.failed(tooLarge ?? error);
      if (tooLarge !== undefined) return false;
      if (mayHaveArrived(error) && (await relay.isThere())) return true;
    }
  }
}

/** The response was lost, or a proxy timed out. */
function mayHaveArrived(error: unknown): boolean {
  return error instanceof TransshipError && (error.status === undefined || error.status >= 500);
}

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/**
 * Opens the whole blob as a request's body. Its first bytes are prefetched while the upload is being opened. A small
 * blob is read completely, so that sending does not wait for the source.
 * @throws what the source throws
 */
async function openBody(relay: BlobRelay): Promise<BlobBody> {
  const {size} = relay.job.blob;
  if (size > LARGE_BODY) {
    const chunks = whole(relay);
    return new PrefetchedStream(chunks, await chunks.next());
  }
  const bytes = await relay.bytes();
  relay.events.sent(size);
  return bytes;
}

async function* whole(relay: BlobRelay): Bytes {
  await using cursor = relay.cursor();
  yield* cursor.take(relay.job.blob.size, relay.events.sent);
}

/** A stream whose first chunk is prefetched. Ending it ends the stream, even before anything is read. */
class PrefetchedStream implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #rest: Bytes;
  #first: IteratorResult<Uint8Array, void> | undefined;

  constructor(rest: Bytes, first: IteratorResult<Uint8Array, void>) {
    this.#rest = rest;
    this.#first = first;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const next = this.#first ?? (await this.#rest.next());
    this.#first = undefined;
    return next.done === true ? {done: true, value: undefined} : next;
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#first = undefined;
    await this.#rest.return();
    return {done: true, value: undefined};
  }
}

/** Consecutive timeouts at the same offset after which the upload is abandoned and a new one is opened. */
const STUCK = 2;

/**
 * Sends a blob in chunks. The upload can be resumed, by this process after a failure or by another one after a kill.
 *
 * How much has to be sent again depends on the registry. GitLab's reports the actual offset at any time, so all
 * received bytes count. The distribution family (docker-registry 2 and 3) signs the offset into the Location and
 * cancels an upload that has more bytes: after a kill between two chunks the upload resumes; after a kill during a
 * chunk the blob starts again (registry/handlers/blobupload.go, `ResumeBlobUpload`, "upload resumed at wrong offest").
 * @param found an upload to resume
 * @returns false if the destination does not accept chunks: send the blob in one request
 */
export async function putChunks(relay: BlobRelay, found: Upload | undefined): Promise<boolean> {
  const {blob} = relay.job;
  await using cursor = relay.cursor();
  let upload = found;
  let timeouts = 0;
  for (;;) {
    try {
      upload ??= await beginUpload(relay, cursor);
      await sendRest(relay, upload, cursor);
      break;
    } catch (error) {
      // The next attempt may be delayed; meanwhile, others can use the connections.
      await cursor.release();
      if (upload !== undefined && isUnsupported(error)) {
        relay.settings.chunkSize.unsupported();
        await upload.cancel(relay.call);
        return false;
      }
      await relay.failed(error);
      if (upload === undefined) continue;
      const {offset} = upload;
      const wasComplete = offset === blob.size;
      upload = await queryOffset(relay, upload);
      timeouts = isTimeout(error) && upload?.offset === offset ? timeouts + 1 : 0;
      // The registry responds, but the upload accepts nothing: a chunk of a dead connection may still lock it.
      if (timeouts === STUCK) upload = undefined;
      // The closing request may have succeeded although its response was lost.
      if (upload === undefined && wasComplete && (await relay.isThere())) return true;
    }
  }
  if (!cursor.hashesAll && !(await relay.isThere())) throw notKept(relay);
  return true;
}

/** Opens an upload. Meanwhile, the first bytes are prefetched, which saves a round trip. */
async function beginUpload({job, call}: BlobRelay, cursor: BlobCursor): Promise<Upload> {
  await cursor.seek(0);
  cursor.prefetch();
  return await job.destination.beginUpload(job.blob, call);
}

function isUnsupported(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'UNSUPPORTED_BY_REGISTRY';
}

function isTimeout(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'TIMEOUT';
}

/** Resumes an upload of an earlier run; undefined: it does not exist, or cannot be resumed. */
export async function findUpload(relay: BlobRelay): Promise<Upload | undefined> {
  const {saved, upload: open, destination, blob} = relay.job;
  if (open !== undefined || saved === undefined) return open;
  const found = await relay.query((call) => destination.resumeUpload(saved, call));
  if (found === undefined || found.offset <= blob.size) return found;
  await found.cancel(relay.call);
  return undefined;
}

/** Sends from the upload's offset to the end and closes the upload. */
async function sendRest(relay: BlobRelay, upload: Upload, cursor: BlobCursor): Promise<void> {
  const {job, settings, events, call} = relay;
  const {size} = job.blob;
  for (;;) {
    relay.acknowledged(upload.offset);
    await events.saved(upload.saved);
    throwIfStopping(settings.stopping);
    if (upload.offset >= size) break;
    await cursor.seek(upload.offset);
    cursor.mark();
    await sendChunk(relay, upload, cursor);
  }
  await upload.commit(job.blob, call);
}

async function sendChunk(relay: BlobRelay, upload: Upload, cursor: BlobCursor): Promise<void> {
  const {chunkSize} = relay.settings;
  const wanted = chunkSize.next(upload.minChunk, relay.failures);
  const length = Math.min(wanted, relay.job.blob.size - upload.offset);
  // Checked again: another blob may have reached the limit of the run meanwhile.
  throwIfStopping(relay.settings.stopping);
  relay.events.sending(length);
  let began = performance.now();
  // Earlier waits say nothing about the connection: for a slot, a paused host, or the source.
  let isBegun = false;
  const body = cursor.take(length, (bytes) => {
    if (!isBegun) began = performance.now();
    isBegun = true;
    relay.events.sent(bytes);
  });
  try {
    await upload.append(body, length, relay.call);
  } catch (error) {
    throw relay.tooLarge(error, length) ?? error;
  }
  if (length === wanted) chunkSize.measured(length, performance.now() - began);
}

/** Queries the offset after a failure; undefined: the upload cannot be resumed, or has too many bytes: start again. */
async function queryOffset(relay: BlobRelay, upload: Upload): Promise<Upload | undefined> {
  const offset = await relay.query((call) => upload.queryOffset(call));
  if (offset === undefined) return undefined;
  if (offset <= relay.job.blob.size) return upload;
  await upload.cancel(relay.call);
  return undefined;
}

/** The error for a registry that closed the upload but does not have the blob. */
function notKept({job}: BlobRelay): TransshipError {
  return new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `${job.destination.name}@${job.blob.digest} is missing after its upload was completed`,
    {
      side: 'destination',
      hint: 'the registry lost the blob or stored other bytes; apply again, and check its storage if this happens again',
    },
  );
}
