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
import {Connection} from './connection.ts';
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
  readonly #connection: Connection;
  readonly #referrers: Referrers;
  readonly #mounts: Mounts;
  readonly #repositories = new Map<RepositoryPath, RegistryRepository>();
  #hasDatabase: Promise<boolean> | undefined;

  constructor(options: RegistryOptions) {
    this.host = options.host;
    this.#connection = new Connection(options);
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
   * @throws TransshipError UNAUTHORIZED or FORBIDDEN where only administrators may, UNSUPPORTED_BY_REGISTRY
   */
  catalog(call: Call): Promise<readonly string[]> {
    return listCatalog(this.#connection, call);
  }

  /** The URL below which the registry's API is, `…/v2/`. */
  baseUrl({signal}: Call): Promise<URL> {
    return this.#connection.baseUrl(signal);
  }

  /** The challenge of the registry to a client without credentials. */
  challenges(call: Call): Promise<readonly Challenge[]> {
    return this.#connection.challenges(call);
  }

  /** What the registry reports about itself. */
  traits(call: Call): Promise<RegistryTraits> {
    return readTraits(this.#connection, call);
  }

  /** Whether it is a GitLab's with metadata database, as far as it can be told without a request to other registries. */
  #listsDigests(call: Call): Promise<boolean> {
    if (!this.#connection.isGitLab) return Promise.resolve(false);
    this.#hasDatabase ??= this.traits(call).then(({database}) => database);
    return this.#hasDatabase;
  }

  /** When each tag was last pushed, in ms since the epoch; undefined: this registry does not know. */
  tagTimes(path: RepositoryPath, call: Call): Promise<ReadonlyMap<string, number> | undefined> {
    return readTagTimes(this.#connection, path, call);
  }

  /** How it answers to a request for one tag of a list. */
  probePaging(path: RepositoryPath, call: Call): Promise<Paging> {
    return probePaging(this.#connection, path, call);
  }

  /** The address of an upload, as the registry writes it; the upload is given up. */
  probeLocation(path: RepositoryPath, call: Call): Promise<string> {
    return probeLocation(this.#connection, path, call);
  }

  /** Deletes a blob. @returns whether the registry did it */
  deleteBlob(path: RepositoryPath, digest: Digest, call: Call): Promise<boolean> {
    return deleteBlob(this.#connection, path, digest, call);
  }

  /** Whether the registry lists all repositories to this login; the list is not read. */
  probeCatalog(call: Call): Promise<boolean> {
    return probeCatalog(this.#connection, call);
  }

  /** How it answers to a request for a part of a blob of more than two bytes. */
  probeBlob(path: RepositoryPath, blob: Digest, call: Call): Promise<BlobReading> {
    return probeBlob(this.#connection, path, blob, call);
  }

  /**
   * What a token for this scope actually allows, determined before any change; undefined: the registry does not tell in
   * advance. A request for push may make GitLab create the repository: request it only for repositories that will be
   * written.
   */
  async granted(
    path: RepositoryPath,
    scope: Scope,
    call: Call,
  ): Promise<readonly Scope[] | undefined> {
    const need = {path, scopes: [scope]};
    const answer = await this.#connection.send({method: 'GET', target: '', ...need, ...call});
    await answer.discard();
    return this.#connection.granted(need, call.signal);
  }

  /** What is told of the token for this scope besides what it allows; undefined: none is wanted. Call `granted` before. */
  tokenFacts(path: RepositoryPath, scope: Scope, {signal}: Call): Promise<TokenFacts | undefined> {
    return this.#connection.tokenFacts({path, scopes: [scope]}, signal);
  }
}

/** What the repositories of a registry share. */
interface RepositoryParts {
  readonly connection: Connection;
  readonly referrers: Referrers;
  readonly mounts: Mounts;
  readonly listsDigests: (call: Call) => Promise<boolean>;
}

/** A repository of a registry, behind the port that all places share. */
export class RegistryRepository implements RepositoryWriter {
  /** `host/path`. */
  readonly name: string;
  readonly mount: MountBlob;
  readonly #connection: Connection;
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
