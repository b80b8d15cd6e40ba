import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import dns from 'node:dns';
import {once} from 'node:events';
import {
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamilyAttemptTimeout,
  type Socket,
} from 'node:net';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi} from 'vitest';
import {EarlySockets, readInto, type Target} from '../../src/http/early-sockets.ts';
import {type HttpRequest, LARGE_BODY} from '../../src/http/message.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {type HttpServer, startHttpServer} from '../support/http-server.ts';
import {type RawServer, startRawServer} from '../support/raw-server.ts';
import {singleAttemptClient} from '../support/single-attempt.ts';
import {collect, NEVER} from '../support/streams.ts';

let tls: TestAuthority;
/** What this process has connected, in order. */
let sockets: Socket[];
const opened = (message: unknown): void => void sockets.push((message as {socket: Socket}).socket);
beforeAll(async () => {
  tls = await testAuthority();
});
afterAll(() => tls[Symbol.asyncDispose]());
beforeEach(() => {
  sockets = [];
  subscribe('net.client.socket', opened);
});
afterEach(() => {
  unsubscribe('net.client.socket', opened);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const targetOf = (server: {readonly url: string}): Target => {
  const {hostname: host, port} = new URL(server.url);
  return {host, port: Number(port)};
};
const request = ({url}: {readonly url: string}, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: new URL('/a', url),
  side: 'source',
  signal: NEVER,
  ...more,
});
/** How many sockets keep this process. */
const keeping = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
/** The one that was begun first, connected. */
async function begun(early: EarlySockets, server: {readonly url: string}): Promise<Socket> {
  early.begin(targetOf(server));
  const [socket] = sockets;
  if (socket === undefined) throw new Error('nothing was begun');
  await once(socket, 'connect');
  return socket;
}

/** The same, with the server's end of it. */
async function bothEnds(early: EarlySockets, server: RawServer) {
  const socket = await begun(early, server);
  await vi.waitFor(() => expect(server.sockets).toHaveLength(1));
  return {socket, far: server.sockets[0] as Socket};
}

describe.each(['http', 'https'] as const)('over %s', (scheme) => {
  const BODY = Buffer.alloc(1024 * 1024, 'abcdefghijk');
  const serve = (): Promise<HttpServer> =>
    startHttpServer(
      ({method}, response) => void response.end(method === 'GET' ? BODY : ''),
      scheme === 'https' ? {tls: tls.server} : {},
    );

  it.each(['connected', 'on its way'])('a request takes one that is %s', async (state) => {
    await using server = await serve();
    using early = new EarlySockets();
    if (state === 'connected') await begun(early, server);
    else early.begin(targetOf(server));
    await using client = singleAttemptClient(tls, {early});
    // More than is held at once: it is not read before that is asked for.
    const answer = await client.send(request(server));
    expect(BODY.equals(await collect(answer.chunks()))).toBe(true);
    expect((await client.send(request(server, {method: 'HEAD'}))).status).toBe(200);
    expect(sockets).toHaveLength(1);
    expect(server.connections()).toBe(1);
  });

  it('a large body leaves it to small requests', async () => {
    await using server = await serve();
    using early = new EarlySockets();
    const socket = await begun(early, server);
    await using client = singleAttemptClient(tls, {early});
    const answer = await client.send(request(server, {answerSize: LARGE_BODY + 1}));
    expect(BODY.equals(await collect(answer.chunks()))).toBe(true);
    expect(await early.take(targetOf(server))).toBe(socket);
    socket.destroy();
  });

  it('requests connect as ever where there are none left', async () => {
    await using server = await serve();
    using early = new EarlySockets();
    await begun(early, server);
    await using client = singleAttemptClient(tls, {early});
    const answers = await Promise.all([1, 2, 3].map(() => client.send(request(server))));
    for (const answer of answers) expect(await collect(answer.chunks())).toHaveLength(BODY.length);
    expect(server.connections()).toBe(3);
  });
});

describe.each(['http', 'https'] as const)('where nobody listens, over %s,', (scheme) => {
  async function closedServer(): Promise<{readonly url: string}> {
    await using server = await startRawServer(() => undefined);
    const url = new URL(server.url);
    url.protocol = scheme;
    return {url: url.href};
  }

  it.each(['closed', 'on its way'])('connecting anew tells of it: %s', async (state) => {
    const server = await closedServer();
    using early = new EarlySockets();
    early.begin(targetOf(server));
    if (state === 'closed') await new Promise((resolve) => void sockets[0]?.once('close', resolve));
    await using client = singleAttemptClient(tls, {early});
    await expect(client.send(request(server))).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
    expect(sockets).toHaveLength(2);
  });
});

it('is no way around the name in a certificate', async () => {
  await using server = await startHttpServer((_request, response) => void response.end(), {
    tls: tls.namedServer,
  });
  using early = new EarlySockets();
  await begun(early, server);
  await using client = singleAttemptClient(tls, {early});
  await expect(client.send(request(server))).rejects.toMatchObject({code: 'TLS_CERTIFICATE'});
  expect(sockets).toHaveLength(1);
});

/** What the resolver says of `localhost`, when it is let: that address first, where nobody listens. */
function resolver(first: string): {readonly answer: () => void} {
  const asked = Promise.withResolvers<void>();
  vi.spyOn(dns, 'lookup').mockImplementation(((_host: string, _options: object, answer: Answer) => {
    const addresses = [first, '127.0.0.1'].map((address) => ({address, family: 4}));
    void asked.promise.then(() => answer(null, addresses));
  }) as typeof dns.lookup);
  return {answer: () => asked.resolve()};
}
type Answer = (error: null, addresses: readonly {address: string; family: number}[]) => void;

describe.each(['http', 'https'] as const)('to a host of two addresses, over %s,', (scheme) => {
  // Nobody listens at the one, and of the other, where networks are as they should be, nothing is heard.
  it.each(['127.0.0.2', '198.51.100.1'])(
    'a request goes where somebody is, past %s',
    async (first) => {
      const patience = getDefaultAutoSelectFamilyAttemptTimeout();
      setDefaultAutoSelectFamilyAttemptTimeout(10);
      try {
        await using server = await startHttpServer(
          (_request, response) => void response.end('ok'),
          scheme === 'https' ? {tls: tls.server} : {},
        );
        // The server has asked for its own address.
        const {answer} = resolver(first);
        const named = {url: server.url.replace('127.0.0.1', 'localhost')};
        using early = new EarlySockets();
        early.begin(targetOf(named));
        const take = vi.spyOn(early, 'take');
        await using client = singleAttemptClient(tls, {early});
        const sent = client.send(request(named));
        await vi.waitFor(() => expect(take).toHaveBeenCalled());
        answer();
        expect((await collect((await sent).chunks())).toString()).toBe('ok');
        expect(sockets).toHaveLength(1);
      } finally {
        setDefaultAutoSelectFamilyAttemptTimeout(patience);
      }
    },
  );
});

it('keeps the process only when it is taken', async () => {
  await using server = await startRawServer(() => undefined);
  using early = new EarlySockets();
  const {socket} = await bothEnds(early, server);
  const before = keeping();
  await early.take(targetOf(server));
  expect(keeping()).toBe(before + 1);
  socket.destroy();
});

it('is read no further where that is not wanted', async () => {
  await using server = await startRawServer(() => undefined);
  using early = new EarlySockets();
  const {socket, far} = await bothEnds(early, server);
  const buffer = Buffer.alloc(64 * 1024);
  const read = Promise.withResolvers<string>();
  readInto(socket, {
    buffer: () => buffer,
    callback: (count) => {
      read.resolve(buffer.toString('latin1', 0, count));
      return false;
    },
  });
  far.write('abc');
  expect(await read.promise).toBe('abc');
  expect(socket.isPaused()).toBe(true);
});

describe('nobody gets one', () => {
  it('to another port or host', async () => {
    await using server = await startRawServer(() => undefined);
    using early = new EarlySockets();
    await begun(early, server);
    const {host, port} = targetOf(server);
    expect(early.take({host, port: port + 1})).toBeUndefined();
    expect(early.take({host: 'localhost', port})).toBeUndefined();
  });

  it('twice', async () => {
    await using server = await startRawServer(() => undefined);
    using early = new EarlySockets();
    const socket = await begun(early, server);
    expect(await early.take(targetOf(server))).toBe(socket);
    expect(early.take(targetOf(server))).toBeUndefined();
    socket.destroy();
  });

  it('that the server has closed', async () => {
    await using server = await startRawServer(() => undefined);
    using early = new EarlySockets();
    const {socket, far} = await bothEnds(early, server);
    far.end();
    await once(socket, 'close');
    expect(await early.take(targetOf(server))).toBeUndefined();
  });

  it('that the server is closing', async () => {
    await using server = await startRawServer(() => undefined);
    using early = new EarlySockets();
    const {socket, far} = await bothEnds(early, server);
    const taken = new Promise((resolve) => {
      socket.once('end', () => resolve(early.take(targetOf(server))));
    });
    far.end();
    expect(await taken).toBeUndefined();
    expect(socket.destroyed).toBe(true);
  });

  it('on which the server has said something unasked', async () => {
    await using server = await startRawServer(() => undefined);
    using early = new EarlySockets();
    const {socket, far} = await bothEnds(early, server);
    far.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    await vi.waitFor(() => expect(socket.readableLength).toBeGreaterThan(0));
    expect(await early.take(targetOf(server))).toBeUndefined();
    expect(socket.destroyed).toBe(true);
  });

  it('that has waited for two seconds', async () => {
    await using server = await startRawServer(() => undefined);
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    using early = new EarlySockets();
    const socket = await begun(early, server);
    vi.advanceTimersByTime(2000);
    expect(socket.destroyed).toBe(true);
    expect(await early.take(targetOf(server))).toBeUndefined();
  });

  it('that was not connected by then', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    resolver('127.0.0.2');
    using early = new EarlySockets();
    const target = {host: 'localhost', port: 1};
    early.begin(target);
    const taken = early.take(target);
    vi.advanceTimersByTime(2000);
    expect(await taken).toBeUndefined();
  });

  it('after all were disposed of', async () => {
    await using server = await startRawServer(() => undefined);
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    resolver('127.0.0.2');
    const early = new EarlySockets();
    const socket = await begun(early, server);
    const target = {host: 'localhost', port: 1};
    early.begin(target);
    const awaited = early.take(target);
    early[Symbol.dispose]();
    expect(await awaited).toBeUndefined();
    expect(socket.destroyed).toBe(true);
    expect(early.take(targetOf(server))).toBeUndefined();
  });

  it('given up once it was taken', async () => {
    await using server = await startRawServer(() => undefined);
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    using early = new EarlySockets();
    const socket = await begun(early, server);
    await early.take(targetOf(server));
    vi.advanceTimersByTime(2000);
    early[Symbol.dispose]();
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });
});
