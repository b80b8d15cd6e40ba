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
 * Checks, before any change, that nobody else has created the donor project that the plan is to create.
 * @throws TransshipError DRIFT
 */
export async function throwIfDonorTaken(move: ProjectMove, run: TransferRun): Promise<void> {
  if (move.way === 'staged' && isNew(move.donor)) await findOwnDonor(move.donor, move, run);
}

/**
 * Creates the donor project, private and with its cleanup policy disabled. If the journal shows that this plan created
 * it, it is not created again.
 * @throws TransshipError DRIFT if somebody else created it, and the errors of `Projects.create`
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
 * The donor project, if this plan created it; undefined: it does not exist. It is ours if it has the mark in the
 * journal. A project with the tags that are gone from the old path is the donor as well; since nothing proves that it
 * is ours, it is not removed in the end.
 * @throws TransshipError DRIFT if another project is there
 */
async function findOwnDonor(
  {path}: NewDonor,
  {repositories}: ProjectMove,
  {context, call, tagsAtDonor}: TransferRun,
): Promise<Project | undefined> {
  const found = await context.gitlab.projects.find(path, call);
  // GitLab redirects from earlier paths of a project.
  if (found?.fullPath.toLowerCase() !== path.toLowerCase()) return undefined;
  const made = context.journal.transfer.flatMap((entry) =>
    entry.type === 'made' && entry.what === 'project' && entry.place === path ? [entry] : [],
  );
  const marked = made.findLast(({mark}) => mark !== undefined && found.description?.endsWith(mark));
  if (marked === undefined) {
    // Tags that only the journal names were never compared with the registry.
    const names = new Set([...tagsAtDonor, ...repositories.flatMap(plannedNames)]);
    if ([...context.journal.unfinished.deleted.keys()].some((name) => names.has(name)))
      return found;
    throw donorTaken(found);
  }
  if (marked.id === undefined) await context.journal.append({...marked, id: found.id});
  return found;
}

/**
 * Ensures that there is a place to pull to, and records what is created for that.
 * @throws TransshipError PROJECT_NOT_FOUND if the donor was deleted since, DONOR_UNFIT if its directory contains other
 *   files
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
 * Whether the donor can be read: the registry refuses requests for a project that does not exist, and a directory may
 * be on another machine, even if a run has created part of it again.
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
 * Whether this plan created its donor project, so that it may delete it. The journal may be forged, so it does not
 * decide alone: the project must have the mark in the journal, and be at the path in the plan.
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

/** Whether other projects of the plan still need this donor, or still have their images there. */
export function isDonorAwaited({project}: ProjectMove, {atDonor, finished}: TransferRun): boolean {
  return [...atDonor].some((id) => id !== project.id && !finished.has(id));
}

/** Whether this plan created the donor's directory, or a layout in it. */
export function isOwnDirectory(
  place: string,
  {journal}: Pick<TransferContext, 'journal'>,
): boolean {
  return journal.transfer.some(
    (entry) => entry.type === 'made' && entry.what === 'directory' && entry.place === place,
  );
}

/**
 * The error for a donor that cannot be reached although it has images: a directory on another machine, or a project
 * that the token cannot read.
 * @param way another solution, as a clause after the hint; images cannot be restored after the project has moved
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
          hint: `run this on the machine that has the directory, or copy the directory here${way}`,
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
    {side: 'local', hint: 'move it away, then apply again; or plan with another directory'},
  );
}
