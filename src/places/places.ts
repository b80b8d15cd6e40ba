import type {HttpClient} from '../http/client.ts';
import type {HostSet} from '../http/host-set.ts';
import type {Environment} from '../http/proxy.ts';
import {
  archiveIndex,
  engineImageName,
  type EnginePlace,
  type FilePlace,
  formatPlace,
  notADestination,
  parsePlace,
} from '../model/place.ts';
import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Call, Repositories, RepositoryReader, RepositoryWriter} from '../model/port.ts';
import {canonicalRegistry} from '../model/reference.ts';
import type {CredentialStore} from '../registry/credentials/store.ts';
import {Registry} from '../registry/registry.ts';
import {findPartList, openParts} from './archive-parts.ts';
import {CachedReader} from './cached-reader.ts';
import type {ContentCache} from './content-cache.ts';
import type {EngineImage} from './engine-images.ts';
import {ImageDirectory} from './image-directory.ts';
import {LayoutRepository, ReadLayoutRepository} from './layout-repository.ts';
import {LazyReader} from './lazy-reader.ts';
import {OciArchive} from './oci-archive.ts';
import {OciLayout} from './oci-layout.ts';
import type {TarArchive} from './tar-archive.ts';
import {layerAt} from './url-layer.ts';
import type {RegistryNotice} from '../registry/registry-options.ts';

/** What places are opened with. */
export interface PlacesOptions {
  readonly http: HttpClient;
  readonly credentials: CredentialStore;
  /** Registries that are accessed without TLS. */
  readonly plainHttp: HostSet;
  /** Called with each access token, to redact it in messages. */
  readonly learnToken: (token: string) => void;
  /** Called once for each peculiarity of a registry. */
  readonly notice: (notice: RegistryNotice) => void;
  /** The cache of manifests and configs from registries; absent: none. */
  readonly cache?: ContentCache;
  /** The environment with `DOCKER_HOST` and the PATH. Default: empty. */
  readonly env?: Environment;
  /** Contains the temporary directories in use, which the caller removes when the process ends. */
  readonly temporary?: Set<string>;
  /** Directories with parts of archives, besides the directory of the archive. */
  readonly partDirectories?: readonly string[];
}

type CopySide = 'source' | 'destination';

/** The places of one command. Each is opened when it is first requested. */
export class Places implements Repositories, AsyncDisposable {
  readonly #options: PlacesOptions;
  readonly #registries = new Map<string, Registry>();
  readonly #sources = new Map<string, RepositoryReader>();
  readonly #destinations = new Map<string, RepositoryWriter>();
  /** Archives that are written, by file. */
  readonly #archives = new Map<string, OciArchive>();
  /** Archives that are read, by file; several places may be in one archive. */
  readonly #opened = new Map<string, Promise<TarArchive>>();
  readonly #engineImages: EngineImage[] = [];
  #archiveSize: number | undefined;
  readonly #noticed = new Set<string>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * Opens a source. The same name gives the same reader.
   * @throws TransshipError REFERENCE_INVALID, TRANSPORT_UNKNOWN
   */
  source(name: string): RepositoryReader {
    return opened(this.#sources, name, () => this.#openSource(name));
  }

  /** Opens a destination. @throws TransshipError as `source`; TRANSPORT_UNSUPPORTED if the place can only be read */
  destination(name: string): RepositoryWriter {
    return opened(this.#destinations, name, () => this.#openDestination(name));
  }

  writable(name: string, side: CopySide): RepositoryWriter {
    const place = parsePlace(name);
    if (place.transport !== 'docker') return this.destination(name);
    const {registry, path} = place.reference;
    return this.registry(registry, side).repository(path);
  }

  /** Opens a foreign layer at the URLs in its manifest. */
  layerAt(urls: readonly string[]): RepositoryReader {
    return layerAt(this.#options.http, urls);
  }

  /** Opens a registry. @param host `host[:port]` */
  registry(host: string, side: CopySide): Registry {
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

  /** Whether a registry reports GitLab's metadata database; false also if the request fails. */
  async hasDatabase(host: string, call: Call): Promise<boolean> {
    try {
      return (await this.registry(host, 'destination').traits(call)).database;
    } catch (error) {
      call.signal.throwIfAborted();
      if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
      return false;
    }
  }

  /** Sets the size of the parts of archives, in bytes. Undefined: archives are written as they are, or as one file. */
  splitArchives(partSize: number | undefined): void {
    this.#archiveSize = partSize;
  }

  /** Writes the changed archives. Call this when a run is complete. */
  async pack(call: Call): Promise<void> {
    for (const archive of this.#archives.values()) await archive.pack(call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opening of this.#opened.values()) {
      const [result] = await Promise.allSettled([opening]);
      if (result.status === 'fulfilled') await result.value.close();
    }
    for (const image of this.#engineImages) await image.close();
    await this.#options.cache?.close();
  }

  #openSource(name: string): RepositoryReader {
    const place = parsePlace(name);
    if ('repository' in place && place.repository !== undefined)
      return new ReadLayoutRepository(name, this.source(wholeOf(place)), place.repository);
    switch (place.transport) {
      case 'oci':
        return new OciLayout(place.file, {side: 'source'});
      case 'dir':
        return new ImageDirectory(place.file, 'source');
      case 'oci-archive':
      case 'docker-archive':
        return this.#archive(name, place);
      case 'docker-daemon':
      case 'containers-storage':
        return this.#engine(name, place);
      case 'docker': {
        const {cache} = this.#options;
        const {registry, path} = place.reference;
        const repository = this.registry(registry, 'source').repository(path);
        return cache === undefined ? repository : new CachedReader(repository, cache);
      }
    }
  }

  #openDestination(name: string): RepositoryWriter {
    const place = parsePlace(name);
    if ('repository' in place && place.repository !== undefined)
      return new LayoutRepository(name, this.destination(wholeOf(place)), place.repository);
    switch (place.transport) {
      case 'oci':
        return new OciLayout(place.file, {side: 'destination'});
      case 'dir':
        return new ImageDirectory(place.file, 'destination');
      case 'oci-archive': {
        const {file} = place;
        const options = {
          partSize: () => this.#archiveSize,
          partDirectories: this.#options.partDirectories ?? [],
        };
        return opened(this.#archives, file, () => new OciArchive(file, options));
      }
      case 'docker-archive':
      case 'docker-daemon':
      case 'containers-storage':
        throw notADestination(name);
      case 'docker': {
        const {registry, path} = place.reference;
        return this.registry(registry, 'destination').repository(path);
      }
    }
  }

  #engine(place: string, {transport, ref}: EnginePlace): RepositoryReader {
    return new LazyReader(place, async (call) => {
      const {openDaemonImage, openStoredImage} = await import('./engine-images.ts');
      const {env = {}, temporary = new Set()} = this.#options;
      const open = transport === 'docker-daemon' ? openDaemonImage : openStoredImage;
      const image = await open(place, {ref, name: engineImageName(ref), env, temporary}, call);
      this.#engineImages.push(image);
      return image.reader;
    });
  }

  async #openTar(file: string, call: Call): Promise<TarArchive> {
    const {TarArchive} = await import('./tar-archive.ts');
    const {temporary = new Set(), partDirectories} = this.#options;
    const parts = await findPartList(file);
    if (parts === undefined) return await TarArchive.open(file, temporary, call.signal);
    const whole = await openParts(file, parts, partDirectories ?? []);
    return await TarArchive.openParts(file, whole, call.signal);
  }

  #archive(name: string, {transport, file, ref}: FilePlace): RepositoryReader {
    return new LazyReader(name, async (call) => {
      // Loaded only for archives, together with the tar library.
      const {readDockerArchive, readOciArchive} = await import('./read-archive.ts');
      const archive = await opened(this.#opened, file, () => {
        const opening = this.#openTar(file, call);
        opening.catch(() => this.#opened.delete(file));
        return opening;
      });
      return transport === 'oci-archive'
        ? await readOciArchive(name, file, archive)
        : await readDockerArchive(name, file, archive, archiveIndex(ref));
    });
  }
}

/** The name of the layout that contains a repository. */
function wholeOf({transport, file}: FilePlace): string {
  return formatPlace({transport, file});
}

function opened<T>(known: Map<string, T>, key: string, open: () => T): T {
  const place = known.get(key) ?? open();
  known.set(key, place);
  return place;
}
