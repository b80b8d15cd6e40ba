import {describe, expect, it} from 'vitest';
import {ChunkSize} from '../../src/relay/chunk-size.ts';
import {KiB} from '../support/transfer-rig.ts';

const MiB = 1024 * KiB;
const BOUNDS = {min: 16 * MiB, max: 64 * MiB};

describe('the size of a chunk', () => {
  it('begins at the least, grows with the rate, and stays below the most', () => {
    const size = new ChunkSize(BOUNDS);
    expect(size.next()).toBe(16 * MiB);
    size.measured(32 * MiB, 4_000);
    expect(size.next()).toBe(32 * MiB);
    size.measured(1024 * MiB, 1_000);
    expect(size.next()).toBe(64 * MiB);
  });

  it('is what a slow line takes a minute for, so that a token outlives it', () => {
    const size = new ChunkSize(BOUNDS);
    size.measured(16 * MiB, 16 * 60_000);
    expect(size.next()).toBe(1 * MiB);
    expect(new ChunkSize(BOUNDS, 100 * KiB).next()).toBe(60 * 100 * KiB);
  });

  it('is never less than the registry wants', () => {
    const size = new ChunkSize(BOUNDS);
    expect(size.next(20 * MiB)).toBe(20 * MiB);
    expect(size.next(20 * MiB, 5)).toBe(20 * MiB);
  });

  it('halves with each failure in a row after the first', () => {
    const size = new ChunkSize(BOUNDS);
    expect([0, 1, 2, 3].map((failures) => size.next(0, failures) / MiB)).toEqual([16, 16, 8, 4]);
    expect(size.next(0, 30)).toBe(16 * KiB);
  });

  it('stays below a size that was too large, for all later chunks', () => {
    const size = new ChunkSize(BOUNDS);
    expect(size.refused(10 * MiB)).toBe(true);
    expect(size.next()).toBe(5 * MiB);
    size.measured(64 * MiB, 1_000);
    expect(size.next()).toBe(5 * MiB);
    expect(size.refused(16 * KiB)).toBe(false);
  });
});
