import type {Call} from '../model/port.ts';
import type {BlobJob, TransferEvents, TransferSettings} from './blob-job.ts';
import {BlobTransfer} from './blob-transfer.ts';
import {isDigestMismatch} from './digest-mismatch.ts';
import {findUpload, putChunks} from './put-chunks.ts';
import {putWhole} from './put-whole.ts';

/**
 * Brings one blob from place to place without storing it: small ones in one PUT, large ones in chunks that can be
 * continued. Size and digest are checked before the closing request, and by the registry at it.
 * @throws TransshipError of the side that failed; INTERRUPTED where the run was told to stop
 */
export async function transferBlob(
  job: BlobJob,
  settings: TransferSettings,
  events: TransferEvents,
  call: Call,
): Promise<void> {
  const {connections} = settings;
  const isLarge = job.blob.size > connections.buffers.size;
  if (isLarge) connections.enter();
  try {
    await transferOnce(new BlobTransfer(job, settings, events, call));
  } catch (error) {
    // A line or a disk may have changed a bit, or an upload have mixed two runs: once more from the start.
    if (!isDigestMismatch(error)) throw error;
    events.acknowledged(0);
    const {blob, source, destination} = job;
    await transferOnce(new BlobTransfer({blob, source, destination}, settings, events, call));
  } finally {
    if (isLarge) connections.leave();
  }
}

async function transferOnce(transfer: BlobTransfer): Promise<void> {
  const {blob} = transfer.job;
  const upload = await findUpload(transfer);
  const {chunkSize} = transfer.settings;
  let isDone = false;
  // Each way may turn out to be closed, once: one request is too large, or chunks are not taken.
  if (upload === undefined && blob.size <= chunkSize.next()) isDone = await putWhole(transfer);
  isDone ||= await putChunks(transfer, upload);
  if (!isDone) await putWhole(transfer);
  transfer.acknowledged(blob.size);
}
