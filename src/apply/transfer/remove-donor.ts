import type {Digest} from '../../model/digest.ts';
import type {Tag} from '../../model/reference.ts';
import type {Donor, ProjectMove} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {isVacant, listsOnly, removeIfEmpty, removeLayout} from '../../places/layout-directory.ts';
import {TAG_DELETE_CONCURRENCY} from './delete-old.ts';
import {isCreatedDonor, isDonorAwaited, isOwnDirectory} from './donor.ts';
import {DONE, type StepEnd, type TransferContext, type TransferRun} from './transfer-run.ts';

/**
 * Takes away from the donor what this plan put there for a project, once all of it is proved to be at the new path. What
 * the journal does not name as ours stays, and is told: other files and images, layouts and projects that were there
 * before. A donor of several projects goes with the last of them.
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

/** By name: of the blobs those of the plan. False: something else is there as well. */
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

/** GitLab renames a project before it deletes it, which tags would keep it from: so they go first. */
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
  // What a lost journal named is not ours to touch.
  if (!isOurs && project.id !== id) return tellKept(path, context);
  await deleteTags(move, project.id, run);
  if (!isOurs || isDonorAwaited(move, run)) return;
  const left = await records.ofProject(project.id, call);
  const isEmpty = left.every(({tagsCount = 0}) => tagsCount === 0);
  if (isEmpty && project.isRepositoryEmpty !== false) await projects.delete(project.id, call);
  else tellKept(path, context);
}

/** Each only if it still points to what this plan put there, as at the old path. */
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
    message: `${name} stays: it contains something that this plan did not put there`,
  });
}
