import {Duplex} from 'node:stream';
import type {OnReadOpts, Socket} from 'node:net';
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import type {Controller, Handler} from '../../src/http/exchange.ts';
import {OriginDispatcher} from '../../src/http/origin-dispatcher.ts';
import type {DispatchedRequest} from '../../src/http/small-dispatcher.ts';

const ORIGIN = 'http://registry.test';
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const HEADERS_MS = 60_000;
const IDLE_MS = 30_000;

/** The far end of a connection. */
interface FarEnd {
  /** What was sent to it. */
  sent: string;
  connect(): void;
  fail(): void;
  /** It sends this. @returns whether it is read on */
  send(text: string): boolean;
  /** It ends the connection. */
  end(): void;
  readonly isDestroyed: boolean;
}

/** A dispatcher whose connections are made and used by hand. */
function rig(connections = 64, begun?: () => Promise<undefined>) {
  const ends: FarEnd[] = [];
  const open = (onread: OnReadOpts): Socket => {
    const end: FarEnd = {
      sent: '',
      connect: () => void socket.emit('connect'),
      fail: () => void socket.destroy(Object.assign(new Error('no'), {code: 'ECONNREFUSED'})),
      send(text) {
        const count = (onread.buffer as Uint8Array & Buffer).write(text, 'latin1');
        const goesOn = onread.callback(count, onread.buffer as Uint8Array);
        return goesOn && !socket.isPaused();
      },
      end: () => void socket.emit('end'),
      get isDestroyed() {
        return socket.destroyed;
      },
    };
    const socket = new Duplex({
      read: () => undefined,
      write(chunk: Buffer, _encoding, done) {
        end.sent += chunk.toString('latin1');
        done();
      },
    });
    ends.push(end);
    return socket as unknown as Socket;
  };
  const dispatcher = new OriginDispatcher({
    origin: ORIGIN,
    dial: {open, ready: 'connect', overruns: false},
    ...(begun ? {begun} : {}),
    connections,
    connectMs: 20_000,
    bodyIdleMs: IDLE_MS,
  });
  return {ends, dispatcher};
}

/** Sends a request, and tells what becomes of it. */
function send(
  dispatcher: OriginDispatcher,
  {handler = {}, ...more}: Partial<DispatchedRequest> & {readonly handler?: Handler} = {},
) {
  const told: string[] = [];
  dispatcher.dispatch(
    {
      origin: ORIGIN,
      path: '/',
      method: 'GET',
      headers: {},
      body: null,
      headersTimeout: HEADERS_MS,
      reset: false,
      ...more,
    },
    {
      onResponseEnd: () => void told.push('end'),
      onResponseError: (_controller, error) =>
        void told.push((error as NodeJS.ErrnoException).code ?? error.message),
      ...handler,
    },
  );
  return told;
}

const turn = () => new Promise((go) => setImmediate(go));
async function turns(count = 4): Promise<void> {
  for (let left = count; left > 0; left -= 1) await turn();
}

beforeEach(() => {
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'performance']});
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets the first connection be made, and one answer come over it. */
async function withOneIdle() {
  const {ends, dispatcher} = rig();
  const told = send(dispatcher);
  ends[0]?.connect();
  await turns();
  ends[0]?.send(ANSWER);
  expect(told).toEqual(['end']);
  return {ends, dispatcher};
}

describe('a connection', () => {
  it('is used again for the next request', async () => {
    const {ends, dispatcher} = await withOneIdle();
    const told = send(dispatcher);
    await turns();
    ends[0]?.send(ANSWER);
    expect(told).toEqual(['end']);
    expect(ends).toHaveLength(1);
  });

  it.each([
    ['ended by the server', (end?: FarEnd) => end?.end()],
    ['followed by what nobody asked for', (end?: FarEnd) => end?.send('{}')],
  ])('is not used again where its answer is %s right after', async (_what, happen) => {
    const {ends, dispatcher} = await withOneIdle();
    const told = send(dispatcher);
    happen(ends[0]);
    await turns();
    expect(ends[0]?.isDestroyed).toBe(true);
    ends[1]?.connect();
    await turns();
    ends[1]?.send(ANSWER);
    expect(told).toEqual(['end']);
  });

  it('breaks where what comes for the next request is no answer, so that it is tried again', async () => {
    const {ends, dispatcher} = await withOneIdle();
    const told = send(dispatcher);
    await turns();
    ends[0]?.send('{"body": "of a HEAD"}');
    expect(told).toEqual(['UND_ERR_SOCKET']);
  });

  it('is read again where it was paused when its answer ended', async () => {
    const {ends, dispatcher} = rig(1);
    const handler: Handler = {onResponseData: (controller) => controller.pause()};
    for (let round = 0; round < 2; round += 1) {
      const told = send(dispatcher, {handler});
      if (round === 0) ends[0]?.connect();
      await turns();
      expect(ends[0]?.send(ANSWER)).toBe(true);
      expect(told).toEqual(['end']);
    }
  });

  it.each(['onResponseStart', 'onResponseData'] as const)(
    'is not used again where a handler breaks its answer off at %s',
    async (when) => {
      const {ends, dispatcher} = rig(1);
      const handler: Handler = {
        [when]: (controller: Controller) => controller.abort(new Error('enough')),
      };
      const first = send(dispatcher, {handler});
      ends[0]?.connect();
      await turns();
      ends[0]?.send(ANSWER);
      expect(first).toEqual(['enough']);
      const second = send(dispatcher);
      await turns();
      ends[1]?.connect();
      await turns();
      ends[1]?.send(ANSWER);
      expect(second).toEqual(['end']);
    },
  );

  it('is closed when nobody has used it for a while', async () => {
    const {ends} = await withOneIdle();
    await turns();
    vi.advanceTimersByTime(19_000);
    expect(ends[0]?.isDestroyed).toBe(false);
    vi.advanceTimersByTime(2000);
    expect(ends[0]?.isDestroyed).toBe(true);
  });
});

describe('time', () => {
  it('ends a request that gets no answer', async () => {
    const {ends, dispatcher} = await withOneIdle();
    vi.advanceTimersByTime(10_000);
    const told = send(dispatcher);
    await turns();
    vi.advanceTimersByTime(HEADERS_MS - 1000);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(2000);
    expect(told).toEqual(['UND_ERR_HEADERS_TIMEOUT']);
    expect(ends[0]?.isDestroyed).toBe(true);
  });

  it('ends an answer that stalls, and none that comes slowly', async () => {
    const {ends, dispatcher} = rig();
    const told = send(dispatcher);
    ends[0]?.connect();
    await turns();
    ends[0]?.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n');
    for (let piece = 0; piece < 5; piece += 1) {
      vi.advanceTimersByTime(IDLE_MS - 1000);
      ends[0]?.send('a');
    }
    expect(told).toEqual([]);
    vi.advanceTimersByTime(IDLE_MS + 1000);
    expect(told).toEqual(['UND_ERR_BODY_TIMEOUT']);
  });

  it('does not end an answer whose reader takes its time', async () => {
    const {ends, dispatcher} = rig();
    let resume: (() => void) | undefined;
    const handler: Handler = {
      onResponseData(controller) {
        controller.pause();
        resume = () => controller.resume();
      },
    };
    const told = send(dispatcher, {handler});
    ends[0]?.connect();
    await turns();
    ends[0]?.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na');
    vi.advanceTimersByTime(10 * IDLE_MS);
    resume?.();
    ends[0]?.send('b');
    expect(told).toEqual(['end']);
  });

  it('does not end a request whose body comes slowly, and does where its answer does', async () => {
    const {ends, dispatcher} = rig();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    async function* pieces() {
      await gates[0]?.promise;
      yield Buffer.from('a');
      await gates[1]?.promise;
      yield Buffer.from('b');
    }
    const headers = {'content-length': '2'};
    const told = send(dispatcher, {method: 'PUT', headers, body: pieces()});
    ends[0]?.connect();
    await turns();
    for (const gate of gates) {
      vi.advanceTimersByTime(10 * HEADERS_MS);
      expect(told).toEqual([]);
      gate.resolve();
      await turns();
    }
    expect(ends[0]?.sent).toMatch(/\r\n\r\nab$/);
    vi.advanceTimersByTime(HEADERS_MS + 1000);
    expect(told).toEqual(['UND_ERR_HEADERS_TIMEOUT']);
  });
});

describe('a connection that cannot be made', () => {
  it('fails one request, and others are dialled for', async () => {
    const {ends, dispatcher} = rig(2);
    const told = Array.from({length: 3}, () => send(dispatcher));
    expect(ends).toHaveLength(2);
    ends[0]?.fail();
    ends[1]?.fail();
    await turns();
    expect(told.map((each) => each[0])).toEqual(['ECONNREFUSED', 'ECONNREFUSED', undefined]);
    ends[2]?.fail();
    await turns();
    expect(told[2]).toEqual(['ECONNREFUSED']);
  });

  it('fails nobody where another is there for who waits', async () => {
    const {ends, dispatcher} = await withOneIdle();
    await turns();
    const told = Array.from({length: 3}, () => send(dispatcher));
    expect(ends).toHaveLength(3);
    ends[0]?.send(ANSWER);
    await turns();
    ends[1]?.fail();
    await turns();
    expect(told).toEqual([['end'], [], []]);
  });

  it('begins no connection when one that was waited for comes to nothing after that', async () => {
    const begun = Promise.withResolvers<undefined>();
    const {ends, dispatcher} = rig(64, () => begun.promise);
    const told = send(dispatcher);
    await dispatcher.destroy();
    begun.resolve(undefined);
    await turns();
    expect(ends).toEqual([]);
    expect(told).toHaveLength(1);
  });

  it('is ended when the dispatcher is destroyed', async () => {
    const {ends, dispatcher} = rig();
    const told = send(dispatcher);
    await dispatcher.destroy();
    await turns();
    expect(told).toEqual(['UND_ERR_DESTROYED']);
    expect(ends[0]?.isDestroyed).toBe(true);
  });
});

describe('connections for requests that are about to come', () => {
  it('are opened where the first answer takes its time', async () => {
    const {ends, dispatcher} = rig();
    send(dispatcher);
    dispatcher.expect(8);
    vi.advanceTimersByTime(10);
    expect(ends).toHaveLength(1);
    ends[0]?.connect();
    await turns();
    expect(ends).toHaveLength(8);
  });

  it('are not opened where it comes at once', async () => {
    const {ends, dispatcher} = rig();
    send(dispatcher);
    dispatcher.expect(8);
    ends[0]?.connect();
    await turns();
    dispatcher.expect(0);
    vi.advanceTimersByTime(10);
    await turns();
    expect(ends).toHaveLength(1);
  });

  it('are not opened where none can be', async () => {
    const {ends, dispatcher} = rig();
    const told = send(dispatcher);
    dispatcher.expect(8);
    vi.advanceTimersByTime(10);
    ends[0]?.fail();
    await turns();
    expect(told).toEqual(['ECONNREFUSED']);
    expect(ends).toHaveLength(1);
  });
});
