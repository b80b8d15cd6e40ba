import {errorData} from '../apply/error-data.ts';
import {join} from 'node:path';
import type {Repositories} from '../apply/apply-context.ts';
import {certsDirs} from '../http/certs-dir.ts';
import {HttpClient} from '../http/client.ts';
import {HostSet} from '../http/host-set.ts';
import {proxyFromEnvironment} from '../http/proxy.ts';
import type {Redactor} from '../http/secrets.ts';
import {tlsFromFiles} from '../http/tls.ts';
import {clipped} from '../model/error.ts';
import type {Report} from '../model/event.ts';
import type {Call, RepositoryReader, RepositoryWriter} from '../model/port.ts';
import {parsePlace} from '../model/place.ts';
import {canonicalRegistry, parseReference} from '../model/reference.ts';
import {CachedReader} from '../places/cached-reader.ts';
import {ContentCache} from '../places/content-cache.ts';
import {OciArchive} from '../places/oci-archive.ts';
import {OciLayout} from '../places/oci-layout.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import {CredentialStore} from '../registry/credentials/store.ts';
import {Registry, RegistryRepository} from '../registry/registry.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import type {PlanTrust} from './plan-trust.ts';
import {cacheFolder} from './user-folders.ts';

export interface RegistriesOptions {
  readonly io: Io;
  readonly flags: HostFlags;
  readonly redactor: Redactor;
  readonly report: Report;
  /** Set where hosts come from a plan file. Default: from the command line. */
  readonly trust?: PlanTrust;
}

/** The places of one command, each opened when it is first named, with the user's settings for its host. */
export class Registries implements Repositories, AsyncDisposable {
  readonly #options: RegistriesOptions;
  readonly #http: HttpClient;
  readonly #credentials: CredentialStore;
  readonly #plainHttp: HostSet;
  readonly #layouts = new Map<string, OciLayout>();
  readonly #archives = new Map<string, OciArchive>();
  readonly #registries = new Map<string, Registry>();
  readonly #repositories = new Map<string, RepositoryWriter>();
  readonly #derived = new Map<string, Credentials>();
  readonly #noticed = new Set<string>();
  readonly #cache: ContentCache | undefined;
  readonly #cached = new Map<string, RepositoryReader>();

  /** @throws TransshipError USAGE for a proxy or a host that is not one */
  constructor(options: RegistriesOptions) {
    const {io, flags, redactor, trust} = options;
    const {caFile, authfile} = flags;
    this.#options = options;
    if (flags.cache === true && !io.env['TRANSSHIP_NO_CACHE'])
      this.#cache = new ContentCache(join(cacheFolder(io.env, io.home), 'content'));
    this.#plainHttp = new HostSet('--plain-http', flags.plainHttp ?? []);
    const leading = new HostSet('--allow-unsafe-redirects', flags.allowUnsafeRedirects ?? []);
    this.#http = new HttpClient({
      ...(io.retry ? {retry: io.retry} : {}),
      retrying: (what, attempt, delayMs, error) =>
        options.report({type: 'retrying', what, attempt, delayMs, error: errorData(error)}),
      settings: {
        connectOptions: tlsFromFiles({
          certsDirs: certsDirs(io.home),
          insecure: new HostSet('--insecure', flags.insecure ?? []),
          ...(caFile === undefined ? {} : {caFile}),
        }),
        proxyFor: proxyFromEnvironment(io.env, redactor),
        mayLeadAnywhere: (host) => leading.has(host),
      },
    });
    this.#credentials = new CredentialStore({
      env: io.env,
      user: {home: io.home, ...(io.uid === undefined ? {} : {uid: io.uid})},
      redactor,
      signal: io.aborted,
      derived: (host) => this.#derived.get(host),
      ...(trust ? {mayHaveLogin: (host, prefix) => trust.checkLogin(host, prefix)} : {}),
      ...(authfile === undefined ? {} : {authFile: authfile}),
    });
  }

  source(name: string): RepositoryReader {
    const repository = this.#repository(name, 'source');
    if (this.#cache === undefined || !(repository instanceof RegistryRepository)) return repository;
    const cached = this.#cached.get(name) ?? new CachedReader(repository, this.#cache);
    this.#cached.set(name, cached);
    return cached;
  }

  destination(name: string): RepositoryWriter {
    return this.#repository(name, 'destination');
  }

  /** For what is asked beside the registries, with the same settings of hosts. */
  get http(): HttpClient {
    return this.#http;
  }

  get report(): Report {
    return this.#options.report;
  }

  /** Logs in to the registry of a GitLab instance with the instance's token, unless the user has a login for it. */
  logIn(host: string, credentials: Credentials): void {
    this.#derived.set(canonicalRegistry(host), credentials);
  }

  /** @param host `host[:port]`, as GitLab names it */
  registry(host: string, side: 'source' | 'destination'): Registry {
    const key = `${side} ${canonicalRegistry(host)}`;
    const registry = this.#registries.get(key) ?? this.#open(canonicalRegistry(host), side);
    this.#registries.set(key, registry);
    return registry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const archive of this.#archives.values()) await archive.close();
    await this.#cache?.close();
    await this.#http[Symbol.asyncDispose]();
  }

  /** Writes the archives that were worked on; to be called when a run has done all that it should. */
  async pack(call: Call): Promise<void> {
    for (const archive of this.#archives.values()) await archive.pack(call);
  }

  /** Asked for again and again by each part of a run: a name is taken apart once. */
  #repository(name: string, side: 'source' | 'destination'): RepositoryWriter {
    const key = `${side} ${name}`;
    const repository = this.#repositories.get(key) ?? this.#openRepository(name, side);
    this.#repositories.set(key, repository);
    return repository;
  }

  #openRepository(name: string, side: 'source' | 'destination'): RepositoryWriter {
    const place = parsePlace(name);
    if (place.transport === 'oci') return this.#layout(place.file, side);
    if (place.transport === 'oci-archive') return this.#archive(place.file, side);
    const {registry: host, path} = parseReference(name);
    return this.registry(host, side).repository(path);
  }

  /** One for each folder: what is written into it at the same time goes into its index together. */
  #layout(directory: string, side: 'source' | 'destination'): OciLayout {
    const key = `${side} ${directory}`;
    const layout = this.#layouts.get(key) ?? new OciLayout(directory, {side});
    this.#layouts.set(key, layout);
    return layout;
  }

  #archive(file: string, side: 'source' | 'destination'): OciArchive {
    const key = `${side} ${file}`;
    const archive =
      this.#archives.get(key) ??
      new OciArchive(file, side === 'source' ? 'read' : 'write', this.#options.io.temporary);
    this.#archives.set(key, archive);
    return archive;
  }

  #open(host: string, side: 'source' | 'destination'): Registry {
    const {redactor, report} = this.#options;
    return new Registry({
      host,
      side,
      http: this.#http,
      plainHttp: this.#plainHttp.has(host),
      credentials: (path) => this.#credentials.find(host, side, path),
      learnToken: (token) => redactor.learnPassing(token),
      notice: ({code, message}) => report({type: 'notice', code, message: clipped(message)}),
      noticed: this.#noticed,
    });
  }
}
