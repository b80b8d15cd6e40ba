import {once} from 'node:events';
import {describe, expect, test} from 'vitest';
import {type Intercept, refusal} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {codes, openUpload, pushBlob, send} from './client.ts';

/** Passes on so many bytes of a body, and then breaks. */
async function* cut(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (chunk.byteLength > left) {
      yield chunk.subarray(0, left);
      throw new Error('cut');
    }
    left -= chunk.byteLength;
    yield chunk;
  }
}

const slowDownOnce: Intercept = async ({route, method, number}, next) => {
  if (route.kind === 'tags' && route.repository === 'a/b' && method === 'GET' && number === 1)
    throw refusal(429, 'TOOMANYREQUESTS', 'slow down', undefined, {'retry-after': '7'});
  return next();
};

const cutDownloads: Intercept = async ({method, route}, next) => {
  const reply = await next();
  const {body} = reply;
  if (method !== 'GET' || route.kind !== 'blob' || typeof body !== 'function') return reply;
  return {...reply, body: () => cut(body(), 1000)};
};

const cutChunks: Intercept = async (exchange, next) => {
  if (exchange.method !== 'PATCH') return next();
  exchange.body = cut(exchange.body, 1000);
  return next().finally(() => exchange.socket.resetAndDestroy());
};

describe('an interceptor', () => {
  test('answers instead of the registry', async () => {
    await using sandbox = await startSandbox({intercept: slowDownOnce});
    const refused = await send('GET', `${sandbox.url}/v2/a/b/tags/list`);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('7');
    expect(codes(refused)).toEqual(['TOOMANYREQUESTS']);
    expect((await send('GET', `${sandbox.url}/v2/a/b/tags/list`)).status).toBe(404);
  });

  test('cuts a download short', async () => {
    await using sandbox = await startSandbox({intercept: cutDownloads});
    const digest = await pushBlob(`${sandbox.url}/v2/a/b`, Buffer.alloc(10_000));
    const pulled = send('GET', `${sandbox.url}/v2/a/b/blobs/${digest}`);
    await expect(pulled).rejects.toThrow('terminated');
    expect(sandbox.log.entries.at(-1)).toMatchObject({bytesOut: 1000, failure: 'cut'});
  });

  test('cuts an upload, of which the registry keeps the received bytes', async () => {
    await using sandbox = await startSandbox({intercept: cutChunks});
    const location = await openUpload(`${sandbox.url}/v2/a/b`);
    const pushed = send('PATCH', location, {body: Buffer.alloc(10_000)});
    await expect(pushed).rejects.toThrow('fetch failed');
    expect((await send('GET', location)).headers.get('range')).toBe('0-999');
  });

  test('that waits is released when the sandbox closes', async () => {
    const waiting = Promise.withResolvers<void>();
    const sandbox = await startSandbox({
      intercept: async ({signal}) => {
        waiting.resolve();
        await once(signal, 'abort');
        throw signal.reason;
      },
    });
    const asked = send('GET', `${sandbox.url}/v2/`).catch((error: Error) => error.message);
    await waiting.promise;
    await sandbox.close();
    expect(await asked).toBe('fetch failed');
    expect(sandbox.log.entries).toMatchObject([{status: undefined, kind: 'base'}]);
  });
});
