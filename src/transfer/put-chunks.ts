import {TransshipError} from '../model/error.ts';
import type {Upload} from '../model/port.ts';
import type {BlobCursor} from './blob-cursor.ts';
import type {BlobTransfer} from './blob-transfer.ts';
import {throwIfStopping} from '../model/interrupted.ts';

/** Timeouts in a row at the same offset after which an upload is left for another. */
const STUCK = 2;

/**
 * Sends a blob in a series of chunks that can be continued: by this process after a failure, by another after a kill.
 *
 * What a kill costs depends on the registry. GitLab's tells the true offset at any time, so what had arrived counts.
 * The distribution family (docker-registry 2 and 3) signs the offset into the Location and ends an upload whose bytes
 * are more than that: killed between two chunks it goes on, killed while a chunk is on its way the blob starts anew
 * (registry/handlers/blobupload.go, `ResumeBlobUpload`, "upload resumed at wrong offest").
 * @param found an upload to go on with
 * @returns false where the destination turned out not to take chunks: the blob is to be sent whole
 */
export async function putChunks(
  transfer: BlobTransfer,
  found: Upload | undefined,
): Promise<boolean> {
  const {blob} = transfer.job;
  await using cursor = transfer.cursor();
  let upload = found;
  let timeouts = 0;
  for (;;) {
    try {
      upload ??= await beginUpload(transfer, cursor);
      await sendRest(transfer, upload, cursor);
      break;
    } catch (error) {
      // The next attempt may be a while off, and others can use the connections.
      await cursor.letGo();
      if (upload !== undefined && isUnsupported(error)) {
        transfer.settings.chunkSize.unsupported();
        await upload.cancel(transfer.call);
        return false;
      }
      await transfer.failed(error);
      if (upload === undefined) continue;
      const {offset} = upload;
      const wasComplete = offset === blob.size;
      upload = await whereItStands(transfer, upload);
      timeouts = isTimeout(error) && upload?.offset === offset ? timeouts + 1 : 0;
      // The registry answers and the upload takes nothing: a chunk of a connection long gone may still hold it.
      if (timeouts === STUCK) upload = undefined;
      // The closing request may have done its work although its answer never came.
      if (upload === undefined && wasComplete && (await transfer.isThere())) return true;
    }
  }
  if (!cursor.hashesAll && !(await transfer.isThere())) throw notKept(transfer);
  return true;
}

/** Opens an upload. The first bytes are on their way meanwhile, which is one round trip less. */
async function beginUpload({job, call}: BlobTransfer, cursor: BlobCursor): Promise<Upload> {
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

/** Goes on with an upload of an earlier run; undefined: it is gone, or of no use. */
export async function findUpload(transfer: BlobTransfer): Promise<Upload | undefined> {
  const {saved, upload: open, destination, blob} = transfer.job;
  if (open !== undefined || saved === undefined) return open;
  const found = await transfer.ask((call) => destination.resumeUpload(saved, call));
  if (found === undefined || found.offset <= blob.size) return found;
  await found.cancel(transfer.call);
  return undefined;
}

/** Sends from the upload's offset to the end and closes the upload. */
async function sendRest(transfer: BlobTransfer, upload: Upload, cursor: BlobCursor): Promise<void> {
  const {job, settings, events, call} = transfer;
  const {size} = job.blob;
  for (;;) {
    transfer.acknowledged(upload.offset);
    await events.saved(upload.saved);
    throwIfStopping(settings.stopping);
    if (upload.offset >= size) break;
    await cursor.seek(upload.offset);
    cursor.mark();
    await sendChunk(transfer, upload, cursor);
  }
  await upload.commit(job.blob, call);
}

async function sendChunk(
  transfer: BlobTransfer,
  upload: Upload,
  cursor: BlobCursor,
): Promise<void> {
  const {chunkSize} = transfer.settings;
  const wanted = chunkSize.next(upload.minChunk, transfer.failures);
  const length = Math.min(wanted, transfer.job.blob.size - upload.offset);
  let began = performance.now();
  // What was waited for before says nothing of the line: a slot, a host that wants to be left alone, the source.
  let isBegun = false;
  const body = cursor.take(length, (bytes) => {
    if (!isBegun) began = performance.now();
    isBegun = true;
    transfer.events.sent(bytes);
  });
  try {
    await upload.append(body, length, transfer.call);
  } catch (error) {
    throw transfer.tooLarge(error, length) ?? error;
  }
  if (length === wanted) chunkSize.measured(length, performance.now() - began);
}

/** After any doubt the registry is asked; an upload that cannot be gone on with, or is too long, starts anew. */
async function whereItStands(transfer: BlobTransfer, upload: Upload): Promise<Upload | undefined> {
  const offset = await transfer.ask((call) => upload.ask(call));
  if (offset === undefined) return undefined;
  if (offset <= transfer.job.blob.size) return upload;
  await upload.cancel(transfer.call);
  return undefined;
}

/** The registry closed the upload, and does not have the blob. */
function notKept({job}: BlobTransfer): TransshipError {
  return new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `${job.destination.name}@${job.blob.digest} is missing after its upload was completed`,
    {
      side: 'destination',
      hint: 'the registry stored other bytes or lost them; apply again, and check its storage if this happens again',
    },
  );
}
