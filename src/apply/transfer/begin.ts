import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {adoptable, planWithTags} from './adopt-tags.ts';
import {donorAbsent, isDonorThere, throwIfDonorTaken} from './donor.ts';
import {oldName, readOldTags} from './delete-old.ts';
import type {StepEnd, TransferRun} from './transfer-run.ts';
import {throwIfTaken} from './standing.ts';

/** What is carried out, or what keeps the run from beginning. */
export type Begun = {readonly plan: TransferPlan} | {readonly stop: StepEnd};

/**
 * Before the first step, while the project is at its old path: the new path is free, nobody else has made the donor
 * project, the tags are as planned, and somebody agrees that they are deleted.
 * @throws TransshipError NAME_TAKEN; DRIFT for the donor project; DONOR_ABSENT; USAGE where nobody can be asked
 */
export async function begin(plan: TransferPlan, run: TransferRun): Promise<Begun> {
  await throwIfTaken(plan, run.context, run.call);
  const {planned, drift} = await readOldTags(plan, run);
  await throwIfDonorAbsent(plan, drift, run);
  await throwIfDonorTaken(plan, run);
  const whole = drift.length === 0 ? plan : await adopted(plan, drift, run);
  if (whole === undefined) return {stop: {end: 'drift', drift}};
  const deletes = plan.steps.some(({kind}) => kind === 'delete-old');
  const names = [...planned, ...drift].map(({repository, tag}) => ({repository, tag}));
  if (!deletes || names.length === 0) return {plan: whole};
  return (await mayDelete(plan, names, run)) ? {plan: whole} : {stop: {end: 'not-started'}};
}

/** What an earlier run deleted is no drift, though the donor does not show it: planning again would leave it behind. */
async function throwIfDonorAbsent(
  plan: TransferPlan,
  drift: readonly Drift[],
  run: TransferRun,
): Promise<void> {
  const {deleted} = run.context.journal.unfinished;
  const lost = drift.filter((one) => one.actual === null && deleted.has(oldName(one)));
  if (lost.length === 0) return;
  if (!(await isDonorThere(plan, run))) {
    const way =
      ', and do not plan again; "transship rollback" puts back what the registry still has';
    throw donorAbsent(plan, run.context, way);
  }
  const {donor, project} = plan;
  const [where, hint] =
    donor.kind === 'directory'
      ? [`the folder ${donor.path}, which does not have them`, 'the right folder is here']
      : [`the project ${donor.path}, whose registry does not list them`, 'they are there again'];
  const count = lost.length === 1 ? '1 tag was' : `${lost.length} tags were`;
  throw new TransshipError(
    'DONOR_ABSENT',
    `${count} deleted from ${project.from} by an earlier run and should be in ${where}`,
    {
      side: donor.kind === 'directory' ? 'local' : 'gitlab',
      hint: `apply or roll back once ${hint}; do not plan again`,
    },
  );
}

/** The plan with the tags of the drift; undefined: that was not asked for, or not all of them can be taken along. */
export async function adopted(
  plan: TransferPlan,
  drift: readonly Drift[],
  run: TransferRun,
): Promise<TransferPlan | undefined> {
  const {adoptNewTags, journal, report} = run.context;
  const tags = adoptNewTags && plan.way === 'staged' ? adoptable(plan, drift) : undefined;
  if (tags === undefined) return undefined;
  for (const {repository, tag} of tags) {
    await journal.append({type: 'adopt', repository, tag});
    const message = `${repository}:${tag} was created or changed after planning, and is included`;
    report({type: 'notice', code: 'TAG_ADOPTED', message});
  }
  return planWithTags(plan, tags, run);
}

async function mayDelete(
  {project, donor}: TransferPlan,
  tags: readonly {readonly repository: string}[],
  {context}: TransferRun,
): Promise<boolean> {
  if (context.mayDelete === undefined) {
    throw new TransshipError(
      'USAGE',
      `the plan deletes the tags of ${project.from}, and there is no terminal to ask at`,
      {side: 'local', hint: 'confirm with --yes; nothing was done'},
    );
  }
  const repositories = new Set(tags.map(({repository}) => repository)).size;
  const question = {tags: tags.length, repositories, project: project.from, donor: donor.path};
  return context.mayDelete(question);
}
