import {hexOf} from '../model/digest.ts';
import {copiesOf, creationsOf, deletionsOf, type Plan} from '../model/plan.ts';
import {largestShard} from '../plan/shards.ts';

/** What the jobs of a plan have in common, whichever engine runs them. */
export interface PipelineOptions {
  /** The plan's file, as the jobs are to find it. */
  readonly planFile: string;
  /** Jobs that carry the plan out at once, 1 or more. */
  readonly parallel: number;
  /** The command line that the file is made with, to be named in it. */
  readonly madeBy: string;
  /** The container image that has transship; undefined: the engine's own. */
  readonly image?: string | undefined;
}

/** A job, or so many of them at once. */
export interface PipelineJob {
  readonly name: 'create' | 'copy' | 'transfer' | 'verify' | 'delete';
  /** What the log of the engine is to say of it. */
  readonly purpose: string;
  /** The command and its flags, without the name of the program. */
  readonly args: readonly string[];
  /** Each of `parallel` jobs does a shard. */
  readonly isParallel: boolean;
  /** It takes something away: somebody has to say so first. */
  readonly isDestructive: boolean;
  /** A run keeps a journal. */
  readonly isRun: boolean;
  /** How long it may take, in minutes; runs end themselves 10 minutes before. */
  readonly minutes: number;
}

/**
 * The jobs that carry a plan out, in their order: each begins when the one before it has succeeded. Deletions are a job
 * of their own behind the verification of all shards.
 */
export function pipelineJobs(plan: Plan, options: PipelineOptions): readonly PipelineJob[] {
  const minutes = minutesFor(plan, options.parallel);
  const job = (
    name: PipelineJob['name'],
    purpose: string,
    more: Partial<PipelineJob> & {readonly flags?: readonly string[]},
  ): PipelineJob => {
    const {flags = [], ...rest} = more;
    const isRun = name !== 'verify';
    const own = {minutes, ...rest};
    const limit = isRun ? ['--max-duration', `${own.minutes - GRACE_MINUTES}m`] : [];
    return {
      name,
      purpose,
      isParallel: false,
      isDestructive: false,
      isRun,
      ...own,
      args: [
        isRun ? 'apply' : 'verify',
        options.planFile,
        '--plan-id',
        plan.id,
        ...flags,
        ...limit,
      ],
    };
  };
  const verify = job('verify', 'compare the destination with the plan', {isParallel: true});
  if (plan.kind === 'transfer') {
    const transfer = job('transfer', 'move the projects of the plan', {
      isParallel: true,
      isDestructive: true,
      flags: ['--yes'],
    });
    return [transfer, verify];
  }
  const {length: deletions} = deletionsOf(plan);
  const create = job('create', 'create groups and projects', {
    flags: ['--phase', 'create'],
    minutes: LEAST_MINUTES,
  });
  const copy = job('copy', 'copy the images of the plan', {
    isParallel: true,
    flags: ['--phase', 'copy'],
  });
  const remove = job('delete', `delete ${deletions} tags`, {
    isDestructive: true,
    flags: ['--phase', 'delete', '--yes', '--max-deletes', String(deletions)],
  });
  return [
    ...(creationsOf(plan).length === 0 ? [] : [create]),
    ...(copiesOf(plan).length === 0 && deletions > 0 ? [] : [copy, verify]),
    ...(deletions === 0 ? [] : [remove]),
  ];
}

/** A run needs so long at most to end when it is told to. */
const GRACE_MINUTES = 10;
const LEAST_MINUTES = 60;
/** The longest time that GitLab gives a job: doc/ci/pipelines/settings, "one month". */
const MOST_MINUTES = 30 * 24 * 60;
/** What a slow registry achieves. A shard that takes longer is ended in time and goes on when it is run again. */
const BYTES_PER_MINUTE = 60 * 8 * 1024 * 1024;
const REQUESTS_PER_MINUTE = 60 * 20;
/** Three times as long as expected. */
const SAFETY = 3;

/** How long the largest shard may take, in minutes, in steps of half an hour. */
function minutesFor(plan: Plan, total: number): number {
  const {source, destination} = plan.totals.requests;
  const expected =
    largestShard(plan, total) / BYTES_PER_MINUTE +
    (source + destination) / total / REQUESTS_PER_MINUTE;
  const minutes = 30 * Math.ceil((SAFETY * expected) / 30);
  return Math.min(MOST_MINUTES, Math.max(LEAST_MINUTES, minutes));
}

/** A name for the objects of a plan that no other plan has: letters, digits and hyphens, 28 at most. */
export function pipelineName({id}: Plan, {planFile}: PipelineOptions): string {
  const file = planFile.replace(/^.*\//, '').replace(/(?:\.plan)?\.json$/, '');
  const word = file
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const short = word.slice(0, NAME_CHARACTERS).replace(/-+$/, '');
  const rest = hexOf(id).slice(0, 8);
  return short === '' ? `transship-${rest}` : `${short}-${rest}`;
}

const NAME_CHARACTERS = 19;

/** The first lines of a file. */
export function headOf(plan: Plan, {madeBy}: PipelineOptions): string {
  return `# Made by: ${oneLine(madeBy)}\n# Carries out the plan ${plan.id}.\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
