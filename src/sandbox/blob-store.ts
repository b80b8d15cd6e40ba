import type {Digest} from '../model/digest.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {FileTree, Slice} from './file-tree.ts';
import {blobLink, contentFile} from './layout-paths.ts';

const NOTHING = new Uint8Array();

/** Blobs: kept once, and linked from each repository that has them. */
export class BlobStore {
  readonly #tree: FileTree;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** The size in bytes; undefined: this repository does not have the blob. */
  async size(repository: RepositoryPath, digest: Digest): Promise<number | undefined> {
    const linked = await this.#tree.size(blobLink(repository, digest));
    return linked === undefined ? undefined : this.#tree.size(contentFile(digest));
  }

  /** The bytes of a blob that is there. */
  read(digest: Digest, slice: Slice): AsyncIterable<Uint8Array> {
    return this.#tree.read(contentFile(digest), slice);
  }

  /** Gives the repository a blob whose content is kept already. */
  async link(repository: RepositoryPath, digest: Digest): Promise<void> {
    await this.#tree.store(blobLink(repository, digest), NOTHING);
  }

  /** Takes the blob from this repository alone; its content stays. False: it was not there. */
  async unlink(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    return this.#tree.remove(blobLink(repository, digest));
  }
}
