import type {Digest} from '../../model/digest.ts';
import type {Tag} from '../../model/reference.ts';
import type {Donor, ProjectMove} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {isVacant, listsOnly, removeIfEmpty, removeLayout} from '../../places/layout-directory.ts';
import {TAG_DELETE_CONCURRENCY} from './delete-old.ts';
import {isCreatedDonor, isDonorAwaited, isOwnDirectory} from './donor.ts';
import {DONE, type StepEnd, type TransferContext, type TransferRun} from './transfer-run.ts';

/**
 * Removes from the donor what this plan put there for a project, after all of it was proved to be at the new path.
 * Content that is not recorded as ours is kept and reported: other files and images, and layouts and projects that
 * existed before. A donor of several projects is removed with the last of them.
 */
export async function removeDonor(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  if (move.donor.kind === 'directory') await removeDirectory(move, run);
  else await emptyProject(move, move.donor, run);
  return DONE;
}

async function removeDirectory(move: ProjectMove, run: TransferRun): Promise<void> {
  const {context} = run;
  const {donor, repositories} = move;
  for (const repository of repositories) {
    const layout = repository.donor;
    const directory = context.directoryOf(layout);
    const isGone = isOwnDirectory(layout, context)
      ? await removeOwnLayout(directory, move, repository.tags)
      : await isVacant(directory);
    if (!isGone) tellKept(directory, context);
  }
  if (isDonorAwaited(move, run)) return;
  const directory = context.directoryOf(donor.path);
  if (isOwnDirectory(donor.path, context) && !(await removeIfEmpty(directory)))
    tellKept(directory, context);
}

/** Removes the blobs of the plan by name. @returns false: the layout has other content */
async function removeOwnLayout(
  directory: string,
  {manifests, steps}: ProjectMove,
  tags: readonly {readonly name: Tag}[],
): Promise<boolean> {
  const blobs = steps.flatMap((step) => (step.kind === 'pull' ? step.blobs : []));
  const ours = new Set<Digest>([...manifests, ...blobs].map(({digest}) => digest));
  const names = new Set<string>(tags.map(({name}) => name));
  return (await listsOnly(directory, ours, names)) && (await removeLayout(directory, ours));
}

/** GitLab renames a project before it deletes it, which tags would prevent, so they are deleted first. */
async function emptyProject(
  move: ProjectMove,
  {id, path}: Donor & {readonly kind: 'project'},
  run: TransferRun,
): Promise<void> {
  const {context, call} = run;
  const {projects, repositories: records} = context.gitlab;
  const project = await projects.find(id ?? path, call);
  if (project === undefined) return;
  const isOurs = isCreatedDonor(project, move, context);
  // Neither the plan's ID nor the journal proves that this is the donor, for example if the journal is lost.
  if (!isOurs && project.id !== id) return tellKept(path, context);
  await deleteTags(move, project.id, run);
  if (!isOurs || isDonorAwaited(move, run)) return;
  const left = await records.ofProject(project.id, call);
  const isEmpty = left.every(({tagsCount = 0}) => tagsCount === 0);
  if (isEmpty && project.isRepositoryEmpty !== false) await projects.delete(project.id, call);
  else tellKept(path, context);
}

/** Each tag only if it still points to what this plan pushed, as at the old path. */
async function deleteTags(
  {repositories}: ProjectMove,
  projectId: number,
  {context, call}: TransferRun,
): Promise<void> {
  const records = new Map(
    (await context.gitlab.repositories.ofProject(projectId, call)).map((record) => [
      `${record.registryHost}/${record.path}`,
      record,
    ]),
  );
  const {deletesTags} = await context.traits(call);
  const remove = async (name: string, tag: Tag, digest: Digest): Promise<void> => {
    const repository = context.repositories.destination(name);
    const now = await repository.head(tag, call);
    if (now === undefined) return;
    if (now.digest !== digest) return tellKept(`${name}:${tag}`, context);
    const record = records.get(name);
    if (deletesTags) await repository.deleteTag?.(tag, call);
    else if (record !== undefined) await context.gitlab.repositories.deleteTag(record, tag, call);
  };
  const planned = repositories.flatMap(({donor, tags}) => tags.map((tag) => ({donor, ...tag})));
  await mapAtOnce(planned, TAG_DELETE_CONCURRENCY, ({donor, name, digest}) =>
    remove(donor, name, digest),
  );
}

function tellKept(name: string, {report}: TransferContext): void {
  report({
    type: 'notice',
    code: 'DONOR_KEPT',
    message: `${name} is kept: it contains something that this plan did not put there`,
  });
}
