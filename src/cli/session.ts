import {clipped} from '../model/error.ts';
import {join} from 'node:path';
import {certsDirs, tlsFromFiles} from '../http/tls.ts';
import {HttpClient} from '../http/client.ts';
import {HostSet} from '../http/host-set.ts';
import {proxyFromEnvironment} from '../http/proxy.ts';
import {errorData, type Report} from '../model/event.ts';
import type {Call} from '../model/port.ts';
import {ContentCache} from '../places/content-cache.ts';
import {Places} from '../places/places.ts';
import {CredentialStore} from '../registry/credentials/store.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {openReporter, type ProgressKind} from './reporters/choose.ts';
import {cacheFolder} from './user-folders.ts';

/** What a command that talks to registries works with. */
export interface Session {
  readonly places: Places;
  readonly credentials: CredentialStore;
  /** For what is asked beside the registries, with the same settings of hosts. */
  readonly http: HttpClient;
  readonly report: Report;
  readonly call: Call;
  /** For what changes nothing: there is nothing to finish, so the first signal ends it. */
  readonly reading: Call;
}

/**
 * Opens registries and progress, runs `work`, and closes both whatever happens.
 * @param trust where the hosts come from a plan file
 * @throws TransshipError USAGE for a proxy or a host that is not one; what `work` throws
 */
export async function withSession<T>(
  io: Io,
  flags: HostFlags & {readonly progress: ProgressKind},
  work: (session: Session) => Promise<T>,
  trust?: PlanTrust,
): Promise<T> {
  using reporter = openReporter(flags.progress, io);
  const {report} = reporter;
  await using http = openHttp(io, flags, report);
  const credentials = openCredentials(io, flags, trust);
  await using places = openPlaces({http, credentials, report}, io, flags);
  return await work({
    places,
    credentials,
    http,
    report,
    call: {signal: io.aborted},
    reading: {signal: AbortSignal.any([io.stopping, io.aborted])},
  });
}

function openHttp({retry, env, home, redactor}: Io, flags: HostFlags, report: Report): HttpClient {
  const {caFile} = flags;
  const leading = new HostSet('--allow-unsafe-redirects', flags.allowUnsafeRedirects ?? []);
  return new HttpClient({
    ...(retry ? {retry} : {}),
    retrying: (what, attempt, delayMs, error) =>
      report({type: 'retrying', what, attempt, delayMs, error: errorData(error)}),
    settings: {
      connectOptions: tlsFromFiles({
        certsDirs: certsDirs(home),
        insecure: new HostSet('--insecure', flags.insecure ?? []),
        ...(caFile === undefined ? {} : {caFile}),
      }),
      proxyFor: proxyFromEnvironment(env, redactor),
      mayLeadAnywhere: (host) => leading.has(host),
    },
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

function openPlaces(
  {http, credentials, report}: Pick<Session, 'http' | 'credentials' | 'report'>,
  {env, home, redactor, temporary}: Io,
  flags: HostFlags,
): Places {
  const isCached = flags.cache === true && !env['TRANSSHIP_NO_CACHE'];
  return new Places({
    http,
    credentials,
    plainHttp: new HostSet('--plain-http', flags.plainHttp ?? []),
    env,
    learnToken: (token) => redactor.learnPassing(token),
    notice: ({code, message}) => report({type: 'notice', code, message: clipped(message)}),
    ...(isCached ? {cache: new ContentCache(join(cacheFolder(env, home), 'content'))} : {}),
    ...(temporary ? {temporary} : {}),
  });
}
