import {afterEach, beforeEach, expect, it, vi} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import type {RepositoryReader, RepositoryWriter, Upload} from '../../src/model/port.ts';
import {ChunkSize} from '../../src/relay/chunk-size.ts';
import {ReadConnections} from '../../src/relay/read-connections.ts';
import {relayBlob} from '../../src/relay/relay-blob.ts';
import {NEVER} from '../support/streams.ts';
import {HASTY} from '../support/transfer-rig.ts';

const CONTENT = Buffer.from('01234567');
const BLOB = {mediaType: 'a/b', digest: digestOf(CONTENT), size: CONTENT.length};
const QUEUE_MS = 60_000;
const SOURCE_MS = 30_000;
const PIECE_MS = 1_000;
const PIECE = 2;

beforeEach(() => {
  vi.useFakeTimers({toFake: ['performance']});
});
afterEach(() => {
  vi.useRealTimers();
});

/** Takes its time before it gives anything. */
const source: Pick<RepositoryReader, 'name' | 'openBlob'> = {
  name: 'slow to begin',
  openBlob: async (_blob, {offset}) => ({
    start: offset,
    end: BLOB.size,
    chunks: (async function* () {
      vi.advanceTimersByTime(SOURCE_MS);
      for (let at = offset; at < BLOB.size; at += PIECE) yield CONTENT.subarray(at, at + PIECE);
    })(),
  }),
};

/** Takes its time before it takes anything, and some for each piece. */
function slowUpload(): Upload {
  let offset = 0;
  return {
    minChunk: 0,
    get offset() {
      return offset;
    },
    get saved() {
      return {digest: BLOB.digest, location: 'here', offset};
    },
    async append(body) {
      vi.advanceTimersByTime(QUEUE_MS);
      for await (const chunk of body) {
        vi.advanceTimersByTime(PIECE_MS);
        offset += chunk.byteLength;
      }
      return offset;
    },
    queryOffset: () => Promise.resolve(offset),
    commit: () => Promise.resolve(),
    cancel: () => Promise.resolve(),
  };
}

it('the time of a chunk is that of sending it, without what it waited for before', async () => {
  const destination = {name: 'slow to begin', beginUpload: () => Promise.resolve(slowUpload())};
  const chunkSize = new ChunkSize({min: 4, max: 4});
  const measured = vi.spyOn(chunkSize, 'measured');
  await relayBlob(
    {
      blob: BLOB,
      source: source as RepositoryReader,
      destination: destination as unknown as RepositoryWriter,
    },
    {chunkSize, retry: HASTY, connections: new ReadConnections(), stopping: NEVER},
    {
      acknowledged: () => undefined,
      resized: () => undefined,
      sending: () => undefined,
      sent: () => undefined,
      saved: () => Promise.resolve(),
      retrying: () => undefined,
    },
    {signal: NEVER},
  );
  expect(measured.mock.calls).toEqual([
    [4, 2 * PIECE_MS],
    [4, 2 * PIECE_MS],
  ]);
});
