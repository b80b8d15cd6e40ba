import {randomBytes} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import type {Call, RepositoryReader} from '../../src/model/port.ts';
import {ReadConnections} from '../../src/relay/read-connections.ts';
import {readParts} from '../../src/relay/read-parts.ts';
import {RetryBudget} from '../../src/relay/retry-budget.ts';
import {NEVER} from '../support/streams.ts';
import {HASTY, KiB, TransferRig} from '../support/transfer-rig.ts';

const PART = 64 * KiB;
const call = {signal: NEVER};

function contextOf(connections: ReadConnections, policy = HASTY) {
  return {connections, newBudget: () => new RetryBudget(policy, () => undefined)};
}

async function* trickle(signal: AbortSignal) {
  for (;;) {
    await delay(1, undefined, {signal});
    yield new Uint8Array(16);
  }
}

/** A source that needs so many ms for the bytes of a part. The clock stands still otherwise. */
function paced(source: RepositoryReader, msPerPart: number): RepositoryReader {
  const openBlob: RepositoryReader['openBlob'] = async (...asked) => {
    const stream = await source.openBlob(...asked);
    return {...stream, chunks: arriving(stream.chunks, msPerPart)};
  };
  return {name: source.name, openBlob} as Pick<
    RepositoryReader,
    'name' | 'openBlob'
  > as RepositoryReader;
}

async function* arriving(chunks: AsyncIterable<Uint8Array>, msPerPart: number) {
  for await (const chunk of chunks) {
    vi.advanceTimersByTime((msPerPart * chunk.byteLength) / PART);
    yield chunk;
  }
}

/** Copies what is borrowed. */
async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

/** Reads a blob of 40 parts while the one other connection becomes free. */
async function readWhileOneLeaves(
  source: (rig: TransferRig) => RepositoryReader,
  connections = new ReadConnections(2, PART),
) {
  await using rig = await TransferRig.start();
  const content = randomBytes(40 * PART);
  const blob = await rig.blob(content.length, content);
  connections.enter();
  connections.enter();
  const chunks = readParts(source(rig), blob, 0, contextOf(connections), call);
  const {value} = await chunks.next();
  const first = Buffer.from(value ?? []);
  connections.leave();
  expect(Buffer.concat([first, await readAll(chunks)]).equals(content)).toBe(true);
  return rig.sandboxes.source.log.entries.filter(({kind}) => kind === 'blob').length;
}

describe('reading in parts', () => {
  it.each([
    ['from the start', 0],
    ['from the middle of a part', PART + 17],
  ])('joins them in order, %s', async (_what, offset) => {
    await using rig = await TransferRig.start();
    const content = randomBytes(20 * PART + 5);
    const blob = await rig.blob(content.length, content);
    const connections = new ReadConnections(4, PART);
    const read = await readAll(readParts(rig.source, blob, offset, contextOf(connections), call));
    expect(read.equals(content.subarray(offset))).toBe(true);
    expect(connections.tryTake()).toBe(true);
  });

  it('heals parts that break, each where it broke', async () => {
    const fault = {kind: 'cut-answer', after: 10_000} as const;
    await using rig = await TransferRig.start({
      source: [{method: 'GET', about: 'blob', times: 40, fault}],
    });
    const content = randomBytes(8 * PART);
    const blob = await rig.blob(content.length, content);
    const context = contextOf(new ReadConnections(4, PART));
    const read = await readAll(readParts(rig.source, blob, 0, context, call));
    expect(read.equals(content)).toBe(true);
    expect(rig.sourceFaults.injected).toHaveLength(40);
  });

  it('fails with the part that cannot be had, and lets all connections go', async () => {
    const fault = {kind: 'refuse', status: 404} as const;
    await using rig = await TransferRig.start({
      source: [{method: 'GET', about: 'blob', skip: 2, times: 99, fault}],
    });
    const blob = await rig.blob(8 * PART);
    const connections = new ReadConnections(2, PART);
    const reading = readAll(readParts(rig.source, blob, 0, contextOf(connections), call));
    await expect(reading).rejects.toMatchObject({code: 'BLOB_NOT_FOUND'});
    expect([connections.tryTake(), connections.tryTake()]).toEqual([true, true]);
  });

  it('lets all connections go when the reader leaves', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(8 * PART);
    const connections = new ReadConnections(2, PART);
    const chunks = readParts(rig.source, blob, 0, contextOf(connections), call);
    await chunks.next();
    await chunks.return();
    expect([connections.tryTake(), connections.tryTake()]).toEqual([true, true]);
  });

  it('reuses the buffers of unread parts when the reader leaves', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(8 * PART);
    const connections = new ReadConnections(4, PART);
    const {buffers} = connections;
    const take = vi.spyOn(buffers, 'take');
    const chunks = readParts(rig.source, blob, 0, contextOf(connections), call);
    const {value} = await chunks.next();
    await chunks.return();
    const [first, ...others] = take.mock.results.map((result) => result.value as Buffer);
    expect(first?.buffer).toBe(value?.buffer);
    expect(others).toHaveLength(3);
    // What was given away last may still be on its way out.
    const again = [buffers.take(), buffers.take(), buffers.take(), buffers.take()];
    expect(again.slice(0, 3).every((buffer) => others.includes(buffer))).toBe(true);
    expect(again).not.toContain(first);
  });

  it.each([
    ['in parts', 4],
    ['in one', 1],
  ])('resumes where a response ended that was shorter than requested, %s', async (_what, count) => {
    await using rig = await TransferRig.start();
    const content = randomBytes(4 * PART + 5);
    const blob = await rig.blob(content.length, content);
    const {source} = rig;
    const brief: Pick<RepositoryReader, 'name' | 'openBlob'> = {
      name: 'brief',
      openBlob: (_blob, {offset, end = blob.size}, thisCall) =>
        source.openBlob(blob, {offset, end: Math.min(end, offset + 10_000)}, thisCall),
    };
    const connections = new ReadConnections(count, PART);
    // No failure is got over.
    const context = contextOf(connections, {...HASTY, attempts: 1});
    const chunks = readParts(brief as RepositoryReader, blob, 0, context, call);
    expect((await readAll(chunks)).equals(content)).toBe(true);
    expect(connections.servesRanges('brief')).not.toBe(false);
  });

  it('opens more while the first part is still on its way', async () => {
    const size = 64 * PART;
    const blob = {mediaType: 'application/octet-stream', digest: digestOf('any'), size};
    const opened: number[] = [];
    const source = {
      name: 'far.example/app',
      openBlob: (_blob: unknown, {offset, end}: {offset: number; end: number}, {signal}: Call) => {
        opened.push(offset);
        return Promise.resolve({start: offset, end, chunks: trickle(signal)});
      },
    } as unknown as RepositoryReader;
    const context = contextOf(new ReadConnections(8, 8 * PART));
    const chunks = readParts(source, blob, 0, context, call);
    while (opened.length <= 4) await chunks.next();
    await chunks.return();
    expect(opened).toHaveLength(8);
  });

  describe('where the taker has enough to do with the first', () => {
    const size = 100 * PART;
    const blob = {mediaType: 'application/octet-stream', digest: digestOf('any'), size};
    const busy = {taker: 200, source: 0};

    /**
     * Reads with a taker that is busy, but for when the blob is read in one.
     * @param inOne ms that the taker and the source need for a piece then
     * @returns how the source was asked, and when, in ms
     */
    async function readsWith(inOne: typeof busy) {
      const reads: {readonly isPart: boolean; readonly ms: number}[] = [];
      let now = busy;
      async function* give(from: number, to: number) {
        for (let at = from; at < to; at += PART) {
          vi.advanceTimersByTime(now.source);
          yield await Promise.resolve(new Uint8Array(Math.min(PART, to - at)));
        }
      }
      const source = {
        name: 'far.example/app',
        openBlob: (_blob: unknown, {offset, end}: {offset: number; end?: number}) => {
          reads.push({isPart: end !== undefined, ms: performance.now()});
          return Promise.resolve({
            start: offset,
            end: end ?? size,
            chunks: give(offset, end ?? size),
          });
        },
      } as unknown as RepositoryReader;
      const context = contextOf(new ReadConnections(8, PART));
      let position = 0;
      for await (const chunk of readParts(source, blob, 0, context, call)) {
        position += chunk.byteLength;
        vi.advanceTimersByTime(now.taker);
        now = reads.at(-1)?.isPart ? busy : inOne;
      }
      expect(position).toBe(size);
      return reads;
    }

    beforeEach(() => {
      vi.useFakeTimers({toFake: ['performance']});
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('reads on in one', async () => {
      const reads = await readsWith({taker: 100, source: 0});
      expect(reads.filter(({isPart}) => !isPart)).toEqual([reads.at(-1)]);
      expect(reads.length).toBeLessThan(20);
    });

    it('reads in parts again, and for good, once it has waited for the source for a second', async () => {
      const reads = await readsWith({taker: 0, source: 100});
      const at = reads.findIndex(({isPart}) => !isPart);
      const [inOne, ...others] = reads.slice(at);
      expect(others.map(({isPart}) => isPart)).not.toContain(false);
      expect(others[0]?.ms).toBeGreaterThanOrEqual((inOne?.ms ?? Infinity) + 1000);
    });
  });

  it('reads on in one where others have all connections', async () => {
    await using rig = await TransferRig.start();
    const content = randomBytes(4 * PART);
    const blob = await rig.blob(content.length, content);
    const connections = new ReadConnections(2, PART);
    connections.enter();
    connections.enter();
    const read = await readAll(readParts(rig.source, blob, 0, contextOf(connections), call));
    expect(read.equals(content)).toBe(true);
    const reads = rig.sandboxes.source.log.entries.filter(({kind}) => kind === 'blob');
    expect(reads).toHaveLength(1);
  });

  it('reads no blob in parts where as many travel as there are connections', async () => {
    await using rig = await TransferRig.start();
    const blobs = await Promise.all([1, 2, 3, 4].map((more) => rig.blob(4 * PART + more)));
    const settings = {connections: new ReadConnections(4, PART)};
    await Promise.all(blobs.map((blob) => rig.transfer(blob, {settings})));
    const reads = rig.sandboxes.source.log.entries.filter(({kind}) => kind === 'blob');
    expect(reads).toHaveLength(4);
    expect(settings.connections.available).toBe(4);
  });

  describe('where others are done meanwhile', () => {
    beforeEach(() => {
      vi.useFakeTimers({toFake: ['performance']});
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('switches to parts', async () => {
      const connections = new ReadConnections(2, PART);
      const reads = await readWhileOneLeaves(({source}) => paced(source, 14), connections);
      expect(reads).toBeGreaterThan(10);
      expect(connections.available).toBe(2);
    });

    it('reads on in one where the rest takes no time', async () => {
      expect(await readWhileOneLeaves(({source}) => paced(source, 12))).toBe(1);
    });

    it('does not leave a source without ranges', async () => {
      const asked: number[] = [];
      const connections = new ReadConnections(2, PART);
      const withoutRanges = ({source}: TransferRig) =>
        ({
          ...paced(source, 100),
          name: 'without ranges',
          openBlob: (blob, range, more) => {
            asked.push(range.offset);
            return paced(source, 100).openBlob(blob, {offset: 0}, more);
          },
        }) satisfies RepositoryReader;
      await readWhileOneLeaves(withoutRanges, connections);
      // The blob, and one byte of it once.
      expect(asked).toHaveLength(2);
      expect(connections.servesRanges('without ranges')).toBe(false);
    });
  });

  it('reads a source without ranges in one, and remembers', async () => {
    await using rig = await TransferRig.start();
    const content = randomBytes(4 * PART + 1);
    const blob = await rig.blob(content.length, content);
    const {source} = rig;
    const whole: Pick<RepositoryReader, 'name' | 'openBlob'> = {
      name: 'without ranges',
      openBlob: () => source.openBlob(blob, {offset: 0}, call),
    };
    const connections = new ReadConnections(4, PART);
    const reader = whole as RepositoryReader;
    const read = await readAll(readParts(reader, blob, 100, contextOf(connections), call));
    expect(digestOf(read)).toBe(digestOf(content.subarray(100)));
    expect(connections.servesRanges('without ranges')).toBe(false);
    expect(connections.servesRanges(source.name)).toBeUndefined();
  });
});
