import {join} from 'node:path';
import type {Interruption} from '../apply/apply-context.ts';
import {type LimitSettings, RunLimits, type Timer} from '../apply/run-limits.ts';
import {HttpClient} from '../http/client.ts';
import type {HttpObserver} from '../http/exchange.ts';
import {HostSet} from '../http/host-set.ts';
import type {OriginSettings} from '../http/origin.ts';
import {type Environment, proxyFromEnvironment} from '../http/proxy.ts';
import {DEFAULT_RETRY, type RetryPolicy} from '../http/retry.ts';
import {Redactor} from '../http/redaction.ts';
import {certsDirs, tlsFromFiles} from '../http/tls.ts';
import type {Digest} from '../model/digest.ts';
import {clipped, isInterrupted, TransshipError} from '../model/error.ts';
import {type Report, retryEvent, type RunEvent} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
import {LIMIT_FLAGS, type LimitCode} from '../model/outcome.ts';
import {parsePlace} from '../model/place.ts';
import type {CopyPlan} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import {BlobLocations} from '../places/blob-locations.ts';
import {ContentCache} from '../places/content-cache.ts';
import {Places} from '../places/places.ts';
import {CredentialStore, type FindCredentials} from '../registry/credentials/store.ts';
import {accountsOf, type GitLabAccounts, type GitLabLogin} from './gitlab-access.ts';
import {redactError, redactEvent} from './redaction.ts';

/** What the functions of a session may use, and whom they tell. Everything is optional. */
export interface SessionOptions {
  /**
   * Finds the login for a host, before anything else is asked for one. Default, and where it finds none: what
   * `environment` and `home` lead to; without these, requests are anonymous.
   */
  readonly credentials?: FindCredentials;
  /** GitLab instances: to list the repositories of their registries, and to create what a plan creates there. */
  readonly gitlab?: readonly GitLabLogin[];
  /**
   * The environment variables that count: proxies (`HTTPS_PROXY` and the like), logins (`DOCKER_CONFIG`,
   * `TRANSSHIP_SOURCE_*`), `DOCKER_HOST` and `PATH`. Default: none. `process.env` gives what the command line uses.
   */
  readonly environment?: Environment;
  /**
   * The home directory, where docker and podman keep logins and the certificates of hosts (`certs.d`). Default: neither
   * these nor those of the system are read.
   */
  readonly home?: string;
  /** A credentials file in the format of docker's `config.json`. It must exist. */
  readonly authFile?: string;
  /** Hosts (`host[:port]`) that are accessed by HTTP without TLS. Loopback addresses are tried without it anyway. */
  readonly plainHttp?: readonly string[];
  /** Hosts whose TLS certificate is not verified. */
  readonly insecure?: readonly string[];
  /** Hosts whose redirects may lead from https to http and to private addresses. */
  readonly allowUnsafeRedirects?: readonly string[];
  /** A PEM file with authorities that are trusted besides those of the system. */
  readonly caFile?: string;
  /** Directories where parts of archives are looked for, besides that of the archive. */
  readonly archiveParts?: readonly string[];
  /**
   * Keeps manifests of sources, and where blobs were seen, in this directory for later sessions. Default: nothing is
   * kept.
   */
  readonly cacheDirectory?: string;
  /** What ends the work of the session early, as `stopping` does. */
  readonly limits?: LimitSettings;
  /** Told about everything that happens, synchronously. It must not throw. */
  readonly onEvent?: (event: RunEvent) => void;
  /**
   * Ends everything at once, requests under way included: `applyPlan` resolves with the result `interrupted`, the other
   * functions reject with the reason of the signal.
   */
  readonly signal?: AbortSignal;
  /** Ends in good order: as `signal`, but `applyPlan` finishes what is under way first. */
  readonly stopping?: AbortSignal;
  /** @internal The user's id; undefined where the system has none. */
  readonly uid?: number | undefined;
  /** @internal Ends waits. Default: the system's. */
  readonly timer?: Timer;
  /** @internal When requests are sent again. Default: `DEFAULT_RETRY`. */
  readonly retry?: RetryPolicy;
  /** @internal Told about requests and responses. */
  readonly observe?: HttpObserver;
  /** @internal Default: the system's clock. */
  readonly now?: () => Date;
  /** @internal Default: one of its own. */
  readonly redactor?: Redactor;
  /** @internal Directories that must not outlive the process, as long as they are there. */
  readonly temporary?: Set<string>;
  /** @internal What is piped in. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** @internal Rejects to keep a login of variables without a host from a registry. */
  readonly mayHaveLogin?: (registry: string, prefix: string) => Promise<void>;
  /** @internal In place of `gitlab`. */
  readonly gitlabAccounts?: GitLabAccounts;
}

/**
 * Connections, logins and caches that several functions share. Call them one after the other; what runs at the same
 * time needs sessions of its own. Close the session when the work is done, and every function has settled: with `await
 * using`, or by `close()`.
 */
export interface Session extends AsyncDisposable {
  /** Closes connections and files. */
  close(): Promise<void>;
  /**
   * @internal Runs `work`: what it throws contains no secret, and names the limit that ended it.
   * @throws TransshipError USAGE where the session is closed; what `work` throws
   */
  readonly run: <T>(work: () => Promise<T>) => Promise<T>;
  /** @internal */
  readonly places: Places;
  /** @internal Where blobs were seen at registries; undefined: nothing is remembered. */
  readonly locations: BlobLocations | undefined;
  /** @internal */
  readonly credentials: CredentialStore;
  /** @internal For what is asked beside the registries, with the same settings of hosts. */
  readonly http: HttpClient;
  /** @internal TLS and proxies of `http`. */
  readonly settings: OriginSettings;
  /** @internal */
  readonly retry: RetryPolicy;
  /** @internal */
  readonly report: Report;
  /** @internal Signals, and the limits of the run. */
  readonly interruption: Interruption;
  /** @internal Absent: the run has none. */
  readonly limits: RunLimits | undefined;
  /** @internal */
  readonly call: Call;
  /** @internal For what changes nothing: there is nothing to finish, so the first signal, or a limit, ends it. */
  readonly reading: Call;
  /** @internal */
  readonly environment: Environment;
  /** @internal */
  readonly now: () => Date;
  /** @internal */
  readonly redactor: Redactor;
  /** @internal */
  readonly stdin: (() => AsyncIterable<Uint8Array>) | undefined;
  /** @internal */
  readonly gitlabs: GitLabAccounts;
  /** @internal What was read to make a plan: applying it need not read that again. */
  readonly observed: WeakMap<CopyPlan, ReadonlyMap<Digest, SeenManifest>>;
}

const NEVER = new AbortController().signal;

/**
 * Opens a session. Nothing is asked of any host until a function needs it.
 * @throws TransshipError USAGE for a host or a proxy that is not one
 */
export function openSession(options: SessionOptions = {}): Session {
  const {environment = {}, redactor = new Redactor(), now = () => new Date()} = options;
  const {signal: aborted = NEVER, retry = DEFAULT_RETRY} = options;
  // What ends at once begins nothing new either.
  const stop = AbortSignal.any([options.stopping ?? NEVER, aborted]);
  const timer = options.timer ? ([options.timer] as const) : ([] as const);
  const limits = options.limits && new RunLimits(options.limits, stop, ...timer);
  const stopping = limits ? AbortSignal.any([stop, limits.stopping]) : stop;
  const {onEvent = () => undefined} = options;
  const report: Report = (event) => onEvent(redactEvent(event, redactor));
  const settings = originSettings(options, environment, redactor);
  const http = openHttp({retry, settings, report, redactor}, options.observe);
  const closing = new AbortController();
  const helping = AbortSignal.any([aborted, closing.signal]);
  const credentials = openCredentials(options, environment, redactor, helping);
  const cache = openCache(options.cacheDirectory, options.uid);
  const places = openPlaces({http, credentials, report, redactor}, options, cache?.content);
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    // A credential helper that is no longer waited for would keep the process alive.
    closing.abort();
    limits?.[Symbol.dispose]();
    try {
      await cache?.locations[Symbol.asyncDispose]();
    } finally {
      // Those that read from it come first, whatever became of the one before.
      try {
        await places[Symbol.asyncDispose]();
      } finally {
        await http[Symbol.asyncDispose]();
      }
    }
  };
  return {
    close,
    [Symbol.asyncDispose]: close,
    run: async (work) => {
      if (isClosed) throw closed();
      try {
        return await work();
      } catch (error) {
        const isLimit = limits?.reached !== undefined && isStop(error);
        throw redactError(isLimit ? stoppedBy(limits.reached) : error, redactor);
      }
    },
    places,
    locations: cache?.locations,
    credentials,
    http,
    settings,
    retry,
    report,
    interruption: {stopping, aborted},
    limits,
    call: {signal: aborted},
    reading: {signal: stopping},
    environment,
    now,
    redactor,
    stdin: options.stdin,
    gitlabs: options.gitlabAccounts ?? accountsOf(options.gitlab ?? []),
    observed: new WeakMap(),
  };
}

function closed(): TransshipError {
  return new TransshipError('USAGE', 'the session is closed', {
    side: 'local',
    hint: 'open another one with openSession',
  });
}

/** What is ended by the first signal, or by a limit, rejects with. */
function isStop(error: unknown): boolean {
  return isInterrupted(error) || (error instanceof DOMException && error.name === 'AbortError');
}

function stoppedBy(limit: LimitCode): TransshipError {
  return new TransshipError(limit, `${LIMIT_FLAGS[limit]} was reached before the run began`, {
    side: 'local',
    hint: `run the command again with a higher ${LIMIT_FLAGS[limit]}`,
  });
}

function originSettings(
  {home, caFile, insecure = [], allowUnsafeRedirects = []}: SessionOptions,
  environment: Environment,
  redactor: Redactor,
): OriginSettings {
  const leading = new HostSet('--allow-unsafe-redirects', allowUnsafeRedirects);
  return {
    connectOptions: tlsFromFiles({
      certsDirs: home === undefined ? [] : certsDirs(home),
      insecure: new HostSet('--insecure', insecure),
      ...(caFile === undefined ? {} : {caFile}),
    }),
    proxyFor: proxyFromEnvironment(environment, redactor),
    allowsUnsafeRedirects: (host) => leading.has(host),
  };
}

function openHttp(
  {retry, settings, report, redactor}: Pick<Session, 'retry' | 'settings' | 'report' | 'redactor'>,
  observe: HttpObserver | undefined,
): HttpClient {
  return new HttpClient({
    ...(observe ? {observe} : {}),
    redact: (text) => redactor.redact(text),
    retry,
    retrying: (what, attempt, delayMs, error) => report(retryEvent(what, attempt, delayMs, error)),
    settings,
  });
}

function openCredentials(
  {credentials, home, uid, authFile, mayHaveLogin}: SessionOptions,
  env: Environment,
  redactor: Redactor,
  signal: AbortSignal,
): CredentialStore {
  return new CredentialStore({
    env,
    user: {...(home === undefined ? {} : {home}), ...(uid === undefined ? {} : {uid})},
    redactor,
    signal,
    ...(credentials ? {given: credentials} : {}),
    ...(mayHaveLogin ? {mayHaveLogin} : {}),
    ...(authFile === undefined ? {} : {authFile}),
  });
}

/** Names the registries of a plan, before any of them is asked. */
export function announceRegistries({credentials}: Session, {routes}: CopyPlan): void {
  for (const [side, of] of [
    ['source', 'from'],
    ['destination', 'to'],
  ] as const) {
    const places = routes.map((route) => parsePlace(route[of]));
    credentials.announce(
      side,
      places.flatMap((place) => (place.transport === 'docker' ? [place.reference.registry] : [])),
    );
  }
}

/** What is kept on this machine for later sessions. */
function openCache(
  directory: string | undefined,
  uid: number | undefined,
): {readonly content: ContentCache; readonly locations: BlobLocations} | undefined {
  if (directory === undefined) return undefined;
  return {
    content: new ContentCache(join(directory, 'content'), {uid}),
    locations: new BlobLocations(join(directory, 'blobs'), {uid}),
  };
}

function openPlaces(
  opened: Pick<Session, 'http' | 'credentials' | 'report' | 'redactor'>,
  {environment, plainHttp = [], temporary, archiveParts = []}: SessionOptions,
  cache: ContentCache | undefined,
): Places {
  const {http, credentials, report, redactor} = opened;
  return new Places({
    http,
    credentials,
    plainHttp: new HostSet('--plain-http', plainHttp),
    ...(environment ? {env: environment} : {}),
    learnToken: (token) => redactor.learnShortLived(token),
    notice: ({code, message}) => report({type: 'notice', code, message: clipped(message)}),
    ...(cache ? {cache} : {}),
    ...(temporary ? {temporary} : {}),
    partDirectories: archiveParts,
  });
}
