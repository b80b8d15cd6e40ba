import {TransshipError} from '../../model/error.ts';
import type {RunEnd} from '../../model/outcome.ts';
import {
  type GroupMove,
  type GroupStep,
  phaseOf,
  type TransferStep,
} from '../../model/transfer-plan.ts';
import {deleteGroupRecords, type GroupUnit} from './delete-group-records.ts';
import {locateGroup, locateProject} from './locate.ts';
import type {ProjectSteps} from './move-project.ts';
import {carryOut, tellEnd} from './run-step.ts';
import {
  DONE,
  type PlanRun,
  PRESENT,
  type ProjectLocation,
  type ProjectRan,
  type StepEnd,
  Tally,
} from './transfer-run.ts';

/** The run of a group. */
export interface GroupRun extends PlanRun {
  readonly unit: GroupUnit;
  readonly progress: {where: ProjectLocation};
}

/** The results of a group and of its projects. */
export interface GroupRan {
  readonly projects: readonly {
    readonly steps: ProjectSteps;
    readonly ran: ProjectRan;
  }[];
  /** The results of the group's own steps. */
  readonly own: ProjectRan;
  readonly result: RunEnd;
}

/**
 * Carries out the move of a group: the images of all projects are pulled and verified before any of them are deleted;
 * then all projects are emptied; then the group moves with its content; then the images are pushed, project by project.
 * If a project fails before the group has moved, the run stops; afterwards, the others are completed.
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function moveGroup(
  projects: readonly ProjectSteps[],
  run: GroupRun,
): Promise<GroupRan> {
  const {group} = run.unit;
  const tally = new Tally();
  const advanceAll = async (isBeyond: (step: TransferStep) => boolean): Promise<boolean> => {
    for (const one of projects) {
      await one.advance(isBeyond);
      if (!one.isWhole) return false;
    }
    return true;
  };
  let last: StepEnd = PRESENT;
  let at = 0;
  const isPulled = await advanceAll((step) => phaseOf(step) !== 'pull');
  if (isPulled && (await advanceAll((step) => phaseOf(step) === 'push'))) {
    for (; at < group.steps.length && isDone(last); at += 1) {
      const step = group.steps[at];
      if (step === undefined) break;
      // The projects have no images at this point, so a limit must not end the run.
      run.context.limits?.lift();
      const told = {id: step.id, images: 0};
      last = await carryOut(told, run, () => handle(step, projects, run));
      tally.add(step.id, last);
    }
    if (isDone(last)) for (const one of projects) await one.advance(() => false);
  }
  for (const {id} of group.steps.slice(at)) {
    tellEnd({id, images: 0}, {outcome: 'not-started'}, run);
    tally.add(id, {end: 'not-started'});
  }
  const ended = projects.map((steps) => ({steps, ran: steps.result()}));
  const own = ownResult(tally, last, at === group.steps.length);
  return {projects: ended, own, result: worstOf(own, ended, projects)};
}

function ownResult(tally: Tally, last: StepEnd, isWhole: boolean): ProjectRan {
  switch (last.end) {
    case 'done':
    case 'present':
      return tally.result(isWhole ? 'done' : 'interrupted');
    case 'failed':
    case 'refused':
      return tally.result('failed');
    case 'drift':
      return tally.result('drift', last.drift);
    case 'interrupted':
    case 'not-started':
      return tally.result('interrupted');
  }
}

/** A project that waits for the others counts as interrupted; the result is that of the others. */
function worstOf(
  own: ProjectRan,
  ended: GroupRan['projects'],
  projects: readonly ProjectSteps[],
): RunEnd {
  const causes = ended.filter((_, at) => projects[at]?.isWhole === false);
  const results = [own, ...causes.map(({ran}) => ran)].map(({result}) => result);
  const isCaused = causes.length > 0 && own.result === 'interrupted';
  const counted = isCaused ? results.slice(1) : results;
  return (
    (['interrupted', 'drift', 'failed'] as const).find((end) => counted.includes(end)) ?? 'done'
  );
}

function isDone({end}: StepEnd): boolean {
  return end === 'done' || end === 'present';
}

async function handle(
  step: GroupStep,
  projects: readonly ProjectSteps[],
  run: GroupRun,
): Promise<StepEnd> {
  if (step.kind === 'delete-records')
    return run.progress.where === 'before'
      ? deleteGroupRecords(unitOf(projects, run), run)
      : PRESENT;
  const end = await changeGroup(run.unit.group, step, run);
  // GitLab moves all projects at once; each is checked, because images are pushed to its path.
  for (const {move, run: own} of projects)
    own.progress.where = await locateProject(move, own.group, run.context, run.call);
  return end;
}

/** The group, with the tags that were included. */
function unitOf(projects: readonly ProjectSteps[], {unit}: GroupRun): GroupUnit {
  return {group: unit.group, moves: projects.map(({move}) => move)};
}

/**
 * Moves the group. The response is not trusted: the group is read again by its ID.
 * @throws TransshipError the errors of `Groups.transfer` and `Groups.changePath`
 */
async function changeGroup(
  group: GroupMove,
  {parentId, path}: Extract<GroupStep, {kind: 'change-group'}>,
  {context, call, progress}: GroupRun,
): Promise<StepEnd> {
  const {groups} = context.gitlab;
  const {id} = group.group;
  const found = await groups.get(id, call);
  const isMoved = parentId === undefined || (found.parentId ?? null) === parentId;
  const isNamed = path === undefined || found.path === path;
  try {
    if (!isMoved) await groups.transfer(id, parentId ?? undefined, call);
    if (!isNamed) await groups.changePath(id, path, call);
  } catch (error) {
    throw error instanceof TransshipError ? explained(error) : error;
  }
  progress.where = await locateGroup(group, context, call);
  if (progress.where === 'before') {
    throw new TransshipError('CHANGE_NOT_SEEN', `group ${id} is still ${found.fullPath}`, {
      side: 'gitlab',
      hint: 'GitLab reported success but did not move it; check the group in GitLab, then apply again',
      retry: true,
    });
  }
  return isMoved && isNamed ? PRESENT : DONE;
}

/** A refusal because of images, with a hint. */
function explained(error: TransshipError): TransshipError {
  const {code, message, side, retry, status, cause} = error;
  if (code !== 'TRANSFER_REPOSITORIES_PRESENT' && code !== 'TRANSFER_TAGS_PRESENT') return error;
  return new TransshipError(code, message, {
    side,
    hint: 'images were pushed to the group, or uploads started, after its repositories were deleted: apply again, or roll back to restore the images',
    retry,
    cause,
    ...(status === undefined ? {} : {status}),
  });
}
