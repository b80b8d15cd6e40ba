import {randomUUID} from 'node:crypto';
import {stat} from 'node:fs/promises';
import type {Project} from '../../gitlab/entities.ts';
import {DONOR_DESCRIPTION} from '../../gitlab/preflight/donor.ts';
import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {Donor, ProjectMove} from '../../model/transfer-plan.ts';
import {isMissing} from '../../places/file-error.ts';
import {isVacant, strangerAmongLayouts} from '../../places/layout-directory.ts';
import {pausePolicy} from './policy.ts';
import {
  DONE,
  plannedNames,
  PRESENT,
  type StepEnd,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';

/** A donor project that the plan creates. */
type NewDonor = Donor & {readonly kind: 'project'; readonly id?: undefined};

/**
 * Before anything is touched: where the plan is to create the donor project, nobody else has done so.
 * @throws TransshipError DRIFT
 */
export async function throwIfDonorTaken(move: ProjectMove, run: TransferRun): Promise<void> {
  if (move.way === 'staged' && isNew(move.donor)) await findOwnDonor(move.donor, move, run);
}

/**
 * Creates the donor project, private and without a cleanup policy at work. What the journal says is ours is not
 * created again.
 * @throws TransshipError DRIFT where somebody else has made it, and what `Projects.create` throws
 */
export async function createDonor(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const {donor} = move;
  if (run.progress.where !== 'before' || !isNew(donor)) return PRESENT;
  if ((await findOwnDonor(donor, move, run)) !== undefined) return PRESENT;
  const {context, call} = run;
  const {path: place, namespaceId} = donor;
  const mark = randomUUID();
  await context.journal.append({type: 'made', what: 'project', place, mark});
  const path = place.slice(place.lastIndexOf('/') + 1);
  const description = `${DONOR_DESCRIPTION} ${mark}`;
  const {id} = await context.gitlab.projects.create(
    {path, namespaceId, visibility: 'private', description},
    call,
  );
  await context.journal.append({type: 'made', what: 'project', place, mark, id});
  return DONE;
}

/**
 * The donor project if this plan created it; undefined: there is none. Ours is what has the mark that the journal names.
 * A project that has what is gone from the old path is the donor too, though nothing tells any more that it is ours, so
 * that it is not removed in the end.
 * @throws TransshipError DRIFT where another project is there
 */
async function findOwnDonor(
  {path}: NewDonor,
  {repositories}: ProjectMove,
  {context, call, tagsAtDonor}: TransferRun,
): Promise<Project | undefined> {
  const found = await context.gitlab.projects.find(path, call);
  // GitLab answers for a path that a project had before with where it is now.
  if (found?.fullPath.toLowerCase() !== path.toLowerCase()) return undefined;
  const made = context.journal.transfer.flatMap((entry) =>
    entry.type === 'made' && entry.what === 'project' && entry.place === path ? [entry] : [],
  );
  const marked = made.findLast(({mark}) => mark !== undefined && found.description?.endsWith(mark));
  if (marked === undefined) {
    // What the journal says beyond the plan, nobody has compared with the registry.
    const names = new Set([...tagsAtDonor, ...repositories.flatMap(plannedNames)]);
    if ([...context.journal.unfinished.deleted.keys()].some((name) => names.has(name)))
      return found;
    throw donorTaken(found);
  }
  if (marked.id === undefined) await context.journal.append({...marked, id: found.id});
  return found;
}

/**
 * Makes sure that there is a place to pull to, and writes down what of it is made now.
 * @throws TransshipError PROJECT_NOT_FOUND where the donor was deleted since, DONOR_UNFIT where somebody put other
 *   files into its directory
 */
export async function prepareDonor(move: ProjectMove, run: TransferRun): Promise<void> {
  const {donor, repositories} = move;
  const {context, call} = run;
  if (donor.kind === 'project') {
    const project = isNew(donor)
      ? await findOwnDonor(donor, move, run)
      : await context.gitlab.projects.find(donor.id ?? donor.path, call);
    if (project?.fullPath.toLowerCase() !== donor.path.toLowerCase()) throw donorGone(donor);
    await pausePolicy(project, context, call);
    return;
  }
  const directory = context.directoryOf(donor.path);
  const stranger = await strangerAmongLayouts(directory);
  if (stranger !== undefined) throw donorUnfit(donor.path, stranger);
  if (!(await isThere(directory))) await noteDirectory(donor.path, context);
  for (const {donor: layout} of repositories)
    if (await isVacant(context.directoryOf(layout))) await noteDirectory(layout, context);
}

/**
 * Whether the donor can be asked: the registry answers nobody for a project that is not there, and a directory may be
 * on another machine, also where a run has made part of it anew.
 */
export async function isDonorThere(
  {donor, repositories}: ProjectMove,
  {
    context,
    call,
  }: {readonly context: Pick<TransferContext, 'gitlab' | 'directoryOf'>; readonly call: Call},
): Promise<boolean> {
  if (donor.kind === 'directory') {
    const layouts = repositories.map((repository) => context.directoryOf(repository.donor));
    const vacant = await Promise.all(layouts.map(isVacant));
    return !vacant.includes(true);
  }
  return (await context.gitlab.projects.find(donor.id ?? donor.path, call)) !== undefined;
}

/**
 * Whether this plan created its donor project, so that it may be deleted. The journal alone does not decide that, since
 * somebody may have written it: the project has to have the mark that the journal names, and to be where the plan says.
 */
export function isCreatedDonor(
  {id, fullPath, description}: Project,
  {donor}: ProjectMove,
  {journal}: Pick<TransferContext, 'journal'>,
): boolean {
  return (
    isNew(donor) &&
    fullPath.toLowerCase() === donor.path.toLowerCase() &&
    journal.transfer.some(
      (entry) =>
        entry.type === 'made' &&
        entry.what === 'project' &&
        entry.id === id &&
        entry.mark !== undefined &&
        description?.endsWith(entry.mark) === true,
    )
  );
}

/** Whether other projects of the plan have yet to come to this donor, or have their images there still. */
export function isDonorAwaited({project}: ProjectMove, {atDonor, finished}: TransferRun): boolean {
  return [...atDonor].some((id) => id !== project.id && !finished.has(id));
}

/** Whether this plan made the donor's directory, or a layout in it. */
export function isOwnDirectory(
  place: string,
  {journal}: Pick<TransferContext, 'journal'>,
): boolean {
  return journal.transfer.some(
    (entry) => entry.type === 'made' && entry.what === 'directory' && entry.place === place,
  );
}

/**
 * The donor is out of reach, though images wait there: a directory on another machine, a project that the token cannot
 * see.
 * @param way what else there is to do, as a clause after the hint; the images cannot be put back once the project has moved
 */
export function donorAbsent(
  {donor}: ProjectMove,
  {directoryOf}: Pick<TransferContext, 'directoryOf'>,
  way = '',
): TransshipError {
  return donor.kind === 'directory'
    ? new TransshipError(
        'DONOR_ABSENT',
        `the donor directory ${directoryOf(donor.path)} is not on this machine`,
        {
          side: 'local',
          hint: `run this on the machine that has the directory, or bring the directory here${way}`,
        },
      )
    : new TransshipError(
        'DONOR_ABSENT',
        `the donor is the project ${donor.path}, which this token cannot see`,
        {
          side: 'gitlab',
          hint: `use a token that may read and write that project, and run this again${way}`,
        },
      );
}

async function noteDirectory(place: string, context: TransferContext): Promise<void> {
  if (!isOwnDirectory(place, context))
    await context.journal.append({type: 'made', what: 'directory', place});
}

function isNew(donor: Donor): donor is NewDonor {
  return donor.kind === 'project' && donor.id === undefined;
}

async function isThere(directory: string): Promise<boolean> {
  try {
    await stat(directory);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function donorTaken({id, fullPath}: Project): TransshipError {
  return new TransshipError(
    'DRIFT',
    `project ${id} is at ${fullPath}, and this plan did not create it`,
    {
      side: 'gitlab',
      hint: "nothing was done. Plan again: with it as the donor if that is right, else with another one. If an earlier run of this move created it, pass that run's journal with --journal",
    },
  );
}

function donorGone({path}: Donor): TransshipError {
  return new TransshipError('PROJECT_NOT_FOUND', `the donor project ${path} is not there`, {
    side: 'gitlab',
    hint: 'it was deleted or moved since planning; plan again',
  });
}

function donorUnfit(directory: string, stranger: string): TransshipError {
  return new TransshipError(
    'DONOR_UNFIT',
    `found ${stranger}: the donor directory ${directory} contained nothing but image layouts when planning`,
    {side: 'local', hint: 'move that away, then apply again; or plan with another directory'},
  );
}
