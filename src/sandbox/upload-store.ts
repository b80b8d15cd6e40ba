import {createHash, type Hash, randomUUID} from 'node:crypto';
import type {Digest, DigestAlgorithm} from '../model/digest.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {contentFile, type FileTree, uploadFile} from './file-tree.ts';
import {splitDigest} from './names.ts';

/** The hash of the first `size` bytes of an upload. */
interface RunningHash {
  readonly hash: Hash;
  size: number;
}

/** Hashes that are kept for uploads; most clients send one blob for each connection. */
const RUNNING_LIMIT = 1000;

/**
 * Uploads in progress. An upload is only a file, so it survives a restart; the running hash in memory saves reading the
 * file again at the end. The oldest hashes are dropped.
 */
export class UploadStore {
  readonly #tree: FileTree;
  readonly #running = new Map<string, RunningHash>();
  /** Uploads that have received their last chunk; lost at a restart. */
  readonly #over = new Set<string>();
  /** The last writer in the queue of each upload. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** Opens an upload. @returns its id */
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

  /** Bytes received; undefined: no such upload. */
  async size(repository: RepositoryPath, id: string): Promise<number | undefined> {
    return this.#tree.size(uploadFile(repository, id));
  }

  /** Refuses further chunks: the upload can only be closed. */
  addNoMore(id: string): void {
    this.#over.add(id);
  }

  isOver(id: string): boolean {
    return this.#over.has(id);
  }

  /** Appends a body to an upload. If the body breaks off, what was received before is kept. */
  async append(
    repository: RepositoryPath,
    id: string,
    body: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    await this.#tree.append(uploadFile(repository, id), hashed(body, this.#running.get(id)));
  }

  /**
   * Closes the upload: its bytes become the content of a digest, or are discarded if they do not match `digest`.
   * @param asSha256 stores them as their sha256, whatever `digest` uses
   * @returns the digest that they are stored as; undefined: they do not match
   */
  async commit(
    repository: RepositoryPath,
    id: string,
    digest: Digest,
    asSha256 = false,
  ): Promise<Digest | undefined> {
    const {algorithm} = splitDigest(digest);
    if ((await this.#digest(repository, id, algorithm)) !== digest) {
      await this.cancel(repository, id);
      return undefined;
    }
    const stored = asSha256 ? await this.#digest(repository, id, 'sha256') : digest;
    await this.#tree.move(uploadFile(repository, id), contentFile(stored));
    this.#running.delete(id);
    this.#over.delete(id);
    return stored;
  }

  /** @returns whether there was such an upload */
  async cancel(repository: RepositoryPath, id: string): Promise<boolean> {
    this.#running.delete(id);
    this.#over.delete(id);
    return this.#tree.remove(uploadFile(repository, id));
  }

  /** Runs the writers of an upload one at a time, in the order of their calls. */
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

  async #digest(
    repository: RepositoryPath,
    id: string,
    algorithm: DigestAlgorithm,
  ): Promise<Digest> {
    const size = (await this.size(repository, id)) ?? 0;
    const running = this.#running.get(id);
    if (algorithm === 'sha256' && running?.size === size)
      return `sha256:${running.hash.copy().digest('hex')}` as Digest;
    const hash = createHash(algorithm);
    const bytes = this.#tree.read(uploadFile(repository, id), {start: 0, end: size});
    for await (const chunk of bytes) hash.update(chunk);
    return `${algorithm}:${hash.digest('hex')}` as Digest;
  }
}

/** Passes on a body; a chunk counts as hashed once the receiver has stored it. */
async function* hashed(
  body: AsyncIterable<Uint8Array>,
  running: RunningHash | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield chunk;
    running?.hash.update(chunk);
    if (running) running.size += chunk.byteLength;
  }
}
