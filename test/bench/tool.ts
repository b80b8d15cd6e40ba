import type {CopyJob} from './copy-job.ts';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly stdin?: string;
  /** Settings, by their path in the home directory. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** One way to run a tool. */
export interface Variant {
  readonly label: string;
  /**
   * `ours`: transship. `usual`: a peer as it comes, which is run less often. `best`: a peer with its best flags.
   * `limit`: no copy of an image, but what the machine can do.
   */
  readonly kind: 'ours' | 'usual' | 'best' | 'limit';
  /** Undefined: it has nothing of its own for this job. */
  command(job: CopyJob): Command | undefined;
}

export interface Tool {
  readonly name: string;
  /** The program that must be on the PATH. */
  readonly program: string;
  readonly versionArgs: readonly string[];
  /** How to get it. */
  readonly install: string;
  readonly variants: readonly Variant[];
}

/** Two that send the same blob at the same time can make docker-registry refuse one of them: a script tries again. */
const UP_TO_THREE_TIMES = ['sh', '-c', '"$@" || "$@" || "$@"', 'sh'];

/**
 * A loop over the tags, as a shell script would have it.
 * @param command what to do with one tag, for which `{}` stands
 */
export function forEachTag({tags}: CopyJob, atOnce: number, command: readonly string[]): Command {
  return {
    file: 'xargs',
    args: ['-P', String(atOnce), '-I', '{}', ...UP_TO_THREE_TIMES, ...command],
    stdin: tags.join('\n'),
  };
}
