import {LARGE_BODY} from '../http/message.ts';
import type {BlobBody} from '../model/port.ts';
import type {BlobTransfer} from './blob-transfer.ts';

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/**
 * Opens the whole blob as a request's body. Its first bytes are asked for at once, while the upload is being opened. A
 * small one is read to its end: sending it then waits for nothing at the source.
 * @throws what the source throws
 */
export async function openBody(transfer: BlobTransfer): Promise<BlobBody> {
  const {size} = transfer.job.blob;
  if (size > LARGE_BODY) {
    const chunks = whole(transfer);
    return new Begun(chunks, await chunks.next());
  }
  const bytes = await transfer.bytes();
  transfer.events.sent(size);
  return bytes;
}

async function* whole(transfer: BlobTransfer): Bytes {
  await using cursor = transfer.cursor();
  yield* cursor.take(transfer.job.blob.size, transfer.events.sent);
}

/** A stream whose first chunk was asked for already. Ending it ends the stream, also before anything is taken. */
class Begun implements AsyncIterableIterator<Uint8Array, undefined> {
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
