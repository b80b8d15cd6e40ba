import type {HttpClient} from '../http/client.ts';
import type {HostSet} from '../http/host-set.ts';
import {parsePlace} from '../model/place.ts';
import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Call, Repositories, RepositoryReader, RepositoryWriter} from '../model/port.ts';
import {canonicalRegistry, parseReference} from '../model/reference.ts';
import type {CredentialStore} from '../registry/credentials/store.ts';
import {Registry, RegistryRepository} from '../registry/registry.ts';
import {CachedReader} from './cached-reader.ts';
import type {ContentCache} from './content-cache.ts';
import {OciArchive} from './oci-archive.ts';
import {OciLayout} from './oci-layout.ts';
import type {RegistryNotice} from '../registry/registry-options.ts';

export interface PlacesOptions {
  readonly http: HttpClient;
  readonly credentials: CredentialStore;
  /** Registries that are accessed without TLS. */
  readonly plainHttp: HostSet;
  /** Called with each access token, to redact it in messages. */
  readonly learnToken: (token: string) => void;
  /** Called once for each peculiarity of a registry. */
  readonly notice: (notice: RegistryNotice) => void;
  /** Keeps what is read from registries; absent: nothing is kept. */
  readonly cache?: ContentCache;
  /** Gets the names of temporary folders, which are removed whatever ends the process. */
  readonly temporary?: Set<string>;
}

type Side = 'source' | 'destination';

/** The places of one command, each opened when it is first named. */
export class Places implements Repositories, AsyncDisposable {
  readonly #options: PlacesOptions;
  readonly #layouts = new Map<string, OciLayout>();
  readonly #archives = new Map<string, OciArchive>();
  readonly #registries = new Map<string, Registry>();
  readonly #repositories = new Map<string, RepositoryWriter>();
  readonly #cached = new Map<string, RepositoryReader>();
  readonly #noticed = new Set<string>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  source(name: string): RepositoryReader {
    const {cache} = this.#options;
    const repository = this.#repository(name, 'source');
    if (cache === undefined || !(repository instanceof RegistryRepository)) return repository;
    return opened(this.#cached, name, () => new CachedReader(repository, cache));
  }

  destination(name: string): RepositoryWriter {
    return this.#repository(name, 'destination');
  }

  writable(name: string, side: Side): RepositoryWriter {
    return this.#repository(name, side);
  }

  /** @param host `host[:port]` */
  registry(host: string, side: Side): Registry {
    const canonical = canonicalRegistry(host);
    const {http, credentials, plainHttp, learnToken, notice} = this.#options;
    const open = (): Registry =>
      new Registry({
        host: canonical,
        side,
        http,
        plainHttp: plainHttp.has(canonical),
        credentials: (path) => credentials.find(canonical, side, path),
        learnToken,
        notice,
        noticed: this.#noticed,
      });
    return opened(this.#registries, `${side} ${canonical}`, open);
  }

  /** Whether a registry is a GitLab's with metadata database; false where it does not tell, or cannot be asked. */
  async hasDatabase(host: string, call: Call): Promise<boolean> {
    try {
      return (await this.registry(host, 'destination').traits(call)).database;
    } catch (error) {
      call.signal.throwIfAborted();
      if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
      return false;
    }
  }

  /** Writes the archives that were changed. Call it when a run is complete. */
  async pack(call: Call): Promise<void> {
    for (const archive of this.#archives.values()) await archive.pack(call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const archive of this.#archives.values()) await archive.close();
    await this.#options.cache?.close();
  }

  /** Asked for again and again by each part of a run: a name is parsed once. */
  #repository(name: string, side: Side): RepositoryWriter {
    return opened(this.#repositories, `${side} ${name}`, () => this.#open(name, side));
  }

  #open(name: string, side: Side): RepositoryWriter {
    const place = parsePlace(name);
    switch (place.transport) {
      case 'oci':
        return this.#layout(place.file, side);
      case 'oci-archive':
        return this.#archive(place.file, side);
      default: {
        const {registry, path} = parseReference(name);
        return this.registry(registry, side).repository(path);
      }
    }
  }

  /** One for each folder: what is written into it at the same time goes into its index together. */
  #layout(directory: string, side: Side): OciLayout {
    return opened(this.#layouts, `${side} ${directory}`, () => new OciLayout(directory, {side}));
  }

  #archive(file: string, side: Side): OciArchive {
    const mode = side === 'source' ? 'read' : 'write';
    return opened(
      this.#archives,
      `${side} ${file}`,
      () => new OciArchive(file, mode, this.#options.temporary),
    );
  }
}

function opened<T>(known: Map<string, T>, key: string, open: () => T): T {
  const place = known.get(key) ?? open();
  known.set(key, place);
  return place;
}
