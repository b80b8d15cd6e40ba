import {isRepositoryPath, type RepositoryPath} from '../model/reference.ts';
import {BlobStore} from './blob-store.ts';
import {DirectoryTree} from './directory-tree.ts';
import type {FileTree} from './file-tree.ts';
import {REPOSITORIES_FOLDER, repositoryFolder} from './layout-paths.ts';
import {ManifestStore} from './manifest-store.ts';
import {MemoryTree} from './memory-tree.ts';
import {UploadStore} from './upload-store.ts';

/** Where the sandbox keeps its content. */
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

  /** Whether a blob or a manifest was ever put into the repository; it may be empty by now. */
  async hasRepository(repository: RepositoryPath): Promise<boolean> {
    return isInUse(await this.#tree.list(repositoryFolder(repository)));
  }

  /** Gives a repository another name, with all that is in it. What is at the new name stays, and is added to. */
  async rename(from: RepositoryPath, to: RepositoryPath): Promise<void> {
    for (const part of await this.#tree.list(repositoryFolder(from))) {
      // A part without "_" belongs to another repository, below this one.
      if (part.startsWith('_'))
        await this.#moveAll(`${repositoryFolder(from)}/${part}`, `${repositoryFolder(to)}/${part}`);
    }
  }

  /** All repositories in lexical order. */
  async repositories(): Promise<readonly RepositoryPath[]> {
    const found: RepositoryPath[] = [];
    const folders = [...(await this.#tree.list(REPOSITORIES_FOLDER))];
    for (let name = folders.pop(); name !== undefined; name = folders.pop()) {
      const inside = await this.#tree.list(repositoryFolder(name));
      if (isInUse(inside) && isRepositoryPath(name)) found.push(name);
      for (const part of inside) if (!part.startsWith('_')) folders.push(`${name}/${part}`);
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
