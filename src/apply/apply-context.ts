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

/** What copying images needs besides the images. */
export interface CopyContext {
  readonly repositories: Repositories;
  readonly journal: Journal;
  readonly report: Report;
  readonly settings: ApplySettings;
  /** Manifests that were read while planning, in the same process; others are read by digest. */
  readonly observed?: ReadonlyMap<Digest, SeenManifest>;
  /** Opens a foreign layer at the URLs in its manifest; absent: the plan copies none from there. */
  readonly layerAt?: (urls: readonly string[]) => RepositoryReader;
  /** Where earlier runs saw blobs, and this one sees them; absent: nothing is remembered. */
  readonly locations?: BlobLocations;
  /** Other runs, also on other machines, work on the same plan: what they brought is looked for before it is sent. */
  readonly isShared?: boolean;
  /** What ends the run early, beside signals; absent: nothing. */
  readonly limits?: RunLimits;
}

/** What applying a plan of copies needs besides the plan. */
export interface ApplyContext extends CopyContext {
  /**
   * True: the plan was made a moment ago from what was seen, so nothing is asked again. False: source and destination
   * are compared with the plan before the first write.
   */
  readonly fresh: boolean;
  /** How long a registry may take to delete what it said to delete. Default: `DEFAULT_PATIENCE`. */
  readonly patience?: Patience;
  /** Where groups and projects are created; absent: the plan creates none. */
  readonly namespaces?: Namespaces;
  /** Keeps what is deleted; absent: nothing is kept. */
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
  /** What may be read from all sources together, in bytes per second; absent: as much as there is. */
  readonly limitRate?: number;
  readonly jobs: Jobs;
  /** What a failed step means for the others. */
  readonly onFailure: 'continue' | 'stop';
}

/** Blobs that are on their way at once; the hosts' own limits are below it. */
export interface Jobs {
  readonly all: number;
  /** Large ones among them: less than `all`, so that small ones need not wait for them; 1 where `all` is 1. */
  readonly large: number;
}

export const DEFAULT_JOBS: Jobs = {all: 72, large: 8};

/** How a run is ended early. */
export interface Interruption {
  /** Nothing new is begun; the requests under way are finished. */
  readonly stopping: AbortSignal;
  /** All ends at once. */
  readonly aborted: AbortSignal;
}
