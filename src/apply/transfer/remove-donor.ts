import {rm, rmdir} from 'node:fs/promises';
import type {Call} from '../../model/port.ts';
import type {Tag} from '../../model/reference.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {parsePlace} from '../../model/place.ts';
import {hasCode} from '../../places/file-error.ts';
import {DELETE_CONCURRENCY} from './delete-old.ts';
import type {TransferContext} from './transfer-context.ts';
import PQueue from 'p-queue';

/**
 * Takes the images away from the donor, once they are proved to be at the new path. What somebody else put there stays:
 * a layout with other tags, a donor project with other images. A donor project that the plan created goes, too.
 */
export async function removeDonor(
  plan: TransferPlan,
  context: TransferContext,
  call: Call,
): Promise<void> {
  if (plan.way !== 'staged') return;
  if (plan.donor.kind === 'directory') await removeLayouts(plan, context, call);
  else await emptyProject(plan, plan.donor, context, call);
}

async function removeLayouts(
  {repositories, donor}: TransferPlan,
  context: TransferContext,
  call: Call,
): Promise<void> {
  for (const {donor: name, tags} of repositories) {
    const place = parsePlace(name);
    const ours = new Set<string>(tags.map((tag) => tag.name));
    const there = (await context.repositories.source(name).listTags(call)) ?? [];
    if (place.transport !== 'oci') continue;
    if (there.some((tag) => !ours.has(tag))) tellKept(name, context);
    else await rm(place.file, {recursive: true, force: true});
  }
  await rmdir(donor.path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'ENOENT')) throw error;
  });
}

/** GitLab renames a project before it deletes it, which tags would keep it from: so they go first. */
async function emptyProject(
  {repositories}: TransferPlan,
  {id, path}: TransferPlan['donor'] & {readonly kind: 'project'},
  context: TransferContext,
  call: Call,
): Promise<void> {
  const {projects, repositories: records} = context.gitlab;
  const project = await projects.find(id ?? path, call);
  if (project === undefined) return;
  const byName = new Map(
    (await records.ofProject(project.id, call)).map((record) => [
      `${record.registryHost}/${record.path}`,
      record,
    ]),
  );
  const {deletesTags} = await context.traits(call);
  const deleteTag = async (name: string, tag: Tag): Promise<void> => {
    const record = byName.get(name);
    if (deletesTags) await context.repositories.destination(name).deleteTag?.(tag, call);
    else if (record !== undefined) await records.deleteTag(record, tag, call);
  };
  const queue = new PQueue({concurrency: DELETE_CONCURRENCY});
  await queue.addAll(
    repositories.flatMap(({donor, tags}) => tags.map((tag) => () => deleteTag(donor, tag.name))),
  );
  const left = await records.ofProject(project.id, call);
  const isEmpty = left.every(({tagsCount = 0}) => tagsCount === 0);
  if (id !== undefined) return;
  if (isEmpty) await projects.delete(project.id, call);
  else tellKept(path, context);
}

function tellKept(name: string, {report}: TransferContext): void {
  report({
    type: 'notice',
    code: 'DONOR_KEPT',
    message: `${name} holds other images, too, and stays`,
  });
}
