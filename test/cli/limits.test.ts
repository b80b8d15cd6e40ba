import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {RunEvent} from '../../src/model/event.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {transship} from '../support/transship.ts';

const MiB = 1024 * 1024;
const FROM = 'from/app' as RepositoryPath;
let cleanup: AsyncDisposableStack;
let intercept: Intercept | undefined;
let source: Sandbox;
let destination: Sandbox;

beforeEach(async () => {
  intercept = undefined;
  cleanup = new AsyncDisposableStack();
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({
      intercept: (exchange, next) => (intercept ? intercept(exchange, next) : next()),
    }),
  );
});
afterEach(() => cleanup.disposeAsync());

function copyArgs(...flags: readonly string[]): readonly string[] {
  return ['copy', `${source.host}/${FROM}`, `${destination.host}/to/app`, ...flags];
}

test('--limit-rate limits the rate of a copy', async () => {
  await storeImage(source.storage, FROM, 'v1', [someBytes(256 * 1024)]);
  const began = performance.now();
  expect((await transship(copyArgs('--limit-rate', '256KiB'))).code).toBe(0);
  // A tenth of a second may go at once; nothing can make it shorter than the rest.
  expect(performance.now() - began).toBeGreaterThan(890);
});

/** The sizes of the blobs that were on their way, after each event. */
function onTheirWay(events: readonly RunEvent[]): readonly (readonly number[])[] {
  const now = new Map<string, number>();
  return events.map((event) => {
    if (event.type === 'blob-started') now.set(event.digest, event.size);
    if (event.type === 'blob-ended') now.delete(event.digest);
    return [...now.values()];
  });
}

describe('--jobs', () => {
  const [large, small] = [9 * MiB, 1000];

  /** Copies two images of two large and three small layers each, all uploads held until so many of them wait. */
  async function copyWith(jobs: number) {
    for (const tag of ['a', 'b']) {
      const sizes = [large, small, large, small, small];
      await storeImage(source.storage, FROM, tag, sizes.map(someBytes));
    }
    const held = Promise.withResolvers<void>();
    let waiting = 0;
    intercept = async ({method, route}, next) => {
      if (method === 'POST' && route.kind === 'uploads') {
        waiting += 1;
        if (waiting === jobs) held.resolve();
        await held.promise;
      }
      return next();
    };
    const run = await transship(copyArgs('--jobs', String(jobs), '--progress', 'json'));
    expect(run.code).toBe(0);
    return run.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
  }

  test.each([1, 2, 3, 5])('%i are never more than that, large and small together', async (jobs) => {
    const counts = onTheirWay(await copyWith(jobs)).map(({length}) => length);
    expect(Math.max(...counts)).toBe(jobs);
  });

  test('large ones go first, and leave one place for others', async () => {
    const all = onTheirWay(await copyWith(3));
    const held = all.find(({length}) => length === 3) ?? [];
    expect(held.filter((size) => size === large)).toHaveLength(2);
  });
});
