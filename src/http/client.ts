import {HttpResponse} from './response.ts';
import {
  type Content,
  DEFAULT_TIMEOUTS,
  dispatch,
  Dispatchers,
  type OriginDispatcher,
  ORIGINS_LIMIT,
  type Timeouts,
} from './dispatcher.ts';
import {ExchangeWatch, type HttpObserver} from './exchange.ts';
import {describeRequest, type HttpBody, type HttpRequest, isRepeatable} from './request.ts';
import {networkError} from './network-error.ts';
import {DEFAULT_ORIGIN_SETTINGS, type OriginSettings} from './origin.ts';
import {leaderTo, Redirects, resolveHop, resolveLayerUrl} from './redirect.ts';
import {
  Attempts,
  DEFAULT_RETRY,
  isOverload,
  isTemporary,
  type OnRetry,
  pause,
  type RetryPolicy,
} from './retry.ts';
import {Throttle} from './throttle.ts';
import {interrupted, TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/**
 * How long to retry a host that answers every request with 429 and never sends `Retry-After`, in ms. Rate limits
 * without that header have windows of a minute; a longer refusal is a quota or a block.
 */
const UNANNOUNCED_LIMIT_MS = 4 * 60_000;

export interface HttpClientOptions {
  /** TLS and proxies. Default: Node's, and none. */
  readonly settings?: OriginSettings;
  /** Default: `DEFAULT_TIMEOUTS`. */
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: RetryPolicy;
  /** Called before each retry, with the host that the request was first sent to. */
  readonly retrying?: (host: string, ...retry: Parameters<OnRetry>) => void;
  /** Redacts the secrets that servers may repeat. Default: none. */
  readonly redact?: (text: string) => string;
  /** Observes each request and response. Default: none, which costs nothing. */
  readonly observe?: HttpObserver;
}

/**
 * Sends requests: one dispatcher and one throttle for each of the latest origins, redirects checked hop by hop, and
 * retries if the failure is temporary and the request can be repeated. A failure after the last retry is marked
 * `exhausted`, so that callers do not retry it either. Callers interpret the status.
 */
export class HttpClient implements AsyncDisposable {
  readonly #dispatchers: Dispatchers;
  readonly #throttles = new Map<string, Throttle>();
  readonly #retry: RetryPolicy;
  readonly #retrying: HttpClientOptions['retrying'];
  readonly #settings: OriginSettings;
  readonly #watch: ExchangeWatch | undefined;
  readonly #redact: HttpClientOptions['redact'];
  /** Aborted when the client is closed. */
  readonly #closing = new AbortController();

  constructor({settings, timeouts, retry, retrying, redact, observe}: HttpClientOptions = {}) {
    this.#redact = redact;
    this.#settings = settings ?? DEFAULT_ORIGIN_SETTINGS;
    this.#dispatchers = new Dispatchers(this.#settings, {...DEFAULT_TIMEOUTS, ...timeouts});
    this.#retry = retry ?? DEFAULT_RETRY;
    this.#retrying = retrying;
    this.#watch = observe && new ExchangeWatch(observe);
  }

  /**
   * Returns the response, whatever its status. After the last attempt, a response such as 503 is returned unchanged.
   * @throws TransshipError HOST_NOT_FOUND, CONNECTION_FAILED, TIMEOUT, TLS_CERTIFICATE, RESPONSE_INVALID,
   *   REDIRECT_REFUSED, TLS_FILE_INVALID, INTERRUPTED, and errors of the request body
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const policy = this.#policyFor(request);
    if (policy.attempts === 1 || !isRepeatable(request.body)) return this.#follow(request);
    const attempts = new Attempts(policy);
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#follow(request).catch((error: unknown) => error);
      if (outcome instanceof HttpResponse) {
        outcome.isRepeated = attempt > 1;
        if (!mayRepeat(request, outcome)) return outcome;
      } else if (!(outcome instanceof TransshipError) || !mayRepeat(request, outcome)) {
        throw outcome;
      }
      const pauseMs = this.#hasTimeLeft(outcome) ? attempts.next(outcome) : undefined;
      const isOver =
        pauseMs === undefined || !(await this.#pauseBefore(request, attempt, pauseMs, outcome));
      if (!isOver) continue;
      if (outcome instanceof HttpResponse) {
        outcome.exhausted = true;
        return outcome;
      }
      throw exhausted(outcome);
    }
  }

  /**
   * Resolves a URL that the response to `request` names for a further request. The rules of redirects apply.
   * @throws TransshipError REDIRECT_REFUSED
   */
  resolve(
    location: string,
    request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
    kind: Parameters<typeof resolveHop>[2],
  ): URL {
    return resolveHop(location, request, kind, this.#settings.allowsUnsafeRedirects);
  }

  /** The `ledBy` of a request to a URL that a server named. */
  leaderTo(url: URL, server: URL): string | undefined {
    return leaderTo(url, server, this.#settings.allowsUnsafeRedirects);
  }

  /** The `ledBy` of a request to a URL from a manifest: whoever built the image named it. */
  leaderToLayer({host}: URL): string | undefined {
    return this.#settings.allowsUnsafeRedirects?.(host) === true ? undefined : host;
  }

  /** Checks a layer's URL from a manifest. @throws TransshipError REDIRECT_REFUSED */
  resolveLayerUrl(text: string): URL {
    return resolveLayerUrl(text, this.#settings.allowsUnsafeRedirects);
  }

  /** The concurrency limit of an origin, for reports and tests. */
  throttle(origin: string): Throttle {
    const throttle = this.#throttles.get(origin) ?? new Throttle(this.#retry.baseMs);
    // In the order of their last use.
    this.#throttles.delete(origin);
    this.#throttles.set(origin, throttle);
    for (const [other, {isIdle}] of this.#throttles) {
      if (this.#throttles.size <= ORIGINS_LIMIT) break;
      if (isIdle && other !== origin) this.#throttles.delete(other);
    }
    return throttle;
  }

  /** Closes all connections, including those in use, and ends all retries. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const destroyed = this.#dispatchers.destroy();
    for (const throttle of this.#throttles.values()) throttle[Symbol.dispose]();
    await destroyed;
    this.#watch?.[Symbol.dispose]();
  }

  #policyFor({attempts, attemptsAt500, budgetMs = Infinity}: HttpRequest): RetryPolicy {
    return {
      ...this.#retry,
      attempts: attempts ?? this.#retry.attempts,
      attemptsAt500: attemptsAt500 ?? this.#retry.attemptsAt500,
      budgetMs: Math.min(budgetMs, this.#retry.budgetMs),
    };
  }

  /** Whether the host's time limit allows a retry. All requests to a host share it. */
  #hasTimeLeft(outcome: HttpResponse | TransshipError): boolean {
    if (!(outcome instanceof HttpResponse) || !isOverload(outcome)) return true;
    const {overloadedMs, unannouncedMs} = this.throttle(outcome.request.url.origin);
    return overloadedMs <= this.#retry.budgetMs && unannouncedMs <= UNANNOUNCED_LIMIT_MS;
  }

  /** Whether the pause is over; false: the client was closed. @throws TransshipError INTERRUPTED */
  async #pauseBefore(
    request: HttpRequest,
    attempt: number,
    ms: number,
    outcome: HttpResponse | TransshipError,
  ): Promise<boolean> {
    if (outcome instanceof HttpResponse) await outcome.discard();
    if (this.#closing.signal.aborted) return false;
    const error = outcome instanceof HttpResponse ? unavailable(outcome) : outcome;
    this.#retrying?.(request.url.host, attempt, Math.round(ms), error);
    this.#watch?.retrying(request, attempt, ms, error);
    // A pause that the host did not request is short: a stopping run waits for it, since the request may then succeed.
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

  async #follow(first: HttpRequest): Promise<HttpResponse> {
    const redirects = new Redirects(this.#settings.allowsUnsafeRedirects);
    let request = first;
    for (;;) {
      const response = await this.#sendOnce(request);
      const isRedirect = response.status >= 300 && response.status < 400 && response.status !== 304;
      if (!isRedirect) return response;
      const next = redirects.next(request, response.status, response.header('location'));
      if (!next) return response;
      await response.discard();
      request = next;
    }
  }

  async #sendOnce(request: HttpRequest): Promise<HttpResponse> {
    const {origin} = request.url;
    const throttle = this.throttle(origin);
    try {
      return await throttle.run(request.lane ?? 'small', request, () =>
        this.#dispatchers.use(request, (dispatcher) =>
          this.#dispatch(request, dispatcher, throttle),
        ),
      );
    } catch (thrown) {
      if (request.body?.kind === 'stream') release(request.body.chunks);
      const error = networkError(thrown, request);
      if (error.code === 'TIMEOUT') throttle.overloaded();
      throw error;
    }
  }

  /** Tells the throttle whether the host is overloaded, according to the response. */
  #learn(response: HttpResponse, throttle: Throttle): void {
    const {status, retryAfterMs = 0} = response;
    if (status !== 429 && status !== 503) throttle.succeeded();
    else if (status === 429 && retryAfterMs === 0) response.retryAfterMs = throttle.refused();
    // A pause longer than any retry limit fails the call and does not delay others.
    else throttle.overloaded(retryAfterMs > this.#retry.budgetMs ? 0 : retryAfterMs);
  }

  async #dispatch(
    request: HttpRequest,
    dispatcher: OriginDispatcher,
    throttle: Throttle,
  ): Promise<HttpResponse> {
    const {method, body, signal, readLimit} = request;
    const content = body && (await openBody(body, signal));
    try {
      const {timeouts} = this.#dispatchers;
      const data = await dispatch(request, content, dispatcher, timeouts, this.#watch);
      const redact = this.#redact ? {redact: this.#redact} : {};
      const response = new HttpResponse(request, {...data, ...redact});
      this.#learn(response, throttle);
      // An empty body is consumed here, which releases the connection, so that the caller need not do it.
      if (method === 'HEAD' || response.length === 0) await response.discard();
      else if (readLimit !== undefined) await response.read(readLimit);
      return response;
    } catch (thrown) {
      if (content) release(content);
      throw thrown;
    }
  }
}

/** A request that is not idempotent is repeated only if the server did not process it. */
function mayRepeat({changes, side}: HttpRequest, outcome: HttpResponse | TransshipError): boolean {
  if (changes === true) return outcome.status === 429;
  if (outcome instanceof HttpResponse) return isTemporary(outcome.status);
  return outcome.retry && outcome.side === side;
}

function exhausted(error: TransshipError): TransshipError {
  const {code, message, side, hint, retry, status, retryAfterMs, isPauseAsked, cause} = error;
  const options = {side, hint, retry, status, retryAfterMs, isPauseAsked, cause, exhausted: true};
  return new TransshipError(code, message, options);
}

/** The error of a temporary failure, for retry reports. */
function unavailable({request, status, retryAfterMs, isPauseAsked}: HttpResponse): TransshipError {
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
    isPauseAsked,
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
