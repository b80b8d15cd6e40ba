import {TransshipError} from '../model/error.ts';
import type {BlobTransfer} from './blob-transfer.ts';
import {openBody} from './open-body.ts';

/**
 * Sends a blob in one PUT.
 * @returns false where it is too large for that, although the size of chunks so far allowed it
 */
export async function putWhole(transfer: BlobTransfer): Promise<boolean> {
  const {blob, destination} = transfer.job;
  for (;;) {
    try {
      await destination.putBlob(blob, () => openBody(transfer), transfer.call);
      return true;
    } catch (error) {
      const tooLarge = transfer.tooLarge(error, blob.size);
      await transfer.failed(tooLarge ?? error);
      if (tooLarge !== undefined) return false;
      if (mayHaveArrived(error) && (await transfer.isThere())) return true;
    }
  }
}

/** The answer was lost, or a proxy gave up waiting for it. */
function mayHaveArrived(error: unknown): boolean {
  return error instanceof TransshipError && (error.status === undefined || error.status >= 500);
}
