import {expect, test} from 'vitest';
import {connector} from '../../src/http/connector.ts';
import {startHttpServer} from '../support/http-server.ts';

test('a connection that begins after the client was closed is not made', async () => {
  await using server = await startHttpServer((_request, response) => void response.end());
  const {hostname, port} = new URL(server.url);
  const reason = new Error('closed');
  const connect = connector({
    tls: {},
    connectMs: 20_000,
    signal: AbortSignal.abort(reason),
    deliveries: {count: 0},
  });
  const {promise, resolve} = Promise.withResolvers<Error | null>();
  connect({hostname, port, protocol: 'http:'}, (error, socket) => {
    socket?.destroy();
    resolve(error);
  });
  expect(await promise).toBe(reason);
});
