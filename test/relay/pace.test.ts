import {describe, expect, it} from 'vitest';
import {OCI_MANIFEST} from '../../src/model/media-type.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RepositoryReader} from '../../src/model/port.ts';
import {Pace, readBlob} from '../../src/relay/read-blob.ts';
import {ReadConnections} from '../../src/relay/read-connections.ts';
import {readParts} from '../../src/relay/read-parts.ts';
import {RetryBudget} from '../../src/relay/retry-budget.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';
import {HASTY} from '../support/transfer-rig.ts';

const newBudget = () => new RetryBudget({...HASTY, attempts: 99}, () => undefined);

describe('a pace', () => {
  it('counts the time of waiting only', () => {
    let now = 0;
    const pace = new Pace({bytes: 100, ms: 1000}, () => now);
    now += 900;
    expect(pace.isTooSlow(10)).toBe(false);
    // The reader takes its time.
    now += 5000;
    pace.waits();
    now += 99;
    expect(pace.isTooSlow(10)).toBe(false);
    pace.waits();
    now += 1;
    expect(pace.isTooSlow(10)).toBe(true);
  });

  it('is a rate: many bytes after a long pause are not fast', () => {
    let now = 0;
    const pace = new Pace({bytes: 100, ms: 1000}, () => now);
    now += 10_000;
    expect(pace.isTooSlow(999)).toBe(true);
    pace.waits();
    now += 10_000;
    expect(pace.isTooSlow(1000)).toBe(false);
  });

  it('is judged anew in each period', () => {
    let now = 0;
    const pace = new Pace({bytes: 100, ms: 1000}, () => now);
    now += 1000;
    expect(pace.isTooSlow(100)).toBe(false);
    pace.waits();
    now += 1000;
    expect(pace.isTooSlow(99)).toBe(true);
  });
});

describe('a slow connection is replaced by another, which resumes there,', () => {
  const content = Buffer.from('0123456789');
  const blob = {mediaType: OCI_MANIFEST, digest: digestOf(content), size: content.length};
  /** Each byte comes too slowly, whatever the time that it takes. */
  const context = {newBudget, slowest: {bytes: 100, ms: 1e-9}};
  const call = {signal: NEVER};

  function startTrickle() {
    const offsets: number[] = [];
    const source: Pick<RepositoryReader, 'name' | 'openBlob'> = {
      name: 'trickling',
      openBlob: async (_blob, {offset, end = content.length}) => {
        offsets.push(offset);
        const pieces = Array.from(content.subarray(offset, end), (byte) => Uint8Array.of(byte));
        return {start: offset, end, chunks: streamOf(pieces)};
      },
    };
    return {offsets, source: source as RepositoryReader};
  }

  it('in one', async () => {
    const {offsets, source} = startTrickle();
    const chunks = readBlob(source, blob, 0, context, call);
    expect((await collect(chunks)).equals(content)).toBe(true);
    expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('in parts', async () => {
    const {offsets, source} = startTrickle();
    const connections = new ReadConnections(2, 5);
    const chunks = readParts(source, blob, 0, {...context, connections}, call);
    expect((await collect(chunks)).equals(content)).toBe(true);
    expect(offsets.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});
