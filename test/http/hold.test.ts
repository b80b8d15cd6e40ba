import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {HttpRequest} from '../../src/http/request.ts';
import type {RetryPolicy} from '../../src/http/retry.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';

/** A whole second: a date in a header has no parts of one. */
const NOW = Date.UTC(2026, 0, 1);
const HOLD_MS = 300_000;
const PATIENT: RetryPolicy = {
  attempts: 4,
  attemptsAt500: 2,
  baseMs: 1,
  capMs: 1,
  budgetMs: 2 * HOLD_MS,
};

/** What cannot be repeated, so that its refusal comes at once. */
const first = (url: string): HttpRequest => ({
  ...get(`${url}/first`),
  method: 'PATCH',
  body: {kind: 'bytes', bytes: Buffer.from('x'), once: true},
});

/** Refuses the first request for some time, and takes all others. */
function startLimited(retryAfter: string) {
  return startHttpServer(({target}, response) => {
    if (target === '/first') response.writeHead(429, {'retry-after': retryAfter}).end();
    else response.writeHead(200).end();
  });
}

beforeEach(() => {
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'Date'], now: NOW});
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a host with Retry-After', () => {
  it.each([
    ['in seconds', String(HOLD_MS / 1000)],
    ['until a date', new Date(NOW + HOLD_MS).toUTCString()],
  ])('gets no request of anybody, %s', async (_what, retryAfter) => {
    await using server = await startLimited(retryAfter);
    await using http = new HttpClient({retry: PATIENT});
    expect((await http.send(first(server.url))).status).toBe(429);
    const second = http.send(get(`${server.url}/second`));
    await vi.advanceTimersByTimeAsync(HOLD_MS - 1);
    // Somebody else is answered meanwhile.
    expect((await fetch(`${server.url}/other`)).status).toBe(200);
    expect(server.requests.map(({target}) => target)).toEqual(['/first', '/other']);
    await vi.advanceTimersByTimeAsync(1);
    expect((await second).status).toBe(200);
    expect(server.requests.map(({target}) => target)).toEqual(['/first', '/other', '/second']);
  });

  it('is requested again immediately if no request waits', async () => {
    await using server = await startLimited(String(PATIENT.budgetMs / 1000 + 1));
    await using http = new HttpClient({retry: PATIENT});
    expect((await http.send(first(server.url))).status).toBe(429);
    expect((await http.send(get(`${server.url}/second`))).status).toBe(200);
  });

  it('is not waited for by a run that is to stop', async () => {
    await using server = await startLimited(String(HOLD_MS / 1000));
    await using http = new HttpClient({retry: PATIENT});
    expect((await http.send(first(server.url))).status).toBe(429);
    const stopping = new AbortController();
    const send = () => http.send({...get(`${server.url}/other`), stopping: stopping.signal});
    const waiting = send();
    stopping.abort();
    await expect(waiting).rejects.toMatchObject({code: 'INTERRUPTED'});
    await expect(send()).rejects.toMatchObject({code: 'INTERRUPTED'});
    expect(server.requests.map(({target}) => target)).toEqual(['/first']);
  });

  it('is not waited for by a run that was to stop before', async () => {
    await using server = await startLimited(String(HOLD_MS / 1000));
    await using http = new HttpClient({retry: PATIENT});
    const sending = http.send({...get(`${server.url}/first`), stopping: AbortSignal.abort()});
    await expect(sending).rejects.toMatchObject({code: 'INTERRUPTED'});
    expect(server.requests).toHaveLength(1);
  });
});

describe('a run that is to stop', () => {
  it('ends the pause that the host asked for', async () => {
    await using server = await startHttpServer((_request, response) => {
      // A status that does not hold the host: only the pause is to be seen.
      response.writeHead(500, {'retry-after': '50'}).end();
    });
    await using http = new HttpClient({retry: PATIENT});
    const stopping = new AbortController();
    const pausing = http.send({...get(server.url), stopping: stopping.signal});
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    stopping.abort();
    await expect(pausing).rejects.toMatchObject({code: 'INTERRUPTED'});
    expect(server.requests).toHaveLength(1);
  });

  it('sends other requests, and retries their failures', async () => {
    await using server = await startHttpServer(({target}, response) => {
      const isFirst = server.requests.length === 1;
      response.writeHead(isFirst ? 503 : 200).end(target);
    });
    await using http = new HttpClient({retry: PATIENT});
    const answer = await http.send({...get(`${server.url}/a`), stopping: AbortSignal.abort()});
    expect(answer.status).toBe(200);
    expect(server.requests).toHaveLength(2);
  });
});
