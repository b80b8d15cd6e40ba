import type {HttpClient} from '../http/client.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {DOCKER_HUB} from '../model/reference.ts';
import {hostnameOf, isLoopback} from '../http/origin.ts';
import type {HttpResponse} from '../http/response.ts';
import {type Challenge, parseChallenges} from '../http/header-fields.ts';
import type {HttpRequest} from '../http/request.ts';
import {SingleFlight} from '../http/single-flight.ts';
import type {Call} from '../model/port.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {Authenticator, type Need} from './authenticator.ts';
import type {Scope} from './scope.ts';
import type {Token, TokenFacts} from './token.ts';
import {
  REGISTRY_FEATURES,
  type RegistryFeature,
  type RegistryNotice,
  type RegistryOptions,
} from './registry-options.ts';

/** The host of Docker Hub's registry, which differs from that in references. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';

/** The messages of TLS servers for requests without TLS: Go, nginx, Apache. */
const WANTS_TLS =
  /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS|speaking plain HTTP to an SSL/i;

/** The base URL of a registry's API, `…/v2/`; undefined: the scheme must be probed. */
export function endpointOf(host: string, plainHttp: boolean): URL | undefined {
  if (host === DOCKER_HUB) return new URL(`https://${DOCKER_HUB_HOST}/v2/`);
  if (plainHttp) return plainEndpointOf(host);
  return isLoopback(hostnameOf(host)) ? undefined : new URL(`https://${host}/v2/`);
}

/** The base URL without TLS. */
function plainEndpointOf(host: string): URL {
  return new URL(`http://${host}/v2/`);
}

/**
 * Probes the scheme of a registry on this machine: HTTP, as docker allows there, unless a TLS server responds.
 * @throws TransshipError CONNECTION_FAILED and others, if neither responds
 */
async function probeLoopback(
  http: HttpClient,
  host: string,
  side: Side,
  signal: AbortSignal,
): Promise<URL> {
  const plain = plainEndpointOf(host);
  const secure = new URL(`https://${host}/v2/`);
  const base = {method: 'GET', side, signal} as const;
  try {
    const response = await http.send({...base, url: plain, attempts: 1});
    const {bytes} = await response.read(4096);
    const wantsTls = response.status === 400 && WANTS_TLS.test(Buffer.from(bytes).toString());
    return wantsTls ? secure : plain;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof TransshipError) || !isProtocolFailure(error)) throw error;
    return (await answersTls(http, {...base, url: secure, attempts: 1})) ? secure : plain;
  }
}

/** The server closed the connection without an HTTP response, as TLS servers do. */
function isProtocolFailure({code}: TransshipError): boolean {
  return code === 'CONNECTION_FAILED' || code === 'RESPONSE_INVALID';
}

/** A rejected certificate also proves TLS; the next request reports it. */
async function answersTls(
  http: HttpClient,
  request: Parameters<HttpClient['send']>[0],
): Promise<boolean> {
  try {
    const response = await http.send(request);
    await response.discard();
    return true;
  } catch (error) {
    request.signal.throwIfAborted();
    return error instanceof TransshipError && error.code === 'TLS_CERTIFICATE';
  }
}

/** Failures to connect to a server. */
const CONNECTION_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'CONNECTION_FAILED',
  'HOST_NOT_FOUND',
  'TIMEOUT',
  'TLS_CERTIFICATE',
]);

/** A request to a registry, before it has an origin and an authorization. */
export interface RegistryRequest
  extends Pick<
      HttpRequest,
      | 'method'
      | 'headers'
      | 'body'
      | 'lane'
      | 'signal'
      | 'stopping'
      | 'readLimit'
      | 'moreHeadersMs'
      | 'attemptsAt500'
      | 'budgetMs'
    >,
    Need {
  /** Below `/v2/`, with its query; or a URL that the registry named. */
  readonly target: string | URL;
}

/** Sends requests to one registry: determines its scheme, authorizes requests, and records its peculiarities. */
export class RegistryConnection {
  readonly host: string;
  readonly side: Side;
  readonly #options: RegistryOptions;
  readonly #authenticator: Authenticator;
  readonly #probes = new SingleFlight<URL>();
  readonly #noticed: Set<string>;
  readonly #unused = new Set<RegistryFeature>();
  #endpoint: URL | undefined;

  constructor(options: RegistryOptions) {
    this.host = options.host;
    this.side = options.side;
    this.#options = options;
    this.#noticed = options.noticed ?? new Set();
    this.#authenticator = new Authenticator(options);
    this.#endpoint = endpointOf(options.host, options.plainHttp ?? false);
  }

  /**
   * Returns the response, whatever its status. Requests to other origins than the registry's are sent without
   * credentials.
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    return this.#sendTo(await this.#reach(request.signal), request);
  }

  async #sendTo(
    endpoint: URL,
    {target, path, scopes, ...rest}: RegistryRequest,
  ): Promise<HttpResponse> {
    const isBelow = typeof target === 'string';
    const url = isBelow ? new URL(target, endpoint) : target;
    const request: HttpRequest = {...rest, url, side: this.side};
    if (!isBelow && url.origin !== endpoint.origin) {
      return this.#options.http
        .send({...request, ledBy: this.#options.http.leaderTo(url, endpoint)})
        .catch((error: unknown) => Promise.reject(this.#unreachable(error, url)));
    }
    return this.#authenticator.send(request, {path, scopes});
  }

  /** The base URL of the registry's API, `…/v2/`. */
  baseUrl(signal: AbortSignal): Promise<URL> {
    return this.#reach(signal);
  }

  /**
   * Whether its tokens come from GitLab (GitLab: doc/administration/packages/container_registry.md); false before its
   * first response.
   */
  get isGitLab(): boolean {
    const {realm} = this.#authenticator;
    return realm !== undefined && URL.parse(realm)?.pathname.endsWith('/jwt/auth') === true;
  }

  /** The registry's challenges to a client without credentials, at the base of its API. */
  async challenges({signal}: Call): Promise<readonly Challenge[]> {
    const url = await this.#reach(signal);
    const response = await this.#options.http.send({method: 'GET', url, side: this.side, signal});
    await response.discard();
    return parseChallenges(response.header('www-authenticate'));
  }

  /**
   * The error for an upload URL at another origin that cannot be reached: the registry's external URL is wrong.
   */
  #unreachable(error: unknown, {origin}: URL): unknown {
    if (!(error instanceof TransshipError) || !CONNECTION_FAILURES.has(error.code)) return error;
    const {code, message, side, retry, status, retryAfterMs, isPauseAsked, exhausted, cause} =
      error;
    return new TransshipError(code, message, {
      side,
      hint: `${this.host} returns URLs for uploads at ${origin}, which this machine cannot reach: its administrator should correct its external URL or the headers that its proxy forwards`,
      retry,
      status,
      retryAfterMs,
      isPauseAsked,
      exhausted,
      cause,
    });
  }

  /**
   * The scopes that the token for this need grants; undefined: not known in advance, for example if the token is
   * opaque.
   */
  async granted(need: Need, signal: AbortSignal): Promise<readonly Scope[] | undefined> {
    return (await this.#token(need, signal))?.granted;
  }

  /** Further facts about the token for this need; undefined: the registry requires none, or has not responded yet. */
  async tokenFacts(need: Need, signal: AbortSignal): Promise<TokenFacts | undefined> {
    return (await this.#token(need, signal))?.facts;
  }

  async #token(need: Need, signal: AbortSignal): Promise<Token | undefined> {
    const url = await this.#reach(signal);
    return this.#authenticator.token({url, signal}, need);
  }

  /** Whether the response came from a redirect target. */
  isElsewhere({request}: HttpResponse): boolean {
    return this.#endpoint !== undefined && request.url.origin !== this.#endpoint.origin;
  }

  /**
   * Resolves the URL that a response names for the next request. Behind a proxy that terminates TLS, registries name
   * http URLs of their own host; others name https URLs although they are served without TLS. Both are corrected to the
   * scheme in use. No other host may lower the level of security.
   * @throws TransshipError REDIRECT_REFUSED
   */
  resolve(location: string, {request}: HttpResponse): URL {
    const from = request.url;
    const url = URL.parse(location, from.href);
    if (url?.protocol === from.protocol && url.hostname === from.hostname && url.port === '') {
      if (from.port !== '') this.#noticePort(from.port);
      url.port = from.port;
      return this.#options.http.resolve(url.href, request, 'upload location');
    }
    const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
    if (!isWeb || url.protocol === from.protocol || url.hostname !== from.hostname)
      return this.#options.http.resolve(location, request, 'upload location');
    const [named, spoken] = [url.protocol, from.protocol].map((scheme) => scheme.slice(0, -1));
    this.#notice({
      code: named === 'http' ? 'UPLOAD_LOCATION_HTTP' : 'UPLOAD_LOCATION_HTTPS',
      message: `${this.host} returns ${named}:// URLs for uploads although it is accessed over ${spoken}; its proxy or its setting for relative URLs is wrong`,
    });
    url.protocol = from.protocol;
    // A proxy that forwards neither scheme nor port makes the registry name port 80.
    url.port = from.port;
    return this.#options.http.resolve(url.href, request, 'upload location');
  }

  /** Whether a feature may be tried: it has not failed yet. */
  uses(feature: RegistryFeature): boolean {
    return !this.#unused.has(feature);
  }

  /** Behind a proxy that does not forward the port, registries name URLs of their own host without it. */
  #noticePort(port: string): void {
    this.#notice({
      code: 'UPLOAD_LOCATION_PORT',
      message: `${this.host} returns URLs for uploads without the port ${port}; its proxy does not forward the port, or its external URL lacks it`,
    });
  }

  /**
   * Records that an optional feature failed and that a fallback is used, and notifies the user once for each host and
   * feature.
   * @param reason what the registry did: `GET https://… answered 403`
   * @param instead the fallback, as a clause: `blobs are read in one stream`
   */
  featureNotUsed(feature: RegistryFeature, reason: string, instead: string): void {
    this.#unused.add(feature);
    const message = `${this.host}: not using ${REGISTRY_FEATURES[feature]}: ${reason}; ${instead} instead`;
    this.#notice({code: 'FEATURE_NOT_USED', message}, feature);
  }

  /** Notifies the user, once, that an upload from the journal is not resumed. */
  savedUploadIgnored(): void {
    const message = `${this.host}: ignoring an upload in the journal, whose URL is not one of the registry's; its blob is sent from the start`;
    this.#notice({code: 'SAVED_UPLOAD_IGNORED', message});
  }

  async #reach(signal: AbortSignal): Promise<URL> {
    if (this.#endpoint) return this.#endpoint;
    const {http} = this.#options;
    const probe = (flightSignal: AbortSignal) =>
      probeLoopback(http, this.host, this.side, flightSignal);
    this.#endpoint = await this.#probes.run('scheme', signal, probe);
    return this.#endpoint;
  }

  #notice(notice: RegistryNotice, feature = ''): void {
    const key = `${this.host} ${notice.code} ${feature}`;
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    this.#options.notice?.(notice);
  }
}
