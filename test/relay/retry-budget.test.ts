import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import type {RetryPolicy} from '../../src/http/retry.ts';
import {TransshipError} from '../../src/model/error.ts';
import {RetryBudget} from '../../src/relay/retry-budget.ts';
import {NEVER} from '../support/streams.ts';
import {KiB} from '../support/transfer-rig.ts';

const GiB = 1024 * 1024 * KiB;
const POLICY: RetryPolicy = {attempts: 4, attemptsAt500: 2, baseMs: 2, capMs: 6, budgetMs: 100};
/** Pauses that no test sees the end of. */
const ENDLESS = {baseMs: 3_600_000, capMs: 3_600_000, budgetMs: 3_600_000};
const call = {signal: NEVER};

/** Half of each bound is waited for. */
beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.restoreAllMocks();
});

function failure(more: Partial<TransshipError> = {}) {
  return new TransshipError('TIMEOUT', 'nothing came', {
    side: 'source',
    hint: 'none',
    retry: true,
    ...more,
  });
}

/** A budget, and the waits that it told of, in ms. */
function budgetOf(policy: Partial<RetryPolicy> = {}) {
  const waits: number[] = [];
  const budget = new RetryBudget({...POLICY, ...policy}, (_attempt, ms) => waits.push(ms));
  return {
    budget,
    waits,
    fail: (more: Partial<TransshipError> = {}) => budget.spend(failure(more), 'source', call),
  };
}

describe('a retry budget', () => {
  it('waits longer each time, up to the cap, and ends at the limit', async () => {
    const {waits, fail} = budgetOf();
    for (let n = 0; n < 3; n += 1) await fail();
    await expect(fail()).rejects.toMatchObject({code: 'TIMEOUT'});
    expect(waits).toEqual([1, 2, 3]);
  });

  it('waits for Retry-After plus jitter, so that retries are spread', async () => {
    const waits = [];
    for (const part of [0, 0.25, 0.75]) {
      vi.mocked(Math.random).mockReturnValue(part);
      const told = budgetOf({baseMs: 4});
      await told.fail({retryAfterMs: 5});
      waits.push(...told.waits);
    }
    expect(waits).toEqual([5, 6, 8]);
  });

  it('does not count how often a host wants fewer requests, but how long it is waited for', async () => {
    const {waits, fail} = budgetOf();
    for (let n = 0; n < 8; n += 1) await fail({status: 429, retryAfterMs: 9});
    await expect(fail({status: 429, retryAfterMs: 9})).rejects.toMatchObject({retryAfterMs: 9});
    expect(waits).toEqual([10, 11, 12, 12, 12, 12, 12, 12]);
  });

  it('ends at what no other try changes, was tried before, or wants a wait that is too long', async () => {
    const {waits, fail} = budgetOf();
    await expect(fail({retry: false})).rejects.toMatchObject({retry: false});
    await expect(fail({exhausted: true})).rejects.toMatchObject({exhausted: true});
    await expect(fail({retryAfterMs: 101})).rejects.toMatchObject({retryAfterMs: 101});
    expect(waits).toEqual([]);
  });

  it('ends sooner at 500, which is often an answer for good', async () => {
    const {waits, fail} = budgetOf();
    await fail({status: 500});
    await expect(fail({status: 500})).rejects.toMatchObject({status: 500});
    expect(waits).toHaveLength(1);
  });

  it('is not refilled by a few bytes for each failure', async () => {
    const {budget, fail} = budgetOf();
    for (let n = 0; n < 3; n += 1) {
      await fail();
      budget.arrived(40 * KiB, GiB);
    }
    await expect(fail()).rejects.toMatchObject({code: 'TIMEOUT'});
  });

  it.each([
    ['64 KiB in pieces', GiB, 16 * KiB],
    ['a good part of little', 1280, 3],
  ])('is refilled by %s', async (_what, whole, piece) => {
    const {budget, fail} = budgetOf();
    for (let n = 0; n < 20; n += 1) {
      await fail();
      for (let pieces = 0; pieces < 4; pieces += 1) budget.arrived(piece, whole);
      expect(budget.failures).toBe(0);
    }
  });

  it('ends with the reason of an abort', async () => {
    const {budget} = budgetOf(ENDLESS);
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = budget.spend(failure(), 'source', {signal: controller.signal});
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it('waits no longer when the run is to end', async () => {
    const stopping = new AbortController();
    const budget = new RetryBudget({...POLICY, ...ENDLESS}, () => undefined, stopping.signal);
    const waiting = budget.spend(failure(), 'source', call);
    stopping.abort();
    await expect(waiting).rejects.toMatchObject({code: 'INTERRUPTED'});
  });
});
