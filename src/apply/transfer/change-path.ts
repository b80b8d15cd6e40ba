import {TransshipError} from '../../model/error.ts';
import type {TransferPlan, TransferStep} from '../../model/transfer-plan.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';
import {whereabouts} from './whereabouts.ts';

type ChangePath = Extract<TransferStep, {kind: 'change-path'}>;

/**
 * Moves the project. GitLab's answer is not trusted: the project is read again, by id.
 * @throws TransshipError what `Projects.transfer` and `Projects.changePath` throw
 */
export async function changePath(
  plan: TransferPlan,
  {namespaceId, path}: ChangePath,
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  const {projects} = context.gitlab;
  const {id} = plan.project;
  let project = await projects.get(id, call);
  const isMoved = namespaceId === undefined || project.namespace.id === namespaceId;
  const isNamed = path === undefined || project.path === path;
  if (!isMoved) project = await projects.transfer(id, namespaceId, call);
  if (!isNamed) project = await projects.changePath(id, path, call);
  progress.where = await whereabouts(plan, context, call);
  if (progress.where === 'before') {
    throw new TransshipError('CHANGE_NOT_SEEN', `project ${id} is still ${project.fullPath}`, {
      side: 'gitlab',
      hint: 'GitLab told of success and did not move it: look at it there, then apply again',
      retry: true,
    });
  }
  return isMoved && isNamed ? PRESENT : DONE;
}
