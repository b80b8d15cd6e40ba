import {stringify} from 'yaml';
import {hexOf} from '../model/digest.ts';
import type {Plan} from '../model/plan.ts';
import {shellWord} from '../model/shell-word.ts';
import {headOf, type PipelineJob, type PipelineOptions, pipelineJobs} from './pipeline-jobs.ts';

/** What GitLab needs to know besides. */
export interface GitLabPipelineOptions extends PipelineOptions {
  /** How jobs call transship: words of a shell. */
  readonly command: string;
  /** The job of the parent pipeline whose artefact the plan is; undefined: the plan is in the repository. */
  readonly planJob?: string | undefined;
}

/** The most jobs that GitLab runs for one `parallel` (GitLab: doc/ci/yaml, "parallel"). */
export const GITLAB_PARALLEL_LIMIT = 200;

/**
 * Failures of the runner and of GitLab, not of the job (GitLab: doc/ci/yaml, "retry:when"). What fails in a run has
 * been tried again by the run itself.
 */
const RETRY = {
  max: 2,
  when: [
    'api_failure',
    'data_integrity_failure',
    'runner_system_failure',
    'scheduler_failure',
    'stuck_or_timeout_failure',
  ],
};

/**
 * A plan as a child pipeline of GitLab CI: a stage for each phase, journals and reports as artefacts, a manual job
 * before anything is taken away. It holds no secrets: tokens and logins are variables of the project.
 */
export function gitlabPipeline(plan: Plan, options: GitLabPipelineOptions): string {
  const jobs = pipelineJobs(plan, options);
  const approvesFirst = plan.kind === 'transfer';
  const stages = [...(approvesFirst ? ['approve'] : []), ...jobs.map(({name}) => name)];
  const pipeline = {
    stages,
    default: {
      ...(options.image === undefined ? {} : {image: options.image}),
      interruptible: false,
      retry: RETRY,
    },
    ...(options.planJob === undefined ? {} : {variables: {GIT_STRATEGY: 'none'}}),
    ...(approvesFirst ? {approve: approval(plan.moves.length)} : {}),
    ...Object.fromEntries(
      jobs.flatMap((job, at) => {
        const before = jobs[at - 1]?.name ?? (approvesFirst ? 'approve' : undefined);
        const entry = [job.name, jobEntry(job, before, plan, options)] as const;
        return job.isRun && job.isParallel
          ? [entry, ['status', statusEntry(job, jobs[at + 1]?.name ?? job.name, options)] as const]
          : [entry];
      }),
    ),
  };
  return `${headOf(plan, options)}${stringify(pipeline, {lineWidth: 0, aliasDuplicateObjects: false})}`;
}

/** One click for all jobs behind it. */
function approval(projects: number): object {
  return {
    stage: 'approve',
    when: 'manual',
    allow_failure: false,
    script: [`echo "moving ${projects} ${projects === 1 ? 'project' : 'projects'}"`],
  };
}

function jobEntry(
  job: PipelineJob,
  before: string | undefined,
  plan: Plan,
  options: GitLabPipelineOptions,
): object {
  const {name, args, isParallel, isDestructive, isRun, minutes} = job;
  const isGated = isDestructive && plan.kind === 'copy';
  const journals = `${journalsOf(options.planFile)}*.journal.ndjson`;
  const report = `transship-${name}.xml`;
  const reports = isRun ? ['--junit', report] : [];
  return {
    stage: name,
    ...(isParallel && options.parallel > 1 ? {parallel: options.parallel} : {}),
    ...(isGated ? {when: 'manual', allow_failure: false} : {}),
    timeout: `${minutes} minutes`,
    ...needs(before === undefined ? [] : [before], options),
    script: [shellLine(options.command, [...args, ...reports, '--progress', 'plain'])],
    ...(isRun
      ? {
          // Where runners share a cache, a job that is tried again goes on with its uploads.
          cache: {
            key: `transship-${hexOf(plan.id).slice(0, 12)}-${name}-$CI_NODE_INDEX`,
            paths: [journals],
            when: 'always',
          },
          artifacts: {
            name: `${name}-$CI_NODE_INDEX`,
            when: 'always',
            expire_in: '30 days',
            paths: [
              journals,
              ...(name === 'delete' ? [`${journalsOf(options.planFile)}.undo.ndjson`] : []),
            ],
            reports: {junit: report},
          },
        }
      : {}),
  };
}

/** Says how far all shards are, also where some have failed. */
function statusEntry({name}: PipelineJob, stage: string, options: GitLabPipelineOptions): object {
  const {command, planFile} = options;
  return {
    stage,
    when: 'always',
    ...needs([name], options),
    script: [shellLine(command, ['status', planFile])],
  };
}

/**
 * What has to be done before, and the plan. Jobs behind a parallel one wait for all of it. `needs` of another pipeline
 * alone would not keep a job from starting at once.
 */
function needs(
  jobs: readonly string[],
  {planJob}: GitLabPipelineOptions,
): {readonly needs?: readonly object[]} {
  if (planJob === undefined) return jobs.length === 0 ? {} : {needs: jobs.map(needed)};
  return {needs: [{pipeline: '$PARENT_PIPELINE_ID', job: planJob}, ...jobs.map(needed)]};
}

function needed(job: string): object {
  return {job};
}

/** `plans/acme.plan.json`: `plans/acme`. */
function journalsOf(planFile: string): string {
  return planFile.replace(/(?:\.plan)?\.json$/, '');
}

/** @param command words of a shell, as they are */
function shellLine(command: string, args: readonly string[]): string {
  return [command, ...args.map(shellWord)].join(' ');
}
