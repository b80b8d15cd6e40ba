import {isAbsolute, relative} from 'node:path';
import {type Command, Option} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {GITLAB_PARALLEL_LIMIT, gitlabPipeline} from '../../pipeline/gitlab-pipeline.ts';
import {kubernetesJobs} from '../../pipeline/kubernetes-jobs.ts';
import {MOST_SHARDS} from '../../plan/shards.ts';
import {serializePlan} from '../../plan/plan-file.ts';
import type {Io} from '../io.ts';
import {wholeNumber} from '../options.ts';
import {givenPlan} from '../plan-file.ts';
import {throwIfForbidden} from '../../library/apply-plan.ts';
import {writeOutput} from '../../library/output-file.ts';

interface Flags {
  readonly parallel: number;
  readonly engine: 'gitlab' | 'kubernetes';
  readonly image?: string;
  readonly command: string;
  /** False: commander's representation of `--no-plan-job`. */
  readonly planJob: string | false;
  readonly secret: string;
  readonly claim: string;
  readonly out?: string;
}

/** `transship pipeline`: the jobs that apply a plan, for GitLab CI or Kubernetes. */
export function addPipeline(program: Command, io: Io, done: (exitCode: number) => void): void {
  program
    .command('pipeline')
    .summary('write the jobs that carry out a plan: GitLab CI or Kubernetes')
    .description(
      'Prints a child pipeline of GitLab CI, or Indexed Jobs of Kubernetes, which apply a plan in shards, verify it, and ' +
        'then delete what it deletes, if that job is started by hand. Nothing is requested from a registry.',
    )
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .requiredOption('--parallel <n>', 'number of jobs that share the plan', wholeNumber)
    .addOption(
      new Option('--engine <engine>', 'what runs the jobs')
        .choices(['gitlab', 'kubernetes'])
        .default('gitlab'),
    )
    .option(
      '--image <image>',
      'the container image of the jobs; Kubernetes: its entry point is transship',
    )
    .option('--command <words>', 'GitLab: how jobs call transship', 'transship')
    .option(
      '--plan-job <job>',
      'GitLab: the job of the parent pipeline that has the plan as its artifact',
      'plan',
    )
    .option('--no-plan-job', 'GitLab: the plan is in the repository')
    .option(
      '--secret <name>',
      'Kubernetes: the Secret with tokens and logins, as variables',
      'transship',
    )
    .option('--claim <name>', 'Kubernetes: the PersistentVolumeClaim for journals', 'transship')
    .option('--out <file>', 'write to this file instead of stdout')
    .addHelpText(
      'after',
      `
Examples:
  transship pipeline acme.plan.json --parallel 16 > child.gitlab-ci.yml
  transship pipeline acme.plan.json --parallel 16 --engine kubernetes --image registry.example.com/transship:1 | kubectl apply -f -`,
    )
    .action(async (word: string, flags: Flags) => {
      const {plan, file} = await givenPlan(word, io);
      throwIfForbidden(plan);
      const {engine, parallel, image, command, planJob, secret, claim, out} = flags;
      const most = engine === 'gitlab' ? GITLAB_PARALLEL_LIMIT : MOST_SHARDS;
      if (parallel > most)
        throw usage(`--parallel is ${parallel}`, `write a number of at most ${most}`);
      const planFile = jobPath(file);
      const madeBy = `transship pipeline ${planFile} --parallel ${parallel} --engine ${engine}`;
      const common = {planFile, parallel, madeBy};
      if (engine === 'gitlab') {
        const job = planJob === false ? undefined : planJob;
        await give(gitlabPipeline(plan, {...common, image, command, planJob: job}), out, io);
      } else if (image === undefined) {
        throw usage('--image is missing', 'name an image whose entry point is transship');
      } else {
        const planText = serializePlan(plan);
        const jobs = kubernetesJobs(plan, {...common, image, secret, claim, planText});
        await give(jobs.text, out, io);
        if (jobs.isPlanOnClaim)
          io.stderr.write(
            `note: the plan is too large for a ConfigMap: copy it to the volume of the claim ${claim}, with the name that the jobs have\n`,
          );
      }
      done(0);
    });
}

/** In a job, the plan is at its path in the repository or among the artifacts. */
function jobPath(file: string): string {
  return isAbsolute(file) ? relative(process.cwd(), file) : file;
}

async function give(text: string, out: string | undefined, io: Io): Promise<void> {
  if (out === undefined || out === '-') {
    io.stdout.write(text);
    return;
  }
  await writeOutput(out, [text]).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_WRITE_FAILED', `${out} cannot be written: ${why}`, {
      side: 'local',
      hint: 'name a file in a writable directory with --out',
      cause,
    });
  });
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
