import type {Digest} from '../model/digest.ts';
import {readManifest, type StoredManifest} from './manifest-format.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import {
  blobLink,
  contentFile,
  DirectoryTree,
  type FileTree,
  manifestDirectory,
  manifestLink,
  MemoryTree,
  referrerDirectory,
  REPOSITORIES_DIRECTORY,
  repositoryDirectory,
  type Slice,
  tagFile,
  tagDirectory,
} from './file-tree.ts';
import {isDigest, isRepositoryPath, isTag} from './names.ts';
import {UploadStore} from './upload-store.ts';

const NOTHING = new Uint8Array();

/** Where the sandbox stores its content. */
export type StorageOptions =
  | {readonly kind: 'memory'}
  | {readonly kind: 'directory'; readonly path: string};

/** All content of a sandbox. */
export class Storage {
  readonly blobs: BlobStore;
  readonly manifests: ManifestStore;
  readonly uploads: UploadStore;
  readonly #tree: FileTree;

  constructor(options: StorageOptions) {
    this.#tree = options.kind === 'memory' ? new MemoryTree() : new DirectoryTree(options.path);
    this.blobs = new BlobStore(this.#tree);
    this.manifests = new ManifestStore(this.#tree);
    this.uploads = new UploadStore(this.#tree);
  }

  /** Whether a blob or a manifest was ever stored in the repository; it may be empty now. */
  async hasRepository(repository: RepositoryPath): Promise<boolean> {
    return isInUse(await this.#tree.list(repositoryDirectory(repository)));
  }

  /** Renames a repository with its content, which is merged into a repository that exists at the new name. */
  async rename(from: RepositoryPath, to: RepositoryPath): Promise<void> {
    for (const part of await this.#tree.list(repositoryDirectory(from))) {
      // A part without "_" belongs to a repository below this one.
      if (part.startsWith('_'))
        await this.#moveAll(
          `${repositoryDirectory(from)}/${part}`,
          `${repositoryDirectory(to)}/${part}`,
        );
    }
  }

  /** All repositories in lexical order. */
  async repositories(): Promise<readonly RepositoryPath[]> {
    const found: RepositoryPath[] = [];
    const directories = [...(await this.#tree.list(REPOSITORIES_DIRECTORY))];
    for (let name = directories.pop(); name !== undefined; name = directories.pop()) {
      const inside = await this.#tree.list(repositoryDirectory(name));
      if (isInUse(inside) && isRepositoryPath(name)) found.push(name);
      for (const part of inside) if (!part.startsWith('_')) directories.push(`${name}/${part}`);
    }
    return found.sort();
  }

  async #moveAll(from: string, to: string): Promise<void> {
    if ((await this.#tree.size(from)) !== undefined) return this.#tree.move(from, to);
    for (const name of await this.#tree.list(from))
      await this.#moveAll(`${from}/${name}`, `${to}/${name}`);
  }
}

function isInUse(names: readonly string[]): boolean {
  return names.includes('_blobs') || names.includes('_manifests');
}

/** Blobs: stored once, and linked from each repository that has them. */
export class BlobStore {
  readonly #tree: FileTree;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** Size in bytes; undefined: this repository does not have the blob. */
  async size(repository: RepositoryPath, digest: Digest): Promise<number | undefined> {
    const linked = await this.#tree.size(blobLink(repository, digest));
    return linked === undefined ? undefined : this.#tree.size(contentFile(digest));
  }

  /** The bytes of a blob that exists. */
  read(digest: Digest, slice: Slice): AsyncIterable<Uint8Array> {
    return this.#tree.read(contentFile(digest), slice);
  }

  /** Adds a blob whose content is stored already to a repository. */
  async link(repository: RepositoryPath, digest: Digest): Promise<void> {
    await this.#tree.store(blobLink(repository, digest), NOTHING);
  }

  /** Removes the blob from this repository only; its content stays. @returns whether the repository had it */
  async unlink(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    return this.#tree.remove(blobLink(repository, digest));
  }
}

/** An entry of a list of referrers (distribution-spec, "Listing Referrers"). */
interface Referrer {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** The manifests of all repositories, their tags, and their referrers. */
export class ManifestStore {
  readonly #tree: FileTree;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  async get(repository: RepositoryPath, digest: Digest): Promise<StoredManifest | undefined> {
    const mediaType = await this.#text(manifestLink(repository, digest));
    const bytes = await this.#tree.load(contentFile(digest));
    if (mediaType === undefined || bytes === undefined) return undefined;
    return readManifest(bytes, mediaType, digest);
  }

  /** All manifests of a repository, tagged or not. */
  async all(repository: RepositoryPath): Promise<readonly StoredManifest[]> {
    const found: StoredManifest[] = [];
    for (const algorithm of await this.#tree.list(manifestDirectory(repository))) {
      for (const hex of await this.#tree.list(`${manifestDirectory(repository)}/${algorithm}`)) {
        const digest = `${algorithm}:${hex}`;
        const manifest = isDigest(digest) ? await this.get(repository, digest) : undefined;
        if (manifest) found.push(manifest);
      }
    }
    return found;
  }

  async has(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    return (await this.#tree.size(manifestLink(repository, digest))) !== undefined;
  }

  /** Stores a manifest byte for byte under its digest and, last, under a tag. */
  async put(repository: RepositoryPath, manifest: StoredManifest, tag?: Tag): Promise<void> {
    const {digest, mediaType, subject} = manifest;
    await this.#tree.store(contentFile(digest), manifest.bytes);
    if (subject) await this.#tree.store(referrerLink(repository, subject, digest), NOTHING);
    await this.#tree.store(manifestLink(repository, digest), Buffer.from(mediaType));
    if (tag !== undefined) await this.#tree.store(tagFile(repository, tag), Buffer.from(digest));
  }

  /** Deletes a manifest with all its tags. @returns whether it existed */
  async delete(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    const manifest = await this.get(repository, digest);
    if (!manifest) return false;
    for (const tag of await this.tags(repository)) {
      if ((await this.resolve(repository, tag)) === digest) await this.untag(repository, tag);
    }
    const {subject} = manifest;
    if (subject) await this.#tree.remove(referrerLink(repository, subject, digest));
    return this.#tree.remove(manifestLink(repository, digest));
  }

  /** The digest of a tag; undefined: no such tag. */
  async resolve(repository: RepositoryPath, tag: Tag): Promise<Digest | undefined> {
    const text = await this.#text(tagFile(repository, tag));
    return text !== undefined && isDigest(text) ? text : undefined;
  }

  async untag(repository: RepositoryPath, tag: Tag): Promise<boolean> {
    return this.#tree.remove(tagFile(repository, tag));
  }

  /** Whether the repository has, or had, a tag. */
  async hadTags(repository: RepositoryPath): Promise<boolean> {
    return (await this.#tree.list(repositoryDirectory(repository))).includes('_tags');
  }

  /** All tags in lexical order. */
  async tags(repository: RepositoryPath): Promise<readonly Tag[]> {
    return (await this.#tree.list(tagDirectory(repository))).filter(isTag).sort();
  }

  /** The manifests that refer to `subject` (distribution-spec, "Listing Referrers"). */
  async referrers(repository: RepositoryPath, subject: Digest): Promise<readonly Referrer[]> {
    const names = [...(await this.#tree.list(referrerDirectory(repository, subject)))].sort();
    const found: Referrer[] = [];
    for (const digest of names.filter(isDigest)) {
      const manifest = await this.get(repository, digest);
      if (!manifest) continue;
      const {mediaType, bytes, artifactType, annotations} = manifest;
      found.push({mediaType, digest, size: bytes.byteLength, artifactType, annotations});
    }
    return found;
  }

  async #text(path: string): Promise<string | undefined> {
    const bytes = await this.#tree.load(path);
    return bytes && new TextDecoder().decode(bytes);
  }
}

function referrerLink(repository: RepositoryPath, subject: Digest, digest: Digest): string {
  return `${referrerDirectory(repository, subject)}/${digest}`;
}
