import {describe, expect, it, vi} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {HttpBody} from '../../src/http/request.ts';
import {Attempts, DEFAULT_RETRY, pause, type RetryPolicy} from '../../src/http/retry.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';
import {streamOf} from '../support/streams.ts';

const QUICK: RetryPolicy = {attempts: 4, attemptsAt500: 2, baseMs: 1, capMs: 1, budgetMs: 1000};

/** Answers with these statuses, one after the other, and with the last one for ever. */
function answering(...statuses: number[]) {
  return startHttpServer((_request, response) => {
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    response.writeHead(status ?? 599).end(String(status));
  });
}

describe('Attempts', () => {
  it('pauses between nothing and a bound that doubles, up to the cap', () => {
    const bounds = [100, 200, 400, 500, 500];
    const policy = {attempts: 6, attemptsAt500: 6, baseMs: 100, capMs: 500, budgetMs: 1e9};
    for (let n = 0; n < 50; n++) {
      const attempts = new Attempts(policy);
      const pauses = bounds.map(() => attempts.next({status: 503}) ?? Number.NaN);
      pauses.forEach((ms, index) => expect(ms).toBeLessThanOrEqual(bounds[index] ?? 0));
      expect(Math.min(...pauses)).toBeGreaterThanOrEqual(0);
      expect(attempts.next({status: 503})).toBeUndefined();
    }
  });

  it('waits at least as long as the server asks for, within the budget', () => {
    const attempts = new Attempts({...DEFAULT_RETRY, budgetMs: 20_000});
    expect(attempts.next({status: 429, retryAfterMs: 10_000})).toBeGreaterThanOrEqual(10_000);
    expect(attempts.next({status: 429, retryAfterMs: 10_000})).toBeUndefined();
  });

  it('does not count the refusals of a host that wants fewer requests, only the pauses', () => {
    const attempts = new Attempts({...QUICK, budgetMs: 20_100});
    for (const status of [429, 503])
      for (let n = 0; n < 10; n++)
        expect(attempts.next({status, retryAfterMs: 1000})).toBeGreaterThanOrEqual(1000);
    expect(attempts.next({status: 429, retryAfterMs: 1000})).toBeUndefined();
    expect(attempts.next({status: 502})).toBeLessThanOrEqual(1);
  });
});

describe('HttpClient, trying again', () => {
  it.each([408, 429, 500, 502, 503, 504])('does so after %i', async (status) => {
    await using server = await answering(status, 200);
    await using http = new HttpClient({retry: QUICK});
    expect((await http.send(get(server.url))).status).toBe(200);
    expect(server.requests).toHaveLength(2);
  });

  it.each([400, 401, 403, 404, 405, 409, 413, 416, 501])('does not after %i', async (status) => {
    await using server = await answering(status, 200);
    await using http = new HttpClient({retry: QUICK});
    expect((await http.send(get(server.url))).status).toBe(status);
    expect(server.requests).toHaveLength(1);
  });

  it('returns the last response after all attempts, earlier for 500', async () => {
    await using busy = await answering(503);
    await using broken = await answering(500);
    await using http = new HttpClient({retry: QUICK});
    const answer = await http.send(get(busy.url));
    expect(Buffer.from((await answer.read(100)).bytes).toString()).toBe('503');
    expect(busy.requests).toHaveLength(4);
    expect((await http.send(get(broken.url))).status).toBe(500);
    expect(broken.requests).toHaveLength(2);
  });

  it('opens the body anew for each attempt', async () => {
    await using server = await answering(503, 503, 201);
    await using http = new HttpClient({retry: QUICK});
    const body = {
      kind: 'factory',
      length: 3,
      open: () => Promise.resolve(streamOf([Buffer.from('abc')])),
    } as const;
    expect((await http.send(get(server.url, {method: 'PUT', body}))).status).toBe(201);
    expect(server.requests.map((request) => request.body.toString())).toEqual([
      'abc',
      'abc',
      'abc',
    ]);
  });

  it.each<HttpBody>([
    {kind: 'stream', length: 3, chunks: streamOf([Buffer.from('abc')])},
    {kind: 'bytes', bytes: Buffer.from('abc'), once: true},
  ])('does not send a body twice that is for one time, of $kind', async (body) => {
    await using server = await answering(503, 201);
    await using http = new HttpClient({retry: QUICK});
    expect((await http.send(get(server.url, {method: 'PATCH', body}))).status).toBe(503);
    expect(server.requests).toHaveLength(1);
  });

  it('sends again what a connection lost, also in the middle of a small answer', async () => {
    let requests = 0;
    await using server = await startHttpServer((_request, response) => {
      requests++;
      if (requests === 1) response.destroy();
      else if (requests === 2)
        response.writeHead(200, {'content-length': '9'}).write('x', () => response.destroy());
      else response.end('all of it');
    });
    await using http = new HttpClient({retry: QUICK});
    const answer = await http.send(get(server.url, {readLimit: 100}));
    expect(Buffer.from((await answer.read(100)).bytes).toString()).toBe('all of it');
  });

  it('gives up immediately if the server requires more time than the budget', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(429, {'retry-after': '3600'}).end();
    });
    await using http = new HttpClient({retry: QUICK});
    expect((await http.send(get(server.url))).status).toBe(429);
    expect((await http.send(get(server.url))).status).toBe(429);
    expect(server.requests).toHaveLength(2);
  });

  it('waits for Retry-After', async () => {
    await using server = await answering(429, 200);
    await using http = new HttpClient({retry: QUICK});
    const {origin} = new URL(server.url);
    const before = http.throttle(origin).limit;
    await http.send(get(server.url));
    expect(http.throttle(origin).limit).toBeLessThan(before);
  });

  it('holds all requests to a host during its Retry-After', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(503, {'retry-after': '60'}).end();
    });
    await using http = new HttpClient({retry: {...QUICK, budgetMs: 120_000}});
    const controller = new AbortController();
    const reason = new Error('enough');
    const sending = [1, 2].map(() => http.send(get(server.url, {signal: controller.signal})));
    const throttle = http.throttle(new URL(server.url).origin);
    await vi.waitFor(() => expect(throttle.isHeld).toBe(true));
    controller.abort(reason);
    for (const one of sending) await expect(one).rejects.toBe(reason);
  });
});

describe('HttpClient, giving up', () => {
  it('reports each retry, and marks exhausted failures', async () => {
    await using server = await answering(503);
    const told: unknown[] = [];
    await using http = new HttpClient({
      retry: QUICK,
      retrying: (host, attempt, _ms, {code, message}) => told.push([host, attempt, code, message]),
    });
    expect(await http.send(get(`${server.url}/x`))).toMatchObject({exhausted: true});
    const message = `GET ${server.url}/x answered 503`;
    expect(told).toEqual(
      [1, 2, 3].map((attempt) => [server.host, attempt, 'REGISTRY_UNAVAILABLE', message]),
    );
  });

  it('marks errors, too, but not requests that are sent only once', async () => {
    await using server = await startHttpServer((_request, response) => void response.destroy());
    await using http = new HttpClient({retry: QUICK});
    await expect(http.send(get(server.url))).rejects.toMatchObject({exhausted: true, retry: true});
    expect(server.requests).toHaveLength(4);
    const body = {kind: 'bytes', bytes: Buffer.from('x'), once: true} as const;
    const once = http.send(get(server.url, {method: 'PUT', body}));
    await expect(once).rejects.toMatchObject({exhausted: false, retry: true});
  });

  it('repeats a change only if the server did not process it', async () => {
    await using server = await answering(429, 502, 200);
    await using http = new HttpClient({retry: QUICK});
    const change = get(server.url, {method: 'POST', changes: true});
    expect((await http.send(change)).status).toBe(502);
    expect(server.requests).toHaveLength(2);
  });
});

describe('HttpClient, at a host that wants fewer requests and does not say for how long,', () => {
  const LIMITED: RetryPolicy = {...QUICK, budgetMs: 1000};

  it('is more patient than with one that is broken', async () => {
    await using server = await answering(...Array<number>(6).fill(429), 200);
    await using http = new HttpClient({retry: LIMITED});
    expect((await http.send(get(server.url))).status).toBe(200);
    expect(server.requests).toHaveLength(7);
  });

  it('shares its patience among all requests', async () => {
    await using server = await answering(429);
    await using http = new HttpClient({retry: LIMITED});
    expect((await http.send(get(server.url))).status).toBe(429);
    const {length} = server.requests;
    expect(length).toBeGreaterThan(4);
    const throttle = http.throttle(new URL(server.url).origin);
    vi.spyOn(throttle, 'overloadedMs', 'get').mockReturnValue(LIMITED.budgetMs + 1);
    expect(await http.send(get(server.url))).toMatchObject({status: 429, exhausted: true});
    expect(server.requests).toHaveLength(length + 1);
  });
});

describe('HttpClient, at a host that refuses for ever,', () => {
  it('gives up after some minutes without a Retry-After', async () => {
    await using server = await answering(429);
    await using http = new HttpClient({retry: {...QUICK, budgetMs: 15 * 60_000}});
    const throttle = http.throttle(new URL(server.url).origin);
    vi.spyOn(throttle, 'unannouncedMs', 'get').mockReturnValue(5 * 60_000);
    expect(await http.send(get(server.url))).toMatchObject({status: 429, exhausted: true});
    expect(server.requests).toHaveLength(1);
  });
});

describe('pause', () => {
  it('ends with the reason of an abort', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = pause(3_600_000, controller.signal);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});
