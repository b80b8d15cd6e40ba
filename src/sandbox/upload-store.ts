import {createHash, type Hash, randomUUID} from 'node:crypto';
import type {Digest} from '../model/digest.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {contentFile, type FileTree, uploadFile} from './file-tree.ts';
import {splitDigest} from './names.ts';

/** The sha256 of an upload's first `size` bytes. */
interface Running {
  readonly hash: Hash;
  size: number;
}

/** Hashes that are kept for uploads; most clients send one blob for each connection. */
const RUNNING_LIMIT = 1000;

/**
 * Uploads that are under way. An upload is a file and nothing else, so it survives a restart; the hash that runs along
 * in memory only saves reading the file again at the end, and the oldest ones are dropped.
 */
export class UploadStore {
  readonly #tree: FileTree;
  readonly #running = new Map<string, Running>();
  /** Uploads whose last chunk came; a restart forgets it. */
  readonly #over = new Set<string>();
  /** The end of the queue of those that write to an upload, by upload. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** Opens an upload and gives its id. */
  async begin(repository: RepositoryPath): Promise<string> {
    const id = randomUUID();
    await this.#tree.store(uploadFile(repository, id), new Uint8Array());
    this.#running.set(id, {hash: createHash('sha256'), size: 0});
    for (const oldest of this.#running.keys()) {
      if (this.#running.size <= RUNNING_LIMIT) break;
      this.#running.delete(oldest);
    }
    return id;
  }

  /** Bytes that have arrived; undefined: there is no such upload. */
  async size(repository: RepositoryPath, id: string): Promise<number | undefined> {
    return this.#tree.size(uploadFile(repository, id));
  }

  /** Nothing but the end of the upload is to come. */
  addNoMore(id: string): void {
    this.#over.add(id);
  }

  isOver(id: string): boolean {
    return this.#over.has(id);
  }

  /** Appends a body to an upload. What arrives before the body breaks off is kept. */
  async append(
    repository: RepositoryPath,
    id: string,
    body: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    await this.#tree.append(uploadFile(repository, id), hashed(body, this.#running.get(id)));
  }

  /**
   * Closes the upload: its bytes become the content of `digest`, or are discarded if their digest differs.
   * @returns whether the digest was right
   */
  async commit(repository: RepositoryPath, id: string, digest: Digest): Promise<boolean> {
    if ((await this.#digest(repository, id, digest)) !== digest) {
      await this.cancel(repository, id);
      return false;
    }
    await this.#tree.move(uploadFile(repository, id), contentFile(digest));
    this.#running.delete(id);
    this.#over.delete(id);
    return true;
  }

  /** False: there was no such upload. */
  async cancel(repository: RepositoryPath, id: string): Promise<boolean> {
    this.#running.delete(id);
    this.#over.delete(id);
    return this.#tree.remove(uploadFile(repository, id));
  }

  /** Lets one at a time write to an upload; others wait in the order in which they came. */
  async exclusively<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(id);
    const {promise, resolve} = Promise.withResolvers<void>();
    this.#queues.set(id, promise);
    await before;
    try {
      return await work();
    } finally {
      resolve();
      if (this.#queues.get(id) === promise) this.#queues.delete(id);
    }
  }

  async #digest(repository: RepositoryPath, id: string, wanted: Digest): Promise<Digest> {
    const size = (await this.size(repository, id)) ?? 0;
    const {algorithm} = splitDigest(wanted);
    const running = this.#running.get(id);
    if (algorithm === 'sha256' && running?.size === size)
      return `sha256:${running.hash.digest('hex')}` as Digest;
    const hash = createHash(algorithm);
    const bytes = this.#tree.read(uploadFile(repository, id), {start: 0, end: size});
    for await (const chunk of bytes) hash.update(chunk);
    return `${algorithm}:${hash.digest('hex')}` as Digest;
  }
}

/** Passes a body on and counts a chunk as hashed once it has been taken. */
async function* hashed(
  body: AsyncIterable<Uint8Array>,
  running: Running | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield chunk;
    running?.hash.update(chunk);
    if (running) running.size += chunk.byteLength;
  }
}
