import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import type {OpenFrom} from '../../src/relay/blob-cursor.ts';
import {SharedReading} from '../../src/relay/shared-reading.ts';
import {collect, NEVER} from '../support/streams.ts';

const CHUNK = 256 * 1024;

interface Source {
  readonly opened: readonly number[];
  readonly read: () => number;
  readonly closed: () => number;
  readonly open: OpenFrom;
}

/** A source of so many chunks, each filled with its number, that counts how often it is opened and read. */
function sourceOf(count: number, fail?: {readonly at: number}) {
  const opened: number[] = [];
  let read = 0;
  let closed = 0;
  async function* open(offset: number): AsyncGenerator<Uint8Array, void, undefined> {
    opened.push(offset);
    try {
      const borrowed = Buffer.alloc(CHUNK);
      for (let at = offset / CHUNK; at < count; at += 1) {
        await Promise.resolve();
        if (fail?.at === at) throw new Error('the source failed');
        read += 1;
        yield borrowed.fill(at);
      }
    } finally {
      closed += 1;
    }
  }
  const source: Source = {opened, read: () => read, closed: () => closed, open};
  return source;
}

const bytesOf = (count: number) =>
  Buffer.concat(Array.from({length: count}, (_, at) => Buffer.alloc(CHUNK, at)));

beforeEach(() => {
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a shared reading', () => {
  it('reads the source once, whichever reader is faster', async () => {
    const source = sourceOf(40);
    const reading = new SharedReading(2);
    const all = [reading.reader(), reading.reader()].map((reader) =>
      collect(reader.read(0, source.open, NEVER)),
    );
    for (const bytes of await Promise.all(all)) expect(bytes.equals(bytesOf(40))).toBe(true);
    expect([source.opened, source.read(), source.closed()]).toEqual([[0], 40, 1]);
  });

  it('buffers no more than its window for a reader that has not started, and waits for it', async () => {
    const source = sourceOf(40);
    const reading = new SharedReading(2);
    const [first, second] = [reading.reader(), reading.reader()];
    const one = collect(first.read(0, source.open, NEVER));
    await vi.advanceTimersByTimeAsync(1000);
    expect(source.read()).toBe(4);
    const other = await collect(second.read(0, source.open, NEVER));
    expect(other.equals(bytesOf(40))).toBe(true);
    expect((await one).equals(bytesOf(40))).toBe(true);
    expect(source.opened).toEqual([0]);
  });

  it('continues without a reader that leaves', async () => {
    const source = sourceOf(20);
    const reading = new SharedReading(2);
    const [first, second] = [reading.reader(), reading.reader()];
    const one = collect(first.read(0, source.open, NEVER));
    second.leave();
    expect((await one).equals(bytesOf(20))).toBe(true);
    expect([source.opened, source.closed()]).toEqual([[0], 1]);
  });

  it('drops a reader that stalls; that one reads the rest for itself', async () => {
    const source = sourceOf(30);
    const reading = new SharedReading(2);
    const slow = reading.reader().read(0, source.open, NEVER);
    const pieces: Buffer[] = [Buffer.from((await slow.next()).value ?? [])];
    const fast = collect(reading.reader().read(0, source.open, NEVER));
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await fast).equals(bytesOf(30))).toBe(true);
    pieces.push(await collect(slow));
    expect(Buffer.concat(pieces).equals(bytesOf(30))).toBe(true);
    expect(source.opened).toEqual([0, CHUNK]);
    expect(source.closed()).toBe(2);
  });

  it('lets a reader begin again on its own', async () => {
    const source = sourceOf(30);
    const reading = new SharedReading(2);
    const [first, second] = [reading.reader(), reading.reader()];
    const broken = first.read(0, source.open, NEVER);
    const other = collect(second.read(0, source.open, NEVER));
    await broken.next();
    await broken.return();
    expect((await other).equals(bytesOf(30))).toBe(true);
    const again = await collect(first.read(2 * CHUNK, source.open, NEVER));
    expect(again.equals(bytesOf(30).subarray(2 * CHUNK))).toBe(true);
    expect(source.opened).toEqual([0, 2 * CHUNK]);
  });

  it('passes a failure of the source to all readers, and each may retry', async () => {
    const source = sourceOf(30, {at: 3});
    const reading = new SharedReading(2);
    const readers = [reading.reader(), reading.reader()];
    const ends = await Promise.allSettled(
      readers.map((reader) => collect(reader.read(0, source.open, NEVER))),
    );
    expect(ends.map(({status}) => status)).toEqual(['rejected', 'rejected']);
    const whole = sourceOf(30);
    const [reader] = readers;
    if (reader === undefined) throw new Error('no reader');
    expect((await collect(reader.read(0, whole.open, NEVER))).equals(bytesOf(30))).toBe(true);
  });

  it('lets a slower reader continue separately if the source failed for the faster one', async () => {
    const failing = sourceOf(30, {at: 3});
    const whole = sourceOf(30);
    const reading = new SharedReading(2);
    const [ahead, behind] = [reading.reader(), reading.reader()];
    const first = ahead.read(0, failing.open, NEVER);
    await first.next();
    const late = behind.read(0, whole.open, NEVER);
    const pieces: Buffer[] = [Buffer.from((await late.next()).value ?? [])];
    await expect(collect(first)).rejects.toThrow('the source failed');
    pieces.push(await collect(late));
    expect(Buffer.concat(pieces).equals(bytesOf(30))).toBe(true);
    expect(whole.opened).toEqual([3 * CHUNK]);
  });

  it('ends the wait of a reader whose signal is aborted', async () => {
    const source = sourceOf(30);
    const reading = new SharedReading(2);
    const end = new AbortController();
    const waiting = collect(reading.reader().read(0, source.open, end.signal));
    await vi.advanceTimersByTimeAsync(1000);
    end.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
