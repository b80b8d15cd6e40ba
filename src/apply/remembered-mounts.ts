import type {Digest} from '../model/digest.ts';
import {parsePlace} from '../model/place.ts';
import type {BlobAction} from '../model/plan.ts';
import type {MountResult} from '../model/port.ts';
import type {Repository, RepositoryPath} from '../model/reference.ts';
import type {BlobLocations} from '../places/blob-locations.ts';
import {uploadKey} from './journal.ts';
import PQueue from 'p-queue';

/**
 * The minimum size of blobs to mount, in bytes: a TCP connection sends as much without waiting (RFC 6928, 10 segments),
 * so uploading a smaller one requires no more round trips than a declined mount.
 */
const WORTH_A_MOUNT = 14 * 1024;
/** The size in bytes above which a location is written to disk immediately, so that concurrent processes can use it. */
const WORTH_A_WRITE = 8 * 1024 * 1024;
/** After this many consecutive declined mounts, no more are attempted at a registry in this run. */
const ENOUGH_DECLINED = 3;

/** The mounts that were tried at one registry. */
interface Trials {
  readonly queue: PQueue;
  /** Consecutive declined mounts. */
  declined: number;
}

/**
 * Mounts blobs from repositories in which earlier runs have seen them. The plan does not name those, because it depends
 * only on the source and the destination, and may be applied on another machine. At most one mount is attempted for a
 * blob; if it is declined, the location is removed.
 */
export class RememberedMounts {
  readonly #locations: BlobLocations | undefined;
  /** Parsed repositories by name; undefined: not at a registry. */
  readonly #repositories = new Map<string, Repository | undefined>();
  /** By registry. */
  readonly #trials = new Map<string, Trials>();
  /** The repositories from which blobs were mounted in this run, by `uploadKey`. */
  readonly #mounted = new Map<string, RepositoryPath>();

  /** @param locations undefined: nothing is remembered */
  constructor(locations: BlobLocations | undefined) {
    this.#locations = locations;
  }

  /**
   * Mounts the blob. Until the first mount succeeds at a registry, mounts are attempted one after the other, so that
   * few are declined in vain.
   * @param attempt mounts from that repository, or returns undefined without an attempt
   * @returns undefined: no mount was attempted
   */
  async mount(
    {digest, to, size}: BlobAction,
    attempt: (from: RepositoryPath) => Promise<MountResult | undefined>,
  ): Promise<MountResult | undefined> {
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

  /** Records that the repository has the blob. */
  has({digest, size}: Pick<BlobAction, 'digest' | 'size'>, repository: string): void {
    const at = size < WORTH_A_MOUNT ? undefined : this.#repositoryOf(repository);
    if (at !== undefined) this.#locations?.add(at, digest);
  }

  /** Records that the run has copied the blob to the repository. */
  async brought(blob: Pick<BlobAction, 'digest' | 'size'>, repository: string): Promise<void> {
    this.has(blob, repository);
    const at = this.#repositoryOf(repository);
    if (at !== undefined && blob.size >= WORTH_A_WRITE) await this.#locations?.flush(at.registry);
  }

  /** Records that the registry lacks the blob, and so does the repository from which it was mounted. */
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

  /** The parsed name, cached since parsing is slow. */
  #repositoryOf(name: string): Repository | undefined {
    if (this.#locations === undefined) return undefined;
    if (this.#repositories.has(name)) return this.#repositories.get(name);
    const place = parsePlace(name);
    const repository = place.transport === 'docker' ? place.reference : undefined;
    this.#repositories.set(name, repository);
    return repository;
  }
}
