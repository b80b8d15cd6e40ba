import type {Call, RepositoryWriter, TagLimits} from '../../model/port.ts';
import type {RepositoryPath} from '../../model/reference.ts';
import type {GitLab} from '../gitlab.ts';

/** Actions on one resource, as a token service names them. */
interface Grant {
  readonly resource: string;
  readonly actions: readonly string[];
  /** What the token says about tags, where it does. */
  readonly tagLimits?: TagLimits;
}

/** The registry of a GitLab instance, as far as a transfer is planned with it. */
export interface InstanceRegistry {
  /** `host[:port]`. */
  readonly host: string;
  /** What it reports about itself; `clock` in ms since the epoch. */
  traits(call: Call): Promise<{
    readonly version?: string;
    readonly deletesTags: boolean;
    readonly database: boolean;
    readonly clock?: number;
  }>;
  /** When each tag was last pushed, in ms since the epoch; undefined: it does not know. */
  tagTimes(path: RepositoryPath, call: Call): Promise<ReadonlyMap<string, number> | undefined>;
  /** What a token for this really allows; undefined: it does not tell beforehand. */
  granted(path: RepositoryPath, wanted: Grant, call: Call): Promise<readonly Grant[] | undefined>;
  repository(path: RepositoryPath): RepositoryWriter;
}

/** What a preflight works with. */
export interface Surroundings {
  readonly gitlab: GitLab;
  readonly tokenKind: 'access-token' | 'job-token';
  /** Opens the registry of the instance, logged in as it is read (`source`) or written to. */
  readonly openRegistry: (host: string, side: 'source' | 'destination') => InstanceRegistry;
  /** Opens a repository of the donor's: `host/path`, or `oci:DIR`. */
  readonly openDonor: (name: string) => RepositoryWriter;
  /** Bytes that are free where this directory is, or will be; undefined: the system does not tell. */
  readonly freeBytes: (directory: string) => Promise<number | undefined>;
  /** The first thing in a donor directory that is no image layout of ours; undefined: there is none. */
  readonly strangerAt: (directory: string) => Promise<string | undefined>;
  /** This is a CI job: what it leaves on its disk may go with it. */
  readonly isJob: boolean;
  /** Of this machine, in ms since the epoch. */
  readonly now: () => number;
  /** Of a trial that has to be undone: a signal that ends the preflight lets it come to its end. */
  readonly trial: Call;
  /** Called with the number of tags read so far, and of all tags of the repository. */
  readonly progress: (repository: string, done: number, total: number) => void;
}
