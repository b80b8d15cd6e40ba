import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {describe, expect, it} from 'vitest';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {digestOf} from '../../src/model/digest.ts';
import {BlobCursor} from '../../src/relay/blob-cursor.ts';
import {collect} from '../support/streams.ts';

const PIECE = 10;
const CONTENT = randomBytes(95);
const BLOB: Descriptor = {
  mediaType: 'application/octet-stream',
  digest: digestOf(CONTENT),
  size: CONTENT.length,
};

/** Pieces of ten bytes; each waits for `ready`. */
async function* pieces(
  offset: number,
  ready: () => Promise<void> = () => Promise.resolve(),
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = offset; at < CONTENT.length; at += PIECE) {
    await ready();
    yield CONTENT.subarray(at, at + PIECE);
  }
}

describe('a cursor', () => {
  it('hands the blob out in pieces of any size', async () => {
    await using cursor = new BlobCursor(BLOB, (offset) => pieces(offset));
    const taken: Buffer[] = [];
    for (const length of [3, 17, 10, 0, 65]) taken.push(await collect(cursor.take(length)));
    expect(taken.map((part) => part.length)).toEqual([3, 17, 10, 0, 65]);
    expect(Buffer.concat(taken).equals(CONTENT)).toBe(true);
    expect(cursor.hashesAll).toBe(true);
  });

  it('opens the source again only if it is set back', async () => {
    const opened: number[] = [];
    await using cursor = new BlobCursor(BLOB, (offset) => {
      opened.push(offset);
      return pieces(offset);
    });
    await collect(cursor.take(20));
    await cursor.seek(20);
    cursor.mark();
    await collect(cursor.take(25));
    await cursor.seek(20);
    expect((await collect(cursor.take(75))).equals(CONTENT.subarray(20))).toBe(true);
    expect(opened).toEqual([0, 20]);
    expect(cursor.hashesAll).toBe(true);
  });

  it('prefetches once, and passes the result to the first reader', async () => {
    const opened: number[] = [];
    await using cursor = new BlobCursor(BLOB, (offset) => {
      opened.push(offset);
      return pieces(offset);
    });
    cursor.prefetch();
    cursor.prefetch();
    expect(opened).toEqual([0]);
    expect((await collect(cursor.take(95))).equals(CONTENT)).toBe(true);
    expect(opened).toEqual([0]);
  });

  it('forgets what it asked ahead for when it is set elsewhere', async () => {
    await using cursor = new BlobCursor(BLOB, (offset) => pieces(offset));
    cursor.prefetch();
    await cursor.seek(50);
    expect((await collect(cursor.take(45))).equals(CONTENT.subarray(50))).toBe(true);
  });

  it('knows that it has not seen all of it after a jump', async () => {
    await using cursor = new BlobCursor(BLOB, (offset) => pieces(offset));
    await cursor.seek(50);
    expect((await collect(cursor.take(45))).equals(CONTENT.subarray(50))).toBe(true);
    expect(cursor.hashesAll).toBe(false);
  });

  it('passes nothing of a pending read to the next one after it is set back', async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let reads = 0;
    await using cursor = new BlobCursor(BLOB, (offset) => {
      reads += 1;
      const gate = reads === 1 ? gates[0] : undefined;
      return pieces(offset, () => gate?.promise ?? Promise.resolve());
    });
    const abandoned = cursor.take(50);
    const stale = abandoned.next();
    const set = cursor.seek(0);
    gates[0]?.resolve();
    await set;
    const whole = await collect(cursor.take(BLOB.size));
    expect(whole.equals(CONTENT)).toBe(true);
    expect(await stale).toMatchObject({done: true});
  });

  it('ends a read that hangs when it is set back', async () => {
    const first = Promise.withResolvers<void>();
    const hang = async (end: AbortSignal): Promise<void> => {
      first.resolve();
      await once(end, 'abort');
      throw new Error('ended');
    };
    await using cursor = new BlobCursor(BLOB, (offset, end) =>
      offset === 0 ? pieces(offset, () => hang(end)) : pieces(offset),
    );
    const reading = cursor
      .take(50)
      .next()
      .catch((error: unknown) => error);
    await first.promise;
    await cursor.seek(30);
    expect(await reading).toMatchObject({message: 'ended'});
    expect((await collect(cursor.take(65))).equals(CONTENT.subarray(30))).toBe(true);
  });

  it('does not give the last bytes of a blob that has another digest', async () => {
    const wrong = {...BLOB, digest: digestOf('other')};
    await using cursor = new BlobCursor(wrong, (offset) => pieces(offset));
    await collect(cursor.take(90));
    await expect(collect(cursor.take(5))).rejects.toMatchObject({
      code: 'BLOB_DIGEST_MISMATCH',
      side: 'source',
    });
  });
});
