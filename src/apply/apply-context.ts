import type {Digest} from '../model/digest.ts';
import type {Report} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
import type {Repositories, RepositoryReader} from '../model/port.ts';
import type {BlobLocations} from '../places/blob-locations.ts';
import type {ChunkBounds} from '../relay/chunk-size.ts';
import type {RetryPolicy} from '../http/retry.ts';
import type {Patience} from '../gitlab/confirm.ts';
import type {Namespaces} from './creations.ts';
import type {Journal} from './journal.ts';
import type {RunLimits} from './run-limits.ts';
import type {UndoLog} from './undo-file.ts';

/** The environment in which images are copied. */
export interface CopyContext {
  readonly repositories: Repositories;
  readonly journal: Journal;
  readonly report: Report;
  readonly settings: ApplySettings;
  /** Manifests that were read while planning, in the same process; others are read by digest. */
  readonly observed?: ReadonlyMap<Digest, SeenManifest>;
  /** Opens a foreign layer at the URLs in its manifest; absent: the plan copies none. */
  readonly layerAt?: (urls: readonly string[]) => RepositoryReader;
  /** The locations of blobs that this run and earlier ones have seen; absent: not recorded. */
  readonly locations?: BlobLocations;
  /**
   * Other runs, perhaps on other machines, apply parts of the same plan, so each blob is looked up before it is sent.
   */
  readonly isShared?: boolean;
  /** The limits that end the run early; absent: none. */
  readonly limits?: RunLimits;
}

/** The environment in which a plan of copies is applied. */
export interface ApplyContext extends CopyContext {
  /**
   * True: the plan was just made, so it is not compared again. False: source and destination are compared with the plan
   * before the first write.
   */
  readonly fresh: boolean;
  /** How long to wait until a registry has completed a deletion. Default: `DEFAULT_PATIENCE`. */
  readonly patience?: Patience;
  /** Creates groups and projects; absent: the plan creates none. */
  readonly namespaces?: Namespaces;
  /** Keeps deleted manifests; absent: they are not kept. */
  readonly undo?: UndoLog;
}

/** The context of a run whose journal has the times of what it tells. */
export function withJournalTimes<Context extends CopyContext>(context: Context): Context {
  const {journal, report} = context;
  return {
    ...context,
    report: (event) => {
      journal.watch(event);
      report(event);
    },
  };
}

export interface ApplySettings {
  /** Bounds of an upload chunk in bytes. */
  readonly chunk: ChunkBounds;
  readonly retry: RetryPolicy;
  /** The rate limit for all sources together, in bytes per second; absent: unlimited. */
  readonly limitRate?: number;
  readonly jobs: Jobs;
  /** Whether the other steps continue after a failed one. */
  readonly onFailure: 'continue' | 'stop';
}

/** The maximum number of blobs in progress. The throttle of a host may allow fewer. */
export interface Jobs {
  readonly all: number;
  /**
   * The maximum number of large ones: less than `all`, so that small ones need not wait for them, unless `all` is 1.
   */
  readonly large: number;
}

export const DEFAULT_JOBS: Jobs = {all: 72, large: 8};

/** How a run is ended early. */
export interface Interruption {
  /** Once aborted, no new work is started, and requests in progress are completed. */
  readonly stopping: AbortSignal;
  /** Once aborted, everything ends immediately. */
  readonly aborted: AbortSignal;
}
