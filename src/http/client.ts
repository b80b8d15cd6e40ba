import {HttpAnswer} from './answer.ts';
import {
  type Content,
  DEFAULT_TIMEOUTS,
  dispatch,
  Dispatchers,
  type Timeouts,
} from './dispatcher.ts';
import {describeRequest, type HttpBody, type HttpRequest, isRepeatable} from './message.ts';
import {networkError} from './network-error.ts';
import {DEFAULT_ORIGIN_SETTINGS, type OriginSettings} from './origin.ts';
import {leaderTo, Redirects, resolveHop, resolveLayerUrl} from './redirect.ts';
import {
  Attempts,
  DEFAULT_RETRY,
  isOverload,
  isPassing,
  type OnRetry,
  pause,
  type RetryPolicy,
} from './retry.ts';
import {Throttle} from './throttle.ts';
import {interrupted, TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/**
 * How long to retry a host that refuses everything and never says for how long, in ms. Rate limits have windows of a
 * minute, or send `Retry-After`; a longer refusal is a quota or a block.
 */
const UNTOLD_PATIENCE_MS = 4 * 60_000;

export interface HttpClientOptions {
  /** TLS and proxies. Default: Node's, and none. */
  readonly settings?: OriginSettings;
  /** Default: `DEFAULT_TIMEOUTS`. */
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: RetryPolicy;
  /** Called before each retry, with the host that the request was first sent to. */
  readonly retrying?: (host: string, ...retry: Parameters<OnRetry>) => void;
}

/**
 * Sends requests: one dispatcher and one throttle for each origin, redirects checked hop by hop, and retries if the
 * failure is temporary and the request can be repeated. A failure after the last retry is marked `exhausted`, so that
 * callers do not retry it either. Callers interpret the status.
 */
export class HttpClient implements AsyncDisposable {
  readonly #dispatchers: Dispatchers;
  readonly #throttles = new Map<string, Throttle>();
  readonly #retry: RetryPolicy;
  readonly #retrying: HttpClientOptions['retrying'];
  readonly #settings: OriginSettings;
  /** Aborted when the client is closed. */
  readonly #closing = new AbortController();

  constructor({settings, timeouts, retry, retrying}: HttpClientOptions = {}) {
    this.#settings = settings ?? DEFAULT_ORIGIN_SETTINGS;
    this.#dispatchers = new Dispatchers(this.#settings, {...DEFAULT_TIMEOUTS, ...timeouts});
    this.#retry = retry ?? DEFAULT_RETRY;
    this.#retrying = retrying;
  }

  /**
   * Returns the response, whatever its status. After the last attempt, a response such as 503 is returned unchanged.
   * @throws TransshipError HOST_NOT_FOUND, CONNECTION_FAILED, TIMEOUT, TLS_CERTIFICATE, RESPONSE_INVALID,
   *   REDIRECT_REFUSED, TLS_FILE_INVALID, INTERRUPTED and what a request body throws
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const policy = this.#policyFor(request);
    if (policy.attempts === 1 || !isRepeatable(request.body)) return this.#follow(request);
    const attempts = new Attempts(policy);
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#follow(request).catch((error: unknown) => error);
      if (outcome instanceof HttpAnswer) {
        outcome.isRepeated = attempt > 1;
        if (!mayRepeat(request, outcome)) return outcome;
      } else if (!(outcome instanceof TransshipError) || !mayRepeat(request, outcome)) {
        throw outcome;
      }
      const pauseMs = this.#isPatient(outcome) ? attempts.next(outcome) : undefined;
      const isOver =
        pauseMs === undefined || !(await this.#pauseBefore(request, attempt, pauseMs, outcome));
      if (!isOver) continue;
      if (outcome instanceof HttpAnswer) {
        outcome.exhausted = true;
        return outcome;
      }
      throw exhausted(outcome);
    }
  }

  /**
   * The URL that the server of `request` names for another one.
   * @throws TransshipError REDIRECT_REFUSED, as of redirects
   */
  resolve(
    location: string,
    request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
    kind: Parameters<typeof resolveHop>[2],
  ): URL {
    return resolveHop(location, request, kind, this.#settings.mayLeadAnywhere);
  }

  /** The `ledBy` of a request to a URL that a server named. */
  leaderTo(url: URL, server: URL): string | undefined {
    return leaderTo(url, server, this.#settings.mayLeadAnywhere);
  }

  /** The `ledBy` of a request to a URL from a manifest: whoever built the image named it. */
  leaderToLayer({host}: URL): string | undefined {
    return this.#settings.mayLeadAnywhere?.(host) === true ? undefined : host;
  }

  /** A URL from a manifest. @throws TransshipError REDIRECT_REFUSED */
  resolveLayerUrl(text: string): URL {
    return resolveLayerUrl(text, this.#settings.mayLeadAnywhere);
  }

  /** The concurrency limit of an origin, for reports and tests. */
  throttle(origin: string): Throttle {
    let throttle = this.#throttles.get(origin);
    if (!throttle) {
      throttle = new Throttle(this.#retry.baseMs);
      this.#throttles.set(origin, throttle);
    }
    return throttle;
  }

  /** Closes all connections, including those in use, and ends all retries. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const destroyed = this.#dispatchers.destroy();
    for (const throttle of this.#throttles.values()) throttle[Symbol.dispose]();
    await destroyed;
  }

  #policyFor({attempts, attemptsAt500, budgetMs = Infinity}: HttpRequest): RetryPolicy {
    return {
      ...this.#retry,
      attempts: attempts ?? this.#retry.attempts,
      attemptsAt500: attemptsAt500 ?? this.#retry.attemptsAt500,
      budgetMs: Math.min(budgetMs, this.#retry.budgetMs),
    };
  }

  /** Requests share the time limit of a host: time that others have waited in vain counts. */
  #isPatient(outcome: HttpAnswer | TransshipError): boolean {
    if (!(outcome instanceof HttpAnswer) || !isOverload(outcome)) return true;
    const {overloadedMs, untoldMs} = this.throttle(outcome.request.url.origin);
    return overloadedMs <= this.#retry.budgetMs && untoldMs <= UNTOLD_PATIENCE_MS;
  }

  /** Whether the pause is over; false: the client was closed. @throws TransshipError INTERRUPTED */
  async #pauseBefore(
    request: HttpRequest,
    attempt: number,
    ms: number,
    outcome: HttpAnswer | TransshipError,
  ): Promise<boolean> {
    if (outcome instanceof HttpAnswer) await outcome.discard();
    if (this.#closing.signal.aborted) return false;
    const error = outcome instanceof HttpAnswer ? unavailable(outcome) : outcome;
    this.#retrying?.(request.url.host, attempt, Math.round(ms), error);
    // A pause that nobody asked for is short, and what is under way may end well after it.
    const isShort = outcome.retryAfterMs === undefined;
    return await this.#paused(ms, isShort ? {signal: request.signal} : request);
  }

  /** Whether the pause is over; false: the client was closed. @throws TransshipError INTERRUPTED */
  async #paused(ms: number, {signal, stopping}: Call): Promise<boolean> {
    const closing = this.#closing.signal;
    const ends = AbortSignal.any([signal, closing, ...(stopping ? [stopping] : [])]);
    await pause(ms, ends).catch((reason: unknown) => {
      signal.throwIfAborted();
      if (closing.aborted) return;
      throw stopping?.aborted === true ? interrupted() : reason;
    });
    return !closing.aborted;
  }

  async #follow(first: HttpRequest): Promise<HttpAnswer> {
    const redirects = new Redirects(this.#settings.mayLeadAnywhere);
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
      return await throttle.run(request.lane ?? 'small', request, () =>
        this.#dispatch(request, origin, throttle),
      );
    } catch (thrown) {
      if (request.body?.kind === 'stream') release(request.body.chunks);
      const error = networkError(thrown, request);
      if (error.code === 'TIMEOUT') throttle.overloaded();
      throw error;
    }
  }

  /** Reports the state of the host, as the response shows it, to the throttle. */
  #learn(answer: HttpAnswer, throttle: Throttle): void {
    const {status, retryAfterMs = 0} = answer;
    if (status !== 429 && status !== 503) throttle.succeeded();
    else if (status === 429 && retryAfterMs === 0) answer.retryAfterMs = throttle.refused();
    // A pause longer than any retry limit fails the call and does not delay others.
    else throttle.overloaded(retryAfterMs > this.#retry.budgetMs ? 0 : retryAfterMs);
  }

  async #dispatch(request: HttpRequest, origin: string, throttle: Throttle): Promise<HttpAnswer> {
    const {method, body, signal, readLimit} = request;
    const dispatcher = await this.#dispatchers.of(request);
    const content = body && (await openBody(body, signal));
    try {
      const data = await dispatch(request, content, dispatcher, this.#dispatchers.timeouts);
      const answer = new HttpAnswer(request, data);
      this.#learn(answer, throttle);
      // Without a body, the caller need not consume it, and the resources of the request are released.
      if (method === 'HEAD' || answer.length === 0) await answer.discard();
      else if (readLimit !== undefined) await answer.read(readLimit);
      return answer;
    } catch (thrown) {
      if (content) release(content);
      throw thrown;
    }
  }
}

/** A request that is not idempotent is repeated only if the server did not process it. */
function mayRepeat({changes, side}: HttpRequest, outcome: HttpAnswer | TransshipError): boolean {
  if (changes === true) return outcome.status === 429;
  if (outcome instanceof HttpAnswer) return isPassing(outcome.status);
  return outcome.retry && outcome.side === side;
}

function exhausted(error: TransshipError): TransshipError {
  const {code, message, side, hint, retry, status, retryAfterMs, cause} = error;
  const options = {side, hint, retry, status, retryAfterMs, cause, exhausted: true};
  return new TransshipError(code, message, options);
}

/** The error of a temporary failure, for retry reports. */
function unavailable({request, status, retryAfterMs}: HttpAnswer): TransshipError {
  const isGitLab = request.side === 'gitlab';
  const code =
    status === 429 ? 'RATE_LIMITED' : isGitLab ? 'GITLAB_UNAVAILABLE' : 'REGISTRY_UNAVAILABLE';
  return new TransshipError(code, `${describeRequest(request)} answered ${status}`, {
    side: request.side,
    hint:
      status === 429
        ? 'the host limits the rate of requests'
        : 'the host or a proxy in front of it is failing temporarily',
    retry: true,
    status,
    retryAfterMs,
  });
}

async function openBody(body: HttpBody, signal: AbortSignal): Promise<Content> {
  if (body.kind === 'bytes') return body.bytes;
  return body.kind === 'stream' ? body.chunks : body.open(signal);
}

/**
 * Ends a body, even one that was never started, so that its source is closed. Not awaited: the source may hang, and the
 * original failure is what matters.
 */
function release(content: Content): void {
  if (content instanceof Uint8Array) return;
  content[Symbol.asyncIterator]()
    .return?.()
    .catch(() => undefined);
}
