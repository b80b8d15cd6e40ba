import {type Command, InvalidArgumentError, Option} from 'commander';
import type {Environment} from '../http/proxy.ts';
import {TransshipError} from '../model/error.ts';
import type {Report} from '../model/event.ts';
import {PHASES, type Phase, type Shard} from '../model/outcome.ts';
import {deletionsOf, type Plan} from '../model/plan.ts';
import {phaseOfPlan} from '../plan/phases.ts';
import {MOST_SHARDS, shardOfPlan} from '../plan/shards.ts';
import {counted} from '../report/words.ts';

/** Flags that select a part of a plan. */
export interface PartFlags {
  readonly shard?: Shard;
  readonly phase?: Phase;
}

/** The part of a plan that a run carries out; without members, all of it. */
export interface PlanPart {
  readonly shard?: Shard;
  /** The variable that names the shard; absent: a flag does. */
  readonly variable?: string;
  readonly phase?: Phase;
}

export function addShardFlag(command: Command): Command {
  return command.option(
    '--shard <i/n>',
    'only the i-th of n parts of the plan (default: $TRANSSHIP_SHARD, $CI_NODE_INDEX of $CI_NODE_TOTAL, $JOB_COMPLETION_INDEX of $TRANSSHIP_SHARDS)',
    parseShard,
  );
}

export function addPhaseFlag(command: Command): Command {
  return command.addOption(
    new Option('--phase <phase>', 'copies only: one phase of the plan').choices(PHASES),
  );
}

/** Parses `3/16`. */
function parseShard(text: string): Shard {
  const match = /^([1-9]\d{0,3})\/([1-9]\d{0,3})$/.exec(text);
  const [index, total] = [Number(match?.[1]), Number(match?.[2])];
  if (index <= total && total <= MOST_SHARDS) return {index, total};
  throw new InvalidArgumentError(
    `write a part and the number of parts, such as 3/16; ${MOST_SHARDS} parts at most`,
  );
}

/**
 * The part that the flags name, or else the variables that GitLab and Kubernetes set in parallel jobs.
 * @throws TransshipError USAGE
 */
export function readPart({shard: flag, phase}: PartFlags, env: Environment): PlanPart {
  const found = flag === undefined ? shardOfJob(env) : {shard: flag};
  const part = {...found, ...(phase === undefined ? {} : {phase})};
  // A single part is the whole plan.
  if (part.shard?.total === 1) return phase === undefined ? {} : {phase};
  if (part.shard !== undefined && phase !== undefined && phase !== 'copy') {
    throw new TransshipError('USAGE', `--phase ${phase} cannot be divided into shards`, {
      side: 'local',
      hint: `run it in one job, without parallel; ${phase === 'delete' ? 'after' : 'before'} all shards of --phase copy`,
    });
  }
  return part;
}

function shardOfJob(env: Environment): Pick<PlanPart, 'shard' | 'variable'> | undefined {
  // GitLab sets the index only in jobs with `parallel`, but the total in all jobs
  // (doc/ci/variables/predefined_variables.md).
  const [node, nodes] = [env['CI_NODE_INDEX'], env['CI_NODE_TOTAL']];
  if (node && nodes)
    return {shard: ofVariables(`${node}/${nodes}`, 'CI_NODE_INDEX'), variable: 'CI_NODE_INDEX'};
  // Kubernetes counts from 0, and does not report the total (concepts/workloads/controllers/job, "Completion mode").
  const [completion, shards] = [env['JOB_COMPLETION_INDEX'], env['TRANSSHIP_SHARDS']];
  if (!completion || !shards) return undefined;
  const variable = 'JOB_COMPLETION_INDEX';
  const index = /^\d{1,4}$/.test(completion) ? Number(completion) + 1 : completion;
  return {shard: ofVariables(`${index}/${shards}`, variable), variable};
}

function ofVariables(text: string, variable: string): Shard {
  try {
    return parseShard(text);
  } catch (cause) {
    throw new TransshipError('USAGE', `the variable ${variable} gives the shard "${text}"`, {
      side: 'local',
      hint: 'it is a part and the number of parts, such as 3/16; name the shard with --shard',
      cause,
    });
  }
}

/** The part of a plan that a run carries out. @throws TransshipError USAGE if the plan has no phases */
export function partToApply(plan: Plan, {shard, phase}: PlanPart): Plan {
  if (plan.kind === 'transfer' && phase !== undefined) {
    throw new TransshipError('USAGE', 'plans of transfers have no phases', {
      side: 'local',
      hint: 'leave out --phase: each project is moved from its first step to its last',
    });
  }
  const part = shard === undefined ? plan : shardOfPlan(plan, shard);
  return part.kind === 'copy' && phase !== undefined ? phaseOfPlan(part, phase) : part;
}

/** Reports that a run carries out a shard, if a variable determined that. */
export function reportShard({shard, variable}: PlanPart, report: Report): void {
  if (shard === undefined || variable === undefined) return;
  const message = `shard ${shard.index} of ${shard.total}, from ${variable}; for the whole plan, use --shard 1/1`;
  report({type: 'notice', code: 'SHARD_OF_JOB', message});
}

/** Reports what is left to other runs. */
export function reportPart(plan: Plan, part: PlanPart, report: Report): void {
  const {shard, phase} = part;
  reportShard(part, report);
  if (plan.kind === 'transfer' || (shard === undefined && phase !== 'copy')) return;
  const {length: deletions} = deletionsOf(plan);
  if (deletions === 0) return;
  const message = `${counted(deletions, 'deletion')} left to "apply --phase delete", once all copies are verified`;
  report({type: 'notice', code: 'DELETIONS_LEFT', message});
}
