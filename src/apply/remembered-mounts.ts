import type {Digest} from '../model/digest.ts';
import {parsePlace} from '../model/place.ts';
import type {BlobAction} from '../model/plan.ts';
import type {MountBlob} from '../model/port.ts';
import type {Repository, RepositoryPath} from '../model/reference.ts';
import type {BlobLocations} from '../places/blob-locations.ts';
import {uploadKey} from './journal.ts';
import PQueue from 'p-queue';

/**
 * Smaller blobs are not mounted, in bytes: a TCP connection sends as much without waiting (RFC 6928, 10 segments), so
 * that uploading one takes no more round trips than a mount that is declined.
 */
const WORTH_A_MOUNT = 14 * 1024;
/** Larger ones are remembered on disk at once, in bytes: processes that run at the same time need not send them. */
const WORTH_A_WRITE = 8 * 1024 * 1024;
/** After so many declined mounts in a row, no more are tried at a registry in this run. */
const ENOUGH_DECLINED = 3;

type Outcome = Awaited<ReturnType<MountBlob>>;

/** The mounts that were tried at one registry. */
interface Trials {
  readonly queue: PQueue;
  /** In a row. */
  declined: number;
}

/**
 * Mounts blobs from repositories in which earlier runs have seen them. The plan does not name those: it depends only on
 * what was observed at the source and the destination, and may be applied on another machine. A blob costs one mount at
 * most, and where that is declined, what was remembered is forgotten.
 */
export class RememberedMounts {
  readonly #locations: BlobLocations | undefined;
  /** By name; undefined: not at a registry. */
  readonly #repositories = new Map<string, Repository | undefined>();
  /** By registry. */
  readonly #trials = new Map<string, Trials>();
  /** From where blobs were mounted in this run, by `uploadKey`. */
  readonly #mounted = new Map<string, RepositoryPath>();

  /** @param locations undefined: nothing is remembered */
  constructor(locations: BlobLocations | undefined) {
    this.#locations = locations;
  }

  /**
   * Brings the blob to its repository by a mount. Until the first one succeeds at a registry, they are tried one after the
   * other: however many blobs are worked on at once, few mounts are declined.
   * @param attempt asks for the mount from that repository; undefined: it was not asked for
   * @returns undefined: nothing was tried
   */
  async mount(
    {digest, to, size}: BlobAction,
    attempt: (from: RepositoryPath) => Promise<Outcome | undefined>,
  ): Promise<Outcome | undefined> {
    const at = size < WORTH_A_MOUNT ? undefined : this.#repositoryOf(to);
    const from = at && (await this.#locations?.find(at, digest));
    if (at === undefined || from === undefined) return undefined;
    const trials = this.#trialsAt(at.registry);
    return await trials.queue.add(async () => {
      if (trials.declined >= ENOUGH_DECLINED) return undefined;
      const outcome = await attempt(from);
      if (outcome?.kind === 'mounted') {
        trials.declined = 0;
        trials.queue.concurrency = Infinity;
        this.#mounted.set(uploadKey(digest, to), from);
      } else if (outcome !== undefined) {
        trials.declined += 1;
        this.#locations?.forget({registry: at.registry, path: from}, digest);
      }
      return outcome;
    });
  }

  /** The repository has the blob, as far as this run knows. */
  has({digest, size}: Pick<BlobAction, 'digest' | 'size'>, repository: string): void {
    const at = size < WORTH_A_MOUNT ? undefined : this.#repositoryOf(repository);
    if (at !== undefined) this.#locations?.add(at, digest);
  }

  /** The run has brought the blob to the repository. */
  async brought(blob: Pick<BlobAction, 'digest' | 'size'>, repository: string): Promise<void> {
    this.has(blob, repository);
    const at = this.#repositoryOf(repository);
    if (at !== undefined && blob.size >= WORTH_A_WRITE) await this.#locations?.flush(at.registry);
  }

  /** The registry misses the blob after all: nor does the repository that it was mounted from have it. */
  doubt(digest: Digest, repository: string): void {
    const at = this.#repositoryOf(repository);
    if (at === undefined) return;
    this.#locations?.forget(at, digest);
    const from = this.#mounted.get(uploadKey(digest, repository));
    if (from !== undefined) this.#locations?.forget({...at, path: from}, digest);
  }

  #trialsAt(registry: string): Trials {
    const trials = this.#trials.get(registry) ?? {queue: new PQueue({concurrency: 1}), declined: 0};
    this.#trials.set(registry, trials);
    return trials;
  }

  /** Once for each name, since taking one apart takes longer than finding it. */
  #repositoryOf(name: string): Repository | undefined {
    if (this.#locations === undefined) return undefined;
    if (this.#repositories.has(name)) return this.#repositories.get(name);
    const place = parsePlace(name);
    const repository = place.transport === 'docker' ? place.reference : undefined;
    this.#repositories.set(name, repository);
    return repository;
  }
}
