import type {Challenge} from '../http/header-fields.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import type {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {
  BlobStream,
  ByteRange,
  Call,
  MountBlob,
  OpenBody,
  RepositoryWriter,
  SavedUpload,
  TagDeletion,
  Upload,
} from '../model/port.ts';
import {formatRepository, type RepositoryPath, type Tag} from '../model/reference.ts';
import {Blobs} from './blobs.ts';
import {RegistryConnection} from './connection.ts';
import {readTagDigests, readTagTimes, readTraits, type RegistryTraits} from './gitlab-extension.ts';
import {listCatalog, listTags} from './listing.ts';
import {Manifests} from './manifests.ts';
import {Mounts} from './mounts.ts';
import {Referrers} from './referrers.ts';
import {
  type BlobReading,
  type Paging,
  probeBlob,
  probeCatalog,
  probePaging,
} from './probe-reading.ts';
import {deleteBlob, probeLocation} from './probe-writing.ts';
import type {Scope} from './scope.ts';
import type {TokenFacts} from './token.ts';
import {Uploads} from './uploads.ts';
import type {RegistryOptions} from './registry-options.ts';

/** One registry, as one side of a copy. Opening it sends no request. */
export class Registry {
  readonly host: string;
  readonly #connection: RegistryConnection;
  readonly #referrers: Referrers;
  readonly #mounts: Mounts;
  readonly #repositories = new Map<RepositoryPath, RegistryRepository>();
  #hasDatabase: Promise<boolean> | undefined;

  constructor(options: RegistryOptions) {
    this.host = options.host;
    this.#connection = new RegistryConnection(options);
    this.#referrers = new Referrers(this.#connection);
    this.#mounts = new Mounts(this.#connection);
  }

  repository(path: RepositoryPath): RegistryRepository {
    let repository = this.#repositories.get(path);
    if (!repository) {
      repository = new RegistryRepository(path, {
        connection: this.#connection,
        referrers: this.#referrers,
        mounts: this.#mounts,
        listsDigests: (call) => this.#listsDigests(call),
      });
      this.#repositories.set(path, repository);
    }
    return repository;
  }

  /**
   * All repositories that the registry lists for this login.
   * @throws TransshipError UNAUTHORIZED or FORBIDDEN if only administrators may list them, UNSUPPORTED_BY_REGISTRY
   */
  catalog(call: Call): Promise<readonly string[]> {
    return listCatalog(this.#connection, call);
  }

  /** The base URL of the registry's API, `…/v2/`. */
  baseUrl({signal}: Call): Promise<URL> {
    return this.#connection.baseUrl(signal);
  }

  /** The registry's challenges to a client without credentials. */
  challenges(call: Call): Promise<readonly Challenge[]> {
    return this.#connection.challenges(call);
  }

  /** The properties that the registry reports. */
  traits(call: Call): Promise<RegistryTraits> {
    return readTraits(this.#connection, call);
  }

  /**
   * Whether this is GitLab's registry with a metadata database. Sends a request only if the registry is known to be
   * GitLab's.
   */
  #listsDigests(call: Call): Promise<boolean> {
    if (!this.#connection.isGitLab) return Promise.resolve(false);
    this.#hasDatabase ??= this.traits(call).then(({database}) => database);
    return this.#hasDatabase;
  }

  /** When each tag was last pushed, in ms since the epoch; undefined: the registry does not report it. */
  tagTimes(path: RepositoryPath, call: Call): Promise<ReadonlyMap<string, number> | undefined> {
    return readTagTimes(this.#connection, path, call);
  }

  /** Probes whether lists of tags are paginated. */
  probePaging(path: RepositoryPath, call: Call): Promise<Paging> {
    return probePaging(this.#connection, path, call);
  }

  /** Opens an upload and cancels it. @returns its URL as sent by the registry */
  probeLocation(path: RepositoryPath, call: Call): Promise<string> {
    return probeLocation(this.#connection, path, call);
  }

  /** Deletes a blob. @returns false if the registry does not support that */
  deleteBlob(path: RepositoryPath, digest: Digest, call: Call): Promise<boolean> {
    return deleteBlob(this.#connection, path, digest, call);
  }

  /** Whether this login may list all repositories, without reading the list. */
  probeCatalog(call: Call): Promise<boolean> {
    return probeCatalog(this.#connection, call);
  }

  /** Probes whether range requests are supported. @param blob of more than two bytes */
  probeBlob(path: RepositoryPath, blob: Digest, call: Call): Promise<BlobReading> {
    return probeBlob(this.#connection, path, blob, call);
  }

  /**
   * The scopes that a token for this scope grants, determined before any change; undefined: not known in advance. A
   * request for push may make GitLab create the repository, so request it only for repositories that will be written.
   */
  async granted(
    path: RepositoryPath,
    scope: Scope,
    call: Call,
  ): Promise<readonly Scope[] | undefined> {
    const need = {path, scopes: [scope]};
    const response = await this.#connection.send({method: 'GET', target: '', ...need, ...call});
    await response.discard();
    return this.#connection.granted(need, call.signal);
  }

  /** Facts about the token for this scope; undefined: the registry requires none. Call `granted` first. */
  tokenFacts(path: RepositoryPath, scope: Scope, {signal}: Call): Promise<TokenFacts | undefined> {
    return this.#connection.tokenFacts({path, scopes: [scope]}, signal);
  }
}

/** The parts that the repositories of a registry share. */
interface RepositoryParts {
  readonly connection: RegistryConnection;
  readonly referrers: Referrers;
  readonly mounts: Mounts;
  readonly listsDigests: (call: Call) => Promise<boolean>;
}

/** One repository of a registry: implements the port of places with the parts of the distribution API. */
export class RegistryRepository implements RepositoryWriter {
  /** `host/path`. */
  readonly name: string;
  readonly mount: MountBlob;
  readonly #connection: RegistryConnection;
  readonly #referrers: Referrers;
  readonly #path: RepositoryPath;
  readonly #manifests: Manifests;
  readonly #blobs: Blobs;
  readonly #uploads: Uploads;
  readonly #listsDigests: RepositoryParts['listsDigests'];

  constructor(
    path: RepositoryPath,
    {connection, referrers, mounts, listsDigests}: RepositoryParts,
  ) {
    this.name = formatRepository({registry: connection.host, path});
    this.#connection = connection;
    this.#referrers = referrers;
    this.#path = path;
    this.#manifests = new Manifests(connection, path);
    this.#blobs = new Blobs(connection, path);
    this.#uploads = new Uploads(connection, path);
    this.#listsDigests = listsDigests;
    this.mount = (blob, from, call) => mounts.mount(path, blob, from, call);
  }

  listTags(call: Call): Promise<readonly string[] | undefined> {
    return listTags(this.#connection, this.#path, call);
  }

  async listDigests(call: Call): Promise<ReadonlyMap<string, Digest> | undefined> {
    if (!(await this.#listsDigests(call))) return undefined;
    return await readTagDigests(this.#connection, this.#path, call);
  }

  readonly listNotUsed = ({message}: TransshipError, instead: string): void =>
    this.#connection.featureNotUsed('list', message, instead);

  head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return this.#manifests.head(reference, call);
  }

  getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    return this.#manifests.get(reference, call);
  }

  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return this.#referrers.list(this.#path, subject, call);
  }

  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return this.#blobs.has(blob, call);
  }

  blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return this.#blobs.size(digest, call);
  }

  openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return this.#blobs.open(blob, range, call);
  }

  putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    return this.#manifests.put(reference, manifest, call);
  }

  putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    return this.#uploads.put(blob, open, call);
  }

  beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    return this.#uploads.begin(blob, call);
  }

  resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    return this.#uploads.resume(saved, call);
  }

  readonly deleteTag = (tag: Tag, call: Call): Promise<void> => this.#manifests.delete(tag, call);

  readonly deleteManifest = (digest: Digest, call: Call): Promise<void> =>
    this.#manifests.delete(digest, call);

  readonly tagDeletion = (call: Call): Promise<TagDeletion> => this.#manifests.tagDeletion(call);
}
