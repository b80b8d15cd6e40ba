import type {Interruption} from '../apply/apply-context.ts';
import {RunLimits} from '../apply/run-limits.ts';
import {clipped, isInterrupted, TransshipError} from '../model/error.ts';
import {LIMIT_FLAGS, type LimitCode} from '../model/outcome.ts';
import {join} from 'node:path';
import {certsDirs, tlsFromFiles} from '../http/tls.ts';
import {HttpClient} from '../http/client.ts';
import {HostSet} from '../http/host-set.ts';
import type {OriginSettings} from '../http/origin.ts';
import {proxyFromEnvironment} from '../http/proxy.ts';
import {type Report, retryEvent} from '../model/event.ts';
import type {Call} from '../model/port.ts';
import {BlobLocations} from '../places/blob-locations.ts';
import {ContentCache} from '../places/content-cache.ts';
import {Places} from '../places/places.ts';
import {CredentialStore} from '../registry/credentials/store.ts';
import type {Io} from './io.ts';
import type {HostFlags, LimitFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {debugLog} from './reporters/debug-log.ts';
import {openReporter, type ProgressFlags} from './reporters/choose.ts';
import {cacheFolder} from './user-folders.ts';

/** What a command that talks to registries works with. */
export interface Session {
  readonly places: Places;
  /** Where blobs were seen at registries; undefined: nothing is remembered. */
  readonly locations: BlobLocations | undefined;
  readonly credentials: CredentialStore;
  /** For what is asked beside the registries, with the same settings of hosts. */
  readonly http: HttpClient;
  /** TLS and proxies of `http`. */
  readonly settings: OriginSettings;
  readonly report: Report;
  /** Signals, and the limits of the run. */
  readonly interruption: Interruption;
  /** Absent: the run has none. */
  readonly limits: RunLimits | undefined;
  readonly call: Call;
  /** For what changes nothing: there is nothing to finish, so the first signal, or a limit, ends it. */
  readonly reading: Call;
}

/**
 * Opens registries and progress, runs `work`, and closes both whatever happens.
 * @param trust where the hosts come from a plan file
 * @throws TransshipError USAGE for a proxy or a host that is not one; what `work` throws
 */
export async function withSession<T>(
  io: Io,
  flags: HostFlags & LimitFlags & ProgressFlags,
  work: (session: Session) => Promise<T>,
  trust?: PlanTrust,
): Promise<T> {
  using limits = openLimits(flags, io);
  const stopping = limits ? AbortSignal.any([io.stopping, limits.stopping]) : io.stopping;
  const {aborted} = io;
  using reporter = openReporter(flags, io);
  const {report} = reporter;
  const settings = originSettings(io, flags);
  await using http = openHttp(io, flags, settings, report);
  const credentials = openCredentials(io, flags, trust);
  const cache = openCache(io, flags);
  await using places = openPlaces({http, credentials, report}, io, flags, cache?.content);
  await using locations = cache?.locations;
  try {
    return await work({
      places,
      locations,
      credentials,
      http,
      settings,
      report,
      interruption: {stopping, aborted},
      limits,
      call: {signal: aborted},
      reading: {signal: AbortSignal.any([stopping, aborted])},
    });
  } catch (error) {
    throw limits?.reached !== undefined && isStop(error) ? stoppedBy(limits.reached) : error;
  }
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

function openLimits(
  {maxBytes, maxDuration, maxDeletes}: LimitFlags,
  {stopping, timer}: Io,
): RunLimits | undefined {
  if (maxBytes === undefined && maxDuration === undefined && maxDeletes === undefined)
    return undefined;
  const settings = {
    ...(maxDeletes === undefined ? {} : {maxDeletes}),
    ...(maxBytes === undefined ? {} : {maxBytes}),
    ...(maxDuration === undefined ? {} : {maxDuration}),
  };
  return new RunLimits(settings, stopping, timer);
}

function originSettings({env, home, redactor}: Io, flags: HostFlags): OriginSettings {
  const {caFile} = flags;
  const leading = new HostSet('--allow-unsafe-redirects', flags.allowUnsafeRedirects ?? []);
  return {
    connectOptions: tlsFromFiles({
      certsDirs: certsDirs(home),
      insecure: new HostSet('--insecure', flags.insecure ?? []),
      ...(caFile === undefined ? {} : {caFile}),
    }),
    proxyFor: proxyFromEnvironment(env, redactor),
    mayLeadAnywhere: (host) => leading.has(host),
  };
}

function openHttp(
  io: Io,
  {progress}: ProgressFlags,
  settings: OriginSettings,
  report: Report,
): HttpClient {
  const {retry, isDebugging} = io;
  return new HttpClient({
    ...(isDebugging === true ? {observe: debugLog(io, progress === 'json' ? 'json' : 'text')} : {}),
    ...(retry ? {retry} : {}),
    retrying: (what, attempt, delayMs, error) => report(retryEvent(what, attempt, delayMs, error)),
    settings,
  });
}

function openCredentials(
  {env, home, uid, redactor, aborted}: Io,
  {authfile}: HostFlags,
  trust: PlanTrust | undefined,
): CredentialStore {
  return new CredentialStore({
    env,
    user: {home, ...(uid === undefined ? {} : {uid})},
    redactor,
    signal: aborted,
    ...(trust ? {mayHaveLogin: (host, prefix) => trust.checkLogin(host, prefix)} : {}),
    ...(authfile === undefined ? {} : {authFile: authfile}),
  });
}

/** What is kept on this machine for later runs. */
function openCache(
  {env, home}: Io,
  {cache}: HostFlags,
): {readonly content: ContentCache; readonly locations: BlobLocations} | undefined {
  if (cache !== true) return undefined;
  const folder = cacheFolder(env, home);
  return {
    content: new ContentCache(join(folder, 'content')),
    locations: new BlobLocations(join(folder, 'blobs')),
  };
}

function openPlaces(
  {http, credentials, report}: Pick<Session, 'http' | 'credentials' | 'report'>,
  {env, redactor, temporary}: Io,
  flags: HostFlags,
  cache: ContentCache | undefined,
): Places {
  return new Places({
    http,
    credentials,
    plainHttp: new HostSet('--plain-http', flags.plainHttp ?? []),
    env,
    learnToken: (token) => redactor.learnPassing(token),
    notice: ({code, message}) => report({type: 'notice', code, message: clipped(message)}),
    ...(cache ? {cache} : {}),
    ...(temporary ? {temporary} : {}),
    partFolders: flags.archiveParts ?? [],
  });
}
