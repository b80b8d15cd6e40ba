import type {Descriptor} from './descriptor.ts';
import type {Digest} from './digest.ts';
import {TransshipError} from './error.ts';
import type {Manifest} from './manifest.ts';
import type {RepositoryPath, Tag} from './reference.ts';

/** What every call to a place takes besides its subject. */
export interface Call {
  /** Ends the call; it then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /**
   * Once aborted, the call waits for no registry that wants to be left alone: it rejects with INTERRUPTED. Its token
   * service is waited for. Default: never.
   */
  readonly stopping?: AbortSignal;
}

/** A piece of a blob in bytes: from `offset` up to, not including, `end` (default: the blob's end). */
export interface ByteRange {
  readonly offset: number;
  readonly end?: number;
}

/** The bytes of a blob. Whoever holds it reads it to its end or returns the iterator. */
export interface BlobStream {
  /** Where the bytes begin: the offset asked for, or 0 where the place cannot serve ranges. */
  readonly start: number;
  /** Where they end: as asked for or before it, or at the blob's end where the place cannot serve ranges. */
  readonly end: number;
  /** Each chunk is borrowed: it may be overwritten when the next one is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /**
   * In place of `chunks`, where the place can spare the reader a copy: waits for bytes, puts them into the memory (of at
   * least one byte) from its beginning, and gives their number; 0: the stream is over.
   */
  readonly readInto?: (memory: Uint8Array) => Promise<number>;
}

/** A whole blob on its way to a place: its bytes where they are few, else chunks, each of them borrowed. */
export type BlobBody = Uint8Array | AsyncIterable<Uint8Array>;

/** Opens a whole blob, anew at each call. */
export type OpenBody = () => Promise<BlobBody>;

/** The reading side: one repository's tags, manifests and blobs, wherever they live. */
export interface RepositoryReader {
  /** For messages and plans: `host/path` or a transport with a file. */
  readonly name: string;
  /**
   * All tag names, page by page, as the place lists them: also names that no client can use (an empty one).
   * Undefined where there is no such repository.
   */
  listTags(call: Call): Promise<readonly string[] | undefined>;
  /**
   * Told that `listTags` failed and what is done in its place, as a clause: tells the user, once. Absent: nobody is told.
   */
  readonly listNotUsed?: (why: TransshipError, instead: string) => void;
  /**
   * What all tags point to, by as many requests as `listTags`; undefined: this place has no such list. It is as old as the
   * list: what is written next to it is looked at anew. Absent: the place never has one.
   */
  listDigests?(call: Call): Promise<ReadonlyMap<string, Digest> | undefined>;
  /**
   * Images that the place lists and that no name leads to, as an image layout may have them: none has a name, or another
   * image has the same one. Parts and referrers of other images may be among them. Absent: the place has none.
   */
  listUnnamed?(call: Call): Promise<readonly Digest[]>;
  /**
   * Files that belong to its images and that no other place takes, by name: signatures as skopeo stores them. Absent: the
   * place has none.
   */
  listUncopied?(call: Call): Promise<readonly string[]>;
  /** What a tag or digest points to, by the cheapest request; undefined: not there. */
  head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined>;
  /** The manifest, its bytes checked against the digest; undefined: not there. */
  getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined>;
  /** What refers to `subject`; undefined: the place has no referrers API (the fallback tag may still have them). */
  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined>;
  /** Whether it has the blob. It is read only where its size is another one: that of a manifest may be wrong. */
  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean>;
  /** The bytes that the place says a blob has; undefined: it is not there, or the place does not say. */
  blobSize(digest: Digest, call: Call): Promise<number | undefined>;
  /**
   * @throws TransshipError BLOB_NOT_FOUND, BLOB_SIZE_MISMATCH where the place has it with another size, and what a registry
   *   may answer
   */
  openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream>;
  /**
   * Why the digests of its images are new, as a clause: `the archive holds none`. Undefined, or absent: they are those that
   * the images were pushed with.
   */
  whyNewDigests?(call: Call): Promise<string | undefined>;
}

/** A repository that a host lists. */
export interface ListedRepository {
  /** Its path without the host, as it is listed: it need not be a name that a client can use. */
  readonly repository: string;
  /** When something in it changed last (ISO 8601), where the list says so. */
  readonly updated?: string;
}

/** A part of a host, such as a project, whose repositories could not be listed. The others can. */
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
   * @param prefix a repository path or the beginning of one, up to a `/`: only what is there or below it, see `isWithin`.
   *   Empty: everything that the credentials show
   * @throws TransshipError REPOSITORIES_NOT_LISTED where the host does not list repositories, or not to these credentials;
   *   RESPONSE_INVALID for a list without an end; and what a host may answer
   */
  listRepositories(prefix: string, call: Call): AsyncIterable<ListedRepository | UnlistedPart>;
}

/** The writing side. */
export interface RepositoryWriter extends RepositoryReader {
  /**
   * Puts the manifest's bytes as they are, under its digest or a tag.
   * `subjectKept` says that the place lists it as a referrer of its subject (the OCI-Subject header); if not, the
   * fallback tag is ours to write (distribution-spec, "Pushing Manifests with Subject").
   */
  putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}>;
  /** Sends a whole blob in one PUT. `open` is called while the upload is being opened, to save a round trip. */
  putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void>;
  /** Opens an upload that takes chunks. */
  beginUpload(blob: Descriptor, call: Call): Promise<Upload>;
  /** Finds an upload of an earlier run again; undefined: it is gone, or cannot be asked for. */
  resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined>;
  /** Where the place can take a blob from another repository of its own without moving bytes. */
  readonly mount?: MountBlob;
  readonly deleteTag?: (tag: Tag, call: Call) => Promise<void>;
  readonly deleteManifest?: (digest: Digest, call: Call) => Promise<void>;
  /**
   * Finds out how tags are deleted here, and that this login may, without deleting anything. Absent: not a registry.
   * @throws TransshipError UNSUPPORTED_BY_REGISTRY where deletion is disabled; UNAUTHORIZED, FORBIDDEN
   */
  readonly tagDeletion?: (call: Call) => Promise<TagDeletion>;
}

/**
 * How a registry deletes a tag. `alone`: it declares that the other tags of the digest stay. `tag`: it accepts the deletion
 * of a tag, but does not declare what happens to the others. `digest`: only by digest, which deletes every tag of the digest.
 */
export type TagDeletion = 'alone' | 'tag' | 'digest';

/** Mounts, or answers with the upload that the place opened instead (202), or `declined`. */
export type MountBlob = (
  blob: Descriptor,
  from: RepositoryPath,
  call: Call,
) => Promise<
  | {readonly kind: 'mounted'}
  | {readonly kind: 'upload'; readonly upload: Upload}
  | {readonly kind: 'declined'}
>;

/** What must be remembered to go on with an upload after a restart. */
export interface SavedUpload {
  readonly digest: Digest;
  /** The upload's URL at the registry, opaque. */
  readonly location: string;
  /** Bytes that the registry has acknowledged. */
  readonly offset: number;
  /** What the registry said when the upload was opened, and may not say again: see `Upload.minChunk`. */
  readonly minChunk?: number | undefined;
}

/** An open upload. Its offset is the registry's word, never ours. */
export interface Upload {
  readonly saved: SavedUpload;
  /** Bytes that the registry has acknowledged. */
  readonly offset: number;
  /** The least size of a chunk that is not the last (OCI-Chunk-Min-Length), in bytes; 0: any. */
  readonly minChunk: number;
  /**
   * Sends the next `length` bytes at `offset` in one PATCH and gives the new offset.
   * After a failure the offset is in doubt: call `queryOffset` before anything else.
   * @throws TransshipError UNSUPPORTED_BY_REGISTRY where the place does not take chunks, as does `commit`: the blob has to
   *   be sent whole
   */
  append(body: AsyncIterable<Uint8Array>, length: number, call: Call): Promise<number>;
  /** Asks the registry for the offset and believes it; undefined: the upload is gone, or cannot be asked for. */
  queryOffset(call: Call): Promise<number | undefined>;
  /** Closes the upload; the registry checks the digest. */
  commit(blob: Descriptor, call: Call): Promise<void>;
  /** Gives the upload up, at the registry too. Failing to is no failure. */
  cancel(call: Call): Promise<void>;
}

const nothing = () => Promise.resolve(undefined);

/** A repository that is known not to be there: nothing is asked. */
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

/** Finds the repositories that a plan names, as `host/path`, to look at them. */
export interface ReadRepositories {
  source(name: string): RepositoryReader;
  destination(name: string): RepositoryReader;
}

/** Finds the repositories that a plan names, as `host/path`. */
export interface Repositories {
  source(name: string): RepositoryReader;
  destination(name: string): RepositoryWriter;
  /** For deleting: like `destination`, but with the credentials of this side, and nothing from a cache. */
  writable(name: string, side: 'source' | 'destination'): RepositoryWriter;
}
