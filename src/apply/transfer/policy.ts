import type {Project} from '../../gitlab/entities.ts';
import {errorData} from '../../model/event.ts';
import type {Call} from '../../model/port.ts';
import {
  type PolicyState,
  possibleSteps,
  type ProjectMove,
  type TransferPlan,
} from '../../model/transfer-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import type {ProjectEnd} from './plan-result.ts';
import {unfreeze} from './rules.ts';
import {
  DONE,
  type PlanRun,
  PRESENT,
  type StepEnd,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';

type Context = Pick<TransferContext, 'gitlab' | 'journal' | 'report'>;

/**
 * Disables the cleanup policy of a project, which could delete images during the move. The journal records the policy
 * first.
 * @returns whether it was enabled
 */
export async function pausePolicy(
  {id, cleanupPolicy}: Project,
  {gitlab, journal}: Context,
  call: Call,
): Promise<boolean> {
  if (cleanupPolicy?.enabled !== true) return false;
  await journal.append({type: 'pause', project: id, policy: {...cleanupPolicy}});
  await gitlab.projects.setCleanupPolicy(id, {enabled: false}, call);
  return true;
}

/**
 * The step `pause`. If the project has left its old path, the step is done: a policy that is enabled then was already
 * restored.
 * @param policy the policy when planning
 */
export async function runPauseStep(
  move: ProjectMove,
  policy: PolicyState,
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  if (progress.where !== 'before') return PRESENT;
  const {journal, gitlab} = context;
  const project = await gitlab.projects.get(move.project.id, call);
  if (await pausePolicy(project, context, call)) return DONE;
  // An earlier run disabled it, and its journal is lost.
  if (!journal.unfinished.paused.has(project.id))
    await journal.append({type: 'pause', project: project.id, policy});
  return PRESENT;
}

/** The step `resume`. It is not repeated: if the policy is disabled afterwards, somebody wanted that. */
export async function runResumeStep(
  {project: {id}}: ProjectMove,
  {context, call}: TransferRun,
): Promise<StepEnd> {
  const {unfinished, transfer} = context.journal;
  const isBack = transfer.some((entry) => entry.type === 'resume' && entry.project === id);
  if (isBack && !unfinished.paused.has(id)) return PRESENT;
  const project = await context.gitlab.projects.get(id, call);
  return (await resumePolicy(id, project, context, call)) ? DONE : PRESENT;
}

/**
 * Restores every policy that this run or an earlier one disabled, once no images are only at a donor: that of a project
 * after its move or if it was not started, and that of a donor if this applies to all of its projects, whatever other
 * projects a journal names. A failure is reported, and does not change the result of the run: the journal still records
 * it.
 */
export async function resumePolicies(
  {moves}: TransferPlan,
  ends: readonly ProjectEnd[],
  {context, call}: PlanRun,
): Promise<void> {
  const tell = (code: string, message: string): void =>
    context.report({type: 'notice', code, message});
  const waiting = new Set(
    ends.filter((end) => !isSettled(end, context)).map(({move}) => move.project.id),
  );
  for (const {move, run} of ends) {
    const isOpen = waiting.has(move.project.id) || run === undefined;
    if (!isOpen && move.steps.some(({kind}) => kind === 'freeze'))
      await unfreeze(move, run).catch((error: unknown) => {
        if (isJournalFailure(error)) throw error;
        const {message} = errorData(error);
        tell('RULES_STAY', `pushes to ${move.project.from} are still frozen: ${message}`);
      });
  }
  for (const id of context.journal.unfinished.paused.keys()) {
    if (waiting.has(id)) continue;
    try {
      const project = await context.gitlab.projects.find(id, call);
      const own = moves.find((move) => move.project.id === id);
      const atDonor = moves.filter(({donor}) => donor.path === project?.fullPath);
      if (own === undefined && atDonor.some((move) => waiting.has(move.project.id))) continue;
      const isOfPlan = own === undefined ? atDonor.length > 0 : hasPolicySteps(own);
      if (project !== undefined && !isOfPlan) {
        const name = project.fullPath;
        tell(
          'POLICY_STAYS_PAUSED',
          `the cleanup policy of ${name} stays disabled: it is not in the plan`,
        );
      } else if (await resumePolicy(id, project, context, call)) {
        tell('POLICY_RESUMED', `the cleanup policy of ${project?.fullPath ?? id} is enabled again`);
      }
    } catch (error) {
      if (isJournalFailure(error)) throw error;
      const {message} = errorData(error);
      tell('POLICY_STAYS_PAUSED', `the cleanup policy of project ${id} stays disabled: ${message}`);
    }
  }
}

function hasPolicySteps(move: ProjectMove): boolean {
  return possibleSteps(move).some(({kind}) => kind === 'pause' || kind === 'resume');
}

/** Whether no images of the project are only at its donor. */
function isSettled({move, run}: ProjectEnd, {journal}: Context): boolean {
  const {id} = move.project;
  if (journal.unfinished.completed.has(id)) return true;
  return run?.progress.where === 'before' && deletedOf(journal.unfinished, id).length === 0;
}

/**
 * Only enables the policy. Its other settings were not changed, and neither a plan nor a journal may choose them.
 * @param project undefined: it was deleted
 * @returns whether it was disabled
 */
async function resumePolicy(
  id: number,
  project: Project | undefined,
  {gitlab, journal}: Context,
  call: Call,
): Promise<boolean> {
  const isOff = project !== undefined && project.cleanupPolicy?.enabled !== true;
  if (isOff) await gitlab.projects.setCleanupPolicy(id, {enabled: true}, call);
  if (journal.unfinished.paused.has(id)) await journal.append({type: 'resume', project: id});
  return isOff;
}
