import type {Descriptor} from './descriptor.ts';
import type {Digest} from './digest.ts';
import {TransshipError} from './error.ts';
import type {Manifest} from './manifest.ts';
import type {RepositoryPath, Tag} from './reference.ts';

/** The parameters that every call to a place has. */
export interface Call {
  /** Aborts the call, which then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /**
   * Once aborted, the call rejects with INTERRUPTED instead of waiting for a registry that requested a pause. It still
   * waits for token services. Default: never.
   */
  readonly stopping?: AbortSignal;
}

/** A piece of a blob in bytes: from `offset` up to, not including, `end` (default: the blob's end). */
export interface ByteRange {
  readonly offset: number;
  readonly end?: number;
}

/** The bytes of a blob. The holder must read them to the end, or return the iterator. */
export interface BlobStream {
  /** Where the bytes begin: the requested offset, or 0 if the place cannot serve ranges. */
  readonly start: number;
  /** Where the bytes end: at or before the requested end, or at the blob's end if the place cannot serve ranges. */
  readonly end: number;
  /** Each chunk is borrowed: it may be overwritten when the next one is requested. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /**
   * Reads into the caller's buffer, in place of `chunks`, which saves a copy. Waits for bytes, writes them from the
   * start of the buffer (of at least one byte), and returns their number; 0: end of the stream. Absent: use `chunks`.
   */
  readonly readInto?: (memory: Uint8Array) => Promise<number>;
}

/** A whole blob to be sent: its bytes if it is small, or else its chunks, each of them borrowed. */
export type BlobBody = Uint8Array | AsyncIterable<Uint8Array>;

/** Opens a whole blob. Each call opens it again. */
export type OpenBody = () => Promise<BlobBody>;

/** Reads one repository: its tags, manifests and blobs. Every kind of place implements it. */
export interface RepositoryReader {
  /** The name in messages and plans: `host/path`, or a transport with a file. */
  readonly name: string;
  /**
   * All tag names as the place lists them, including invalid ones such as an empty name; undefined: the repository does
   * not exist.
   */
  listTags(call: Call): Promise<readonly string[] | undefined>;
  /**
   * Notifies the user, once, that `listTags` failed. `instead` is the fallback, as a clause. Absent: no notification.
   */
  readonly listNotUsed?: (why: TransshipError, instead: string) => void;
  /**
   * The digests of all tags, with as few requests as `listTags`; undefined: this place has no such list. Absent: no
   * place of this kind has one.
   */
  listDigests?(call: Call): Promise<ReadonlyMap<string, Digest> | undefined>;
  /**
   * Images that the place lists but no name identifies, as in an image layout: they have no name, or an earlier image
   * has the same name. Parts and referrers of other images may be among them. Absent: the place has none.
   */
  listUnnamed?(call: Call): Promise<readonly Digest[]>;
  /**
   * Names of files that belong to its images but cannot be copied to other places: signatures as skopeo stores them.
   * Absent: the place has none.
   */
  listUncopied?(call: Call): Promise<readonly string[]>;
  /** The descriptor of a tag or digest, by the cheapest request; undefined: it does not exist. */
  head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined>;
  /** The manifest, with its bytes checked against the digest; undefined: it does not exist. */
  getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined>;
  /** The referrers of `subject`; undefined: the place has no referrers API (its fallback tag may still list some). */
  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined>;
  /**
   * Whether the place has the blob. If the sizes differ, the blob is read and its digest decides: manifests may be
   * wrong.
   */
  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean>;
  /** The size of a blob in bytes, according to the place; undefined: it does not exist, or its size is unknown. */
  blobSize(digest: Digest, call: Call): Promise<number | undefined>;
  /**
   * Opens a blob, or a range of it.
   * @throws TransshipError BLOB_NOT_FOUND, BLOB_SIZE_MISMATCH if the place has it with another size, and the registry's
   *   refusals
   */
  openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream>;
  /**
   * Why the digests of its images are new, as a clause: `the archive contains no manifests`. Undefined, or absent: they
   * are the digests with which the images were pushed.
   */
  whyNewDigests?(call: Call): Promise<string | undefined>;
}

/** A repository that a host lists. */
export interface ListedRepository {
  /** Its path without the host, as listed. It may be an invalid name. */
  readonly repository: string;
  /** The time of its last change (ISO 8601), if the list contains it. */
  readonly updated?: string;
}

/** A part of a host, such as a project, whose repositories could not be listed, unlike those of other parts. */
export interface UnlistedPart {
  readonly part: string;
  readonly error: TransshipError;
}

/** Lists the repositories of one host. */
export interface RepositoryLister {
  /** For messages: `the catalog of host`, `Harbor at host`. */
  readonly name: string;
  /**
   * Lists page by page; a repository may be listed more than once.
   * @param prefix a repository path, or the part of one before a `/`: lists only what is there or below it (see
   *   `isWithin`). Empty: everything that the credentials show
   * @throws TransshipError REPOSITORIES_NOT_LISTED if the host does not list repositories, at least not to this login;
   *   RESPONSE_INVALID for an endless list; and the host's refusals
   */
  listRepositories(prefix: string, call: Call): AsyncIterable<ListedRepository | UnlistedPart>;
}

/** Reads and writes one repository. */
export interface RepositoryWriter extends RepositoryReader {
  /**
   * Puts the manifest's bytes unchanged, under its digest or a tag. `subjectKept`: the place lists it as a referrer of
   * its subject (the OCI-Subject header); if not, the client must write the fallback tag (distribution-spec, "Pushing
   * Manifests with Subject").
   */
  putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}>;
  /** Sends a whole blob in one PUT. `open` is called while the upload is being opened, to save a round trip. */
  putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void>;
  /** Opens an upload in chunks. */
  beginUpload(blob: Descriptor, call: Call): Promise<Upload>;
  /** Finds an upload of an earlier run; undefined: it no longer exists, or its offset cannot be queried. */
  resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined>;
  /** Mounts a blob from another repository of the same place, without copying bytes. Absent: not supported. */
  readonly mount?: MountBlob;
  /** Deletes a tag; a tag that does not exist is not an error. Absent: not supported. */
  readonly deleteTag?: (tag: Tag, call: Call) => Promise<void>;
  /** Deletes a manifest with all of its tags; one that does not exist is not an error. Absent: not supported. */
  readonly deleteManifest?: (digest: Digest, call: Call) => Promise<void>;
  /**
   * Determines how tags are deleted here, and that this login may delete, without deleting anything. Absent: not a
   * registry.
   * @throws TransshipError UNSUPPORTED_BY_REGISTRY if deletion is disabled; UNAUTHORIZED, FORBIDDEN
   */
  readonly tagDeletion?: (call: Call) => Promise<TagDeletion>;
}

/**
 * How a registry deletes a tag. `alone`: it declares that the other tags of the digest stay. `tag`: it accepts the
 * deletion of a tag, but does not declare what happens to the others. `digest`: only by digest, which deletes every tag
 * of the digest.
 */
export type TagDeletion = 'alone' | 'tag' | 'digest';

/**
 * Regular expressions for the tags that the bearer of a registry token cannot push, delete or overwrite (GitLab:
 * app/services/auth/container_registry_authentication_service.rb, `meta`).
 */
export interface TagLimits {
  readonly push: readonly string[];
  readonly delete: readonly string[];
  readonly immutable: readonly string[];
}

/**
 * Mounts a blob from another repository. `upload`: the place opened an upload instead (202). `declined`: it refused, or
 * the mount was not attempted.
 */
export type MountBlob = (
  blob: Descriptor,
  from: RepositoryPath,
  call: Call,
) => Promise<MountResult>;

export type MountResult =
  | {readonly kind: 'mounted'}
  | {readonly kind: 'upload'; readonly upload: Upload}
  | {readonly kind: 'declined'};

/** The state of an upload that is needed to resume it in another process. */
export interface SavedUpload {
  readonly digest: Digest;
  /** The upload's URL at the registry, opaque. */
  readonly location: string;
  /** Bytes that the registry has acknowledged. */
  readonly offset: number;
  /** As `Upload.minChunk`. The registry may state it only when the upload is opened. */
  readonly minChunk?: number | undefined;
}

/** An open upload. Its offset is always the one that the registry reported. */
export interface Upload {
  readonly saved: SavedUpload;
  /** Bytes that the registry has acknowledged. */
  readonly offset: number;
  /** The minimum size of all chunks but the last (OCI-Chunk-Min-Length), in bytes; 0: any. */
  readonly minChunk: number;
  /**
   * Sends the next `length` bytes at `offset` in one PATCH.
   * @returns the new offset. After a failure the offset is unknown: call `queryOffset` before anything else
   * @throws TransshipError UNSUPPORTED_BY_REGISTRY if the place does not support chunks, as does `commit`: send the
   *   blob in one request
   */
  append(body: AsyncIterable<Uint8Array>, length: number, call: Call): Promise<number>;
  /** Queries the offset; undefined: the upload no longer exists, or the registry does not support the query. */
  queryOffset(call: Call): Promise<number | undefined>;
  /** Closes the upload; the registry checks the digest. */
  commit(blob: Descriptor, call: Call): Promise<void>;
  /** Cancels the upload at the registry. Failures are ignored. */
  cancel(call: Call): Promise<void>;
}

const nothing = () => Promise.resolve(undefined);

/** A repository that is known not to exist: no requests are sent. */
export function absentRepository(name: string): RepositoryReader {
  return {
    name,
    listTags: nothing,
    head: nothing,
    getManifest: nothing,
    listReferrers: nothing,
    hasBlob: () => Promise.resolve(false),
    blobSize: nothing,
    openBlob: ({digest}) =>
      Promise.reject(
        new TransshipError('BLOB_NOT_FOUND', `${name} does not have ${digest}`, {
          side: 'destination',
          hint: 'this is a bug in transship: please report it',
        }),
      ),
  };
}

/** Opens the repositories that a plan names, as `host/path`, for reading. */
export interface ReadRepositories {
  source(name: string): RepositoryReader;
  destination(name: string): RepositoryReader;
}

/** Opens the repositories that a plan names, as `host/path`. */
export interface Repositories {
  source(name: string): RepositoryReader;
  destination(name: string): RepositoryWriter;
  /** For deleting: like `destination`, but with the credentials of this side, and without caches. */
  writable(name: string, side: 'source' | 'destination'): RepositoryWriter;
}
