import {HttpAnswer, retryAfterOf} from './answer.ts';
import {DEFAULT_TIMEOUTS, Dispatchers, type Timeouts} from './dispatchers.ts';
import {type Content, dispatch} from './dispatch.ts';
import type {EarlySockets} from './early-sockets.ts';
import {type HttpBody, type HttpRequest, isRepeatable} from './message.ts';
import {networkError} from './network-error.ts';
import {DEFAULT_ORIGIN_SETTINGS, type OriginSettings} from './origin.ts';
import {Redirects} from './redirect.ts';
import {
  Attempts,
  DEFAULT_RETRY,
  isPassing,
  LONGEST_HOLD_MS,
  pause,
  type RetryPolicy,
} from './retry.ts';
import {Throttle} from './throttle.ts';
import {TransshipError} from '../model/error.ts';
import {interrupted} from '../model/interrupted.ts';
import type {Call} from '../model/port.ts';

export interface HttpClientOptions {
  /** TLS and proxies. Default: Node's, and none. */
  readonly settings?: OriginSettings;
  readonly timeouts?: Timeouts;
  readonly retry?: RetryPolicy;
  /** For the first requests to their hosts. The caller's to dispose of. */
  readonly early?: EarlySockets;
}

/**
 * Sends requests: one dispatcher and one throttle for each origin, redirects decided hop by hop, and another attempt
 * where the failure may pass and the body can be sent again. What a status means is for the caller to say.
 */
export class HttpClient implements AsyncDisposable {
  readonly #dispatchers: Dispatchers;
  readonly #throttles = new Map<string, Throttle>();
  readonly #retry: RetryPolicy;
  /** Aborted when the client is closed. */
  readonly #closing = new AbortController();

  constructor({settings, timeouts, retry, early}: HttpClientOptions = {}) {
    this.#dispatchers = new Dispatchers(
      settings ?? DEFAULT_ORIGIN_SETTINGS,
      timeouts ?? DEFAULT_TIMEOUTS,
      early,
    );
    this.#retry = retry ?? DEFAULT_RETRY;
  }

  /**
   * Gives the answer, whatever its status. After the last attempt an answer such as 503 is given as it is.
   * @throws TransshipError HOST_NOT_FOUND, CONNECTION_FAILED, TIMEOUT, TLS_CERTIFICATE, RESPONSE_INVALID,
   *   REDIRECT_REFUSED, TLS_FILE_INVALID, INTERRUPTED and what a request body throws
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    if (!isRepeatable(request.body)) return this.#follow(request);
    const {attempts: most = this.#retry.attempts, attemptsAt500 = this.#retry.attemptsAt500} =
      request;
    const attempts = new Attempts({...this.#retry, attempts: most, attemptsAt500});
    for (let isRepeated = false; ; isRepeated = true) {
      const outcome = await this.#follow(request).catch((error: unknown) => error);
      let failure;
      if (outcome instanceof HttpAnswer) {
        outcome.isRepeated = isRepeated;
        if (!isPassing(outcome.status)) return outcome;
        failure = {status: outcome.status, retryAfterMs: retryAfterOf(outcome)};
      } else {
        const mayPass =
          outcome instanceof TransshipError && outcome.retry && outcome.side === request.side;
        if (!mayPass) throw outcome;
        failure = {status: outcome.status, retryAfterMs: outcome.retryAfterMs};
      }
      const pauseMs = attempts.next(failure);
      if (outcome instanceof HttpAnswer && pauseMs !== undefined) await outcome.discard();
      // A pause that nobody asked for is short, and what is under way may end well after it.
      const call: Call = failure.retryAfterMs === undefined ? {signal: request.signal} : request;
      if (pauseMs === undefined || !(await this.#paused(pauseMs, call))) {
        if (outcome instanceof HttpAnswer) return outcome;
        throw outcome;
      }
    }
  }

  /** How much may go on at an origin, for reports and tests. */
  throttle(origin: string): Throttle {
    let throttle = this.#throttles.get(origin);
    if (!throttle) {
      throttle = new Throttle();
      this.#throttles.set(origin, throttle);
    }
    return throttle;
  }

  /** Closes all connections, also those in use; no request is sent again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const destroyed = this.#dispatchers.destroy();
    for (const throttle of this.#throttles.values()) throttle[Symbol.dispose]();
    await destroyed;
  }

  /** Whether the pause is over; false: the client was closed. @throws TransshipError INTERRUPTED */
  async #paused(ms: number, {signal, stopping}: Call): Promise<boolean> {
    const closing = this.#closing.signal;
    if (closing.aborted) return false;
    const ends = AbortSignal.any([signal, closing, ...(stopping ? [stopping] : [])]);
    await pause(ms, ends).catch((reason: unknown) => {
      signal.throwIfAborted();
      if (closing.aborted) return;
      throw stopping?.aborted === true ? interrupted() : reason;
    });
    return !closing.aborted;
  }

  async #follow(first: HttpRequest): Promise<HttpAnswer> {
    const redirects = new Redirects();
    let request = first;
    for (;;) {
      const answer = await this.#sendOnce(request);
      const isRedirect = answer.status >= 300 && answer.status < 400 && answer.status !== 304;
      if (!isRedirect) return answer;
      const next = redirects.next(request, answer.status, answer.header('location'));
      if (!next) return answer;
      await answer.discard();
      request = next;
    }
  }

  async #sendOnce(request: HttpRequest): Promise<HttpAnswer> {
    const {origin} = request.url;
    const throttle = this.throttle(origin);
    try {
      const answer = await throttle.run(request.lane ?? 'small', request, () =>
        this.#dispatch(request, origin),
      );
      if (answer.status !== 429 && answer.status !== 503) throttle.succeeded();
      else throttle.overloaded(holdFor(answer));
      return answer;
    } catch (thrown) {
      if (request.body?.kind === 'stream') release(request.body.chunks);
      const error = networkError(thrown, request);
      if (error.code === 'TIMEOUT') throttle.overloaded();
      throw error;
    }
  }

  async #dispatch(request: HttpRequest, origin: string): Promise<HttpAnswer> {
    const {method, body, signal, readLimit, leadsTo = 0} = request;
    const channel = await this.#dispatchers.of(origin);
    const content = body && (await openBody(body, signal));
    try {
      const answering = dispatch({request, origin, content}, channel, this.#dispatchers.timeouts);
      if (leadsTo > 0) channel.dispatcher.expect?.(Math.min(leadsTo, this.throttle(origin).limit));
      const data = await answering;
      const answer = new HttpAnswer(request, data);
      // Nothing to come: the caller need not care, and what is held of the request is let go.
      if (method === 'HEAD' || answer.length === 0) await answer.discard();
      else if (readLimit !== undefined) await answer.read(readLimit);
      return answer;
    } catch (thrown) {
      if (content) release(content);
      throw thrown;
    } finally {
      if (leadsTo > 0) channel.dispatcher.expect?.(0);
    }
  }
}

/** A pause longer than anybody waits for ends the calls that meet it, and holds up no other. */
function holdFor(answer: HttpAnswer): number {
  const ms = retryAfterOf(answer) ?? 0;
  return ms > LONGEST_HOLD_MS ? 0 : ms;
}

async function openBody(body: HttpBody, signal: AbortSignal): Promise<Content> {
  if (body.kind === 'bytes') return body.bytes;
  return body.kind === 'stream' ? body.chunks : body.open(signal);
}

/**
 * Ends a body that was perhaps never begun, so that what feeds it is closed. Not waited for: its source may hang, and
 * the failure that led here is what matters.
 */
function release(content: Content): void {
  if (content instanceof Uint8Array) return;
  content[Symbol.asyncIterator]()
    .return?.()
    .catch(() => undefined);
}
