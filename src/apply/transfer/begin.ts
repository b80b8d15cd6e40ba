import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {ProjectMove} from '../../model/transfer-plan.ts';
import {adoptable, moveWithTags} from './adopt-tags.ts';
import {donorAbsent, isDonorThere, throwIfDonorTaken} from './donor.ts';
import {oldName, readOldTags} from './delete-old.ts';
import type {TransferContext, TransferRun} from './transfer-run.ts';
import {throwIfTaken} from './locate.ts';

/** The move to carry out and the tags to delete at the old path, or the reason that prevents it. */
export type Begun =
  | {readonly move: ProjectMove; readonly deletes: readonly {readonly repository: string}[]}
  | {readonly drift: readonly Drift[]};

/**
 * Checks a project at its old path before the first step: the new path is free, nobody else has created the donor
 * project, and the tags are as planned. Changes nothing.
 * @throws TransshipError NAME_TAKEN; DRIFT for the donor project; DONOR_ABSENT
 */
export async function begin(move: ProjectMove, run: TransferRun): Promise<Begun> {
  if (run.group === undefined) await throwIfTaken(move, run.context, run.call);
  if (run.progress.isLeftBehind) return {move, deletes: []};
  const {planned, drift} = await readOldTags(move, run);
  await throwIfDonorAbsent(move, drift, run);
  await throwIfDonorTaken(move, run);
  const whole = drift.length === 0 ? move : await adopted(move, drift, run);
  if (whole === undefined) return {drift};
  const isDeleting = move.steps.some(({kind}) => kind === 'delete-old');
  return {move: whole, deletes: isDeleting ? [...planned, ...drift] : []};
}

/** Asks once for all of these projects. @throws TransshipError USAGE if nobody can be asked */
export async function mayDeleteTags(
  deleting: readonly {
    readonly planned: ProjectMove;
    readonly deletes: readonly {readonly repository: string}[];
  }[],
  {mayDelete}: Pick<TransferContext, 'mayDelete'>,
): Promise<boolean> {
  if (deleting.length === 0) return true;
  const projects = deleting.map(({planned}) => planned.project.from);
  const tags = deleting.flatMap(({deletes}) => deletes);
  if (mayDelete === undefined) {
    throw new TransshipError(
      'USAGE',
      `the plan deletes the tags of ${projects.join(', ')}, and there is no terminal to ask at`,
      {side: 'local', hint: 'confirm with --yes; nothing was done'},
    );
  }
  return mayDelete({
    tags: tags.length,
    repositories: new Set(tags.map(({repository}) => repository)).size,
    projects,
    donors: [...new Set(deleting.map(({planned}) => planned.donor.path))],
  });
}

/**
 * Tags that an earlier run deleted are not drift, even if the donor cannot be read: a new plan would leave them behind.
 */
async function throwIfDonorAbsent(
  move: ProjectMove,
  drift: readonly Drift[],
  run: TransferRun,
): Promise<void> {
  const {deleted} = run.context.journal.unfinished;
  const isDeleted = ({repository, tag}: Drift): boolean =>
    deleted.has(oldName({repository: run.journalName(repository), tag}));
  const lost = drift.filter((one) => one.actual === null && isDeleted(one));
  if (lost.length === 0) return;
  if (!(await isDonorThere(move, run))) {
    const way =
      ', and do not plan again; "transship rollback" restores what the registry still has';
    throw donorAbsent(move, run.context, way);
  }
  const {donor, project} = move;
  const [where, hint] =
    donor.kind === 'directory'
      ? [`the directory ${donor.path}, which does not have them`, 'the right directory is here']
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

/** The move with the tags of the drift; undefined: the user did not ask for that, or some cannot be included. */
export async function adopted(
  move: ProjectMove,
  drift: readonly Drift[],
  run: TransferRun,
): Promise<ProjectMove | undefined> {
  const {adoptNewTags, journal, report} = run.context;
  const tags = adoptNewTags && move.way === 'staged' ? adoptable(move, drift) : undefined;
  if (tags === undefined) return undefined;
  for (const {repository, tag} of tags) {
    const name = run.journalName(repository);
    await journal.append({type: 'adopt', project: move.project.id, repository: name, tag});
    const message = `${repository}:${tag} was created or changed after planning, and is included`;
    report({type: 'notice', code: 'TAG_ADOPTED', message});
  }
  return moveWithTags(move, tags, run);
}
