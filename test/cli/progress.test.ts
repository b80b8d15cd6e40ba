import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {RunTally} from '../../src/cli/reporters/run-tally.ts';
import type {RunEvent} from '../../src/model/event.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {FaultScript} from '../../src/sandbox/faults/fault-script.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const CHUNK = 64 * 1024;
const FROM = 'from/app' as RepositoryPath;
let cleanup: AsyncDisposableStack;
let intercept: Intercept | undefined;
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;

beforeEach(async () => {
  intercept = undefined;
  cleanup = new AsyncDisposableStack();
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({
      intercept: (exchange, next) => (intercept ? intercept(exchange, next) : next()),
    }),
  );
});
afterEach(() => cleanup.disposeAsync());

/** A signal that is aborted when the destination has stored that many chunks. */
function signalAtChunk(count: number): AbortSignal {
  const stopping = new AbortController();
  let chunks = 0;
  intercept = async ({method}, next) => {
    const reply = await next();
    chunks += method === 'PATCH' ? 1 : 0;
    if (chunks === count) stopping.abort();
    return reply;
  };
  return stopping.signal;
}

/** Runs a command. @returns its events */
async function eventsOf(args: readonly string[], options: TransshipOptions = {}) {
  const {code, stderr} = await transship([...args, '--progress', 'json'], options);
  const events = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunEvent);
  return {code, events};
}

/** Adds the events up, and makes sure that no sum is ever more than its whole. */
function tallyOf(events: readonly RunEvent[]): RunTally {
  const tally = new RunTally();
  for (const event of events) {
    tally.add(event);
    expect(tally.acknowledged).toBeLessThanOrEqual(tally.bytes);
    expect(tally.stepsEnded).toBeLessThanOrEqual(tally.steps);
  }
  return tally;
}

/** Bytes of blobs that came to the destination. */
function arrived(): number {
  return destination.log.entries
    .filter(({kind}) => kind === 'upload')
    .reduce((sum, {bytesIn}) => sum + bytesIn, 0);
}

function bytesOfPlan(events: readonly RunEvent[]): number | undefined {
  return events.find((event) => event.type === 'run-started')?.bytes;
}

describe('a second run', () => {
  test('begins at the progress of the first one, with the rate of its own bytes', async () => {
    const plan = temp.join('app.plan.json');
    const sizes = {done: 3 * CHUNK, halfWay: 6 * CHUNK, left: 100};
    await storeImage(source.storage, FROM, 'a', [someBytes(sizes.done)]);
    const places = [`${source.host}/${FROM}`, `${destination.host}/to/app`];
    // The first run: one image whole, one blob of another half-way.
    const only = ['plan', 'copy', `${places[0]}:a`, `${places[1]}`];
    await transship([...only, '--out', temp.join('a.json')]);
    await storeImage(source.storage, FROM, 'b', [someBytes(sizes.halfWay), someBytes(sizes.left)]);
    await transship(['plan', 'copy', ...places, '--out', plan]);
    expect((await transship(['apply', temp.join('a.json')])).code).toBe(0);
    const stopping = signalAtChunk(4);
    const apply = ['apply', plan, '--chunk-size', String(CHUNK)];
    const first = await transship(apply, {stopping});
    expect(first.code).toBe(130);
    intercept = undefined;
    destination.log.clear();

    const {code, events} = await eventsOf(apply);

    expect(code).toBe(0);
    const tally = tallyOf(events);
    expect(tally.bytes).toBe(bytesOfPlan(events));
    expect(tally.acknowledged).toBe(tally.bytes);
    expect(tally.stepsEnded).toBe(2);
    // All that came is counted as this run's, and nothing else.
    expect(tally.travelled).toBe(arrived());
    expect(tally.travelled).toBeLessThan(sizes.halfWay - 3 * CHUNK + 1000);
    // What was there is told of before anything travels.
    const atFirst = events.findIndex(
      (event) => event.type === 'blob-progress' && event.size === sizes.halfWay,
    );
    const begun = tallyOf(events.slice(0, atFirst + 1));
    expect(begun.acknowledged).toBeGreaterThanOrEqual(sizes.done + 4 * CHUNK);
    expect(begun.travelled).toBeLessThan(1000);
  });

  test('of a plan that is done is complete immediately', async () => {
    const plan = temp.join('app.plan.json');
    await storeImage(source.storage, FROM, 'a', [someBytes(1000)]);
    await storeImage(source.storage, FROM, 'b', [someBytes(2000)]);
    const places = [`${source.host}/${FROM}`, `${destination.host}/to/app`];
    await transship(['plan', 'copy', ...places, '--out', plan]);
    const first = await eventsOf(['apply', plan]);
    const second = await eventsOf(['apply', plan]);
    for (const {events} of [first, second])
      expect(tallyOf(events).acknowledged).toBe(bytesOfPlan(events));
    expect(tallyOf(first.events).travelled).toBe(bytesOfPlan(first.events));
    expect(tallyOf(second.events).travelled).toBe(0);
  });
});

test('an interrupted run counts what is done, and its sums never decrease', async () => {
  for (const tag of ['a', 'b', 'c'])
    await storeImage(source.storage, FROM, tag, [someBytes(6 * CHUNK)]);
  const stopping = signalAtChunk(4);
  const places = [`${source.host}/${FROM}`, `${destination.host}/to/app`];
  const copy = ['copy', ...places, '--chunk-size', String(CHUNK)];

  const {code, events} = await eventsOf(copy, {stopping});

  expect(code).toBe(130);
  const tally = new RunTally();
  let [acknowledged, ended] = [0, 0];
  for (const event of events) {
    tally.add(event);
    expect(tally.acknowledged).toBeGreaterThanOrEqual(acknowledged);
    expect(tally.stepsEnded).toBeGreaterThanOrEqual(ended);
    [acknowledged, ended] = [tally.acknowledged, tally.stepsEnded];
  }
  const done = events.filter((event) => event.type === 'step-ended' && event.outcome === 'done');
  expect(tally.stepsEnded).toBe(done.length);
  expect(tally.steps).toBe(3);
  expect(acknowledged).toBeGreaterThanOrEqual(4 * CHUNK);
});

test('a run that is stopped when nothing is left to do is done', async () => {
  await storeImage(source.storage, FROM, 'a', [someBytes(CHUNK)]);
  const stopping = new AbortController();
  intercept = async ({method, route}, next) => {
    const reply = await next();
    if (method === 'PUT' && route.kind === 'manifest') stopping.abort();
    return reply;
  };
  const places = [`${source.host}/${FROM}`, `${destination.host}/to/app`];
  const {code, events} = await eventsOf(['copy', ...places], {stopping: stopping.signal});
  expect(stopping.signal.aborted).toBe(true);
  expect(code).toBe(0);
  expect(events.at(-1)).toMatchObject({type: 'run-ended', result: 'done', done: 1});
});

describe('a mount that the registry declines', () => {
  const size = 5 * CHUNK;
  beforeEach(async () => {
    await storeImage(destination.storage, FROM, 'a', [someBytes(size)]);
    const script = new FaultScript([{times: 99, fault: {kind: 'decline-mount'}}]);
    intercept = script.intercept;
  });

  test('travels, and is added to what there is to do', async () => {
    const {code, events} = await eventsOf([
      'copy',
      `${destination.host}/${FROM}`,
      `${destination.host}/to/app`,
    ]);
    expect(code).toBe(0);
    expect(bytesOfPlan(events)).toBe(0);
    const tally = tallyOf(events);
    expect(tally.acknowledged).toBe(tally.bytes);
    expect(tally.travelled).toBe(arrived());
    expect(tally.travelled).toBeGreaterThan(size);
  });

  test('and came in the run before, is none of the bytes of the next', async () => {
    const plan = temp.join('app.plan.json');
    const places = [`${destination.host}/${FROM}`, `${destination.host}/to/app`];
    await transship(['plan', 'copy', ...places, '--out', plan]);
    const declined = intercept;
    intercept = async (exchange, next) => {
      if (exchange.method === 'PUT' && exchange.route.kind === 'manifest')
        throw new Error('not today');
      return declined?.(exchange, next) ?? next();
    };
    expect((await transship(['apply', plan])).code).toBe(1);
    intercept = declined;

    const {code, events} = await eventsOf(['apply', plan]);

    expect(code).toBe(0);
    expect(tallyOf(events)).toMatchObject({bytes: 0, acknowledged: 0, travelled: 0});
  });
});
