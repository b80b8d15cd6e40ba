import {pause} from '../../http/retry.ts';
import {TransshipError} from '../../model/error.ts';
import {errorData, type ErrorData} from '../../model/event.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import type {Tag} from '../../model/reference.ts';
import {
  byDonor,
  type ProjectMove,
  type TransferRepository,
  type TransferStep,
} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../../observe/observe-source.ts';
import type {JournalEntry} from '../journal-file.ts';
import {begin, type Begun, mayDeleteTags} from './begin.ts';
import {changePath, isAboutImages} from './change-path.ts';
import {isDonorThere} from './donor.ts';
import {locateProject} from './locate.ts';
import {reversedUnit} from './reversed-unit.ts';
import {carryOut} from './run-step.ts';
import {OTHER_WAY_ROUND, type StepEnd, type TransferRun} from './transfer-run.ts';

/**
 * The move as it is carried out: a native move uses the donor once GitLab has failed to move the images itself, in both
 * directions. Without a journal, tags that only the donor has show that.
 */
export async function wayOfRun(move: ProjectMove, run: TransferRun): Promise<ProjectMove> {
  const staged = byDonor(move);
  if (staged === undefined) return move;
  const known = wayByJournal(move, run.context.journal.transfer);
  if (known !== move) return known;
  return (await isHeldAtDonor(staged, run)) ? staged : move;
}

/** The same, based on the journal alone. */
export function wayByJournal(move: ProjectMove, entries: readonly JournalEntry[]): ProjectMove {
  const isTaken = entries.some(
    (entry) => entry.type === 'fallback' && entry.project === move.project.id,
  );
  return (isTaken ? byDonor(move) : undefined) ?? move;
}

/**
 * Whether GitLab moved the project and left its images behind: none of the planned tags is at the current path. They
 * are at the other path in the registry, but tokens exist only for paths of projects.
 */
export async function isLeftBehind(move: ProjectMove, run: TransferRun): Promise<boolean> {
  const missing = await missingTags(move, run);
  const planned = move.repositories.reduce((sum, {tags}) => sum + tags.length, 0);
  return planned > 0 && missing.reduce((sum, {tags}) => sum + tags.length, 0) === planned;
}

async function isHeldAtDonor(move: ProjectMove, run: TransferRun): Promise<boolean> {
  const missing = (await missingTags(move, run)).filter(({tags}) => tags.length > 0);
  if (missing.length === 0 || !(await isDonorThere(move, run))) return false;
  const {repositories} = run.context;
  const held = await mapAtOnce(missing, OBSERVE_CONCURRENCY, async ({donor, tags}) => {
    const at = repositories.destination(donor);
    const listed = new Set<string>((await at.listTags(run.call)) ?? []);
    for (const {name, digest} of tags)
      if (listed.has(name) && (await at.head(name, run.call))?.digest === digest) return true;
    return false;
  });
  return held.includes(true);
}

/** The planned tags that are not listed at the current path of the project. */
async function missingTags(
  {project: {id, from}, repositories}: ProjectMove,
  {context, call}: TransferRun,
): Promise<readonly TransferRepository[]> {
  const {fullPath} = await context.gitlab.projects.get(id, call);
  return await mapAtOnce(repositories, OBSERVE_CONCURRENCY, async (repository) => {
    const [host = ''] = repository.from.split('/');
    const below = repository.from.slice(`${host}/${registryPathOf(from)}`.length);
    const at = context.repositories.source(`${host}/${registryPathOf(fullPath)}${below}`);
    const listed = new Set<Tag | string>((await at.listTags(call)) ?? []);
    return {...repository, tags: repository.tags.filter(({name}) => !listed.has(name))};
  });
}

/** Whether a step of a native move failed because GitLab does not move these images itself. */
export async function isForDonor(
  move: ProjectMove,
  step: TransferStep,
  error: ErrorData,
  run: TransferRun,
): Promise<boolean> {
  if (step.kind === 'change-path') return isAboutImages(error);
  return step.kind === 'verify' && (await isLeftBehind(move, run));
}

/**
 * Starts the fallback at the old path. A project that has left it is moved back first, because its images can be read
 * only there. Drift, or a no to the deletion, ends the run instead.
 * @param why the error that shows that GitLab did not move the images
 * @throws TransshipError the reason that prevents moving the project back
 */
export async function otherWay(
  move: ProjectMove,
  why: ErrorData,
  run: TransferRun,
): Promise<{readonly move: ProjectMove} | {readonly end: StepEnd}> {
  const staged = byDonor(move) ?? move;
  const {context, progress} = run;
  const {id, from} = move.project;
  const reason = progress.where === 'before' ? why.message : 'it moved the project without them';
  context.report({
    type: 'notice',
    code: 'NATIVE_MOVE_FAILED',
    message: `GitLab does not move the images of ${from} itself (${reason}); they are moved by way of the donor ${move.donor.path}`,
  });
  if (progress.where !== 'before') {
    const end = await moveBack(move, run);
    if (end !== undefined) return {end};
  }
  const begun = await begunAtOld(staged, run);
  if ('drift' in begun) return {end: {end: 'drift', drift: begun.drift}};
  if (begun.deletes.length > 0) {
    if (context.mayDelete === undefined) return {end: {end: 'failed', error: nobodyToAsk(why)}};
    if (!(await mayDeleteTags([{planned: staged, deletes: begun.deletes}], context)))
      return {end: {end: 'not-started'}};
  }
  await context.journal.append({type: 'fallback', project: id});
  return {move: begun.move};
}

/** @returns the end of a failed step; undefined: the project is at its old path again */
async function moveBack(move: ProjectMove, run: TransferRun): Promise<StepEnd | undefined> {
  const {context, call, progress} = run;
  const [back] = (await reversedUnit({moves: [move]}, context, call).catch(stuck(move))).moves;
  if (back === undefined) return undefined;
  const reversed = {...run, progress: {...progress, where: OTHER_WAY_ROUND[progress.where]}};
  for (const step of back.steps) {
    if (step.kind !== 'change-path') continue;
    const end = await carryOut({id: step.id, images: 0}, reversed, () =>
      changePath(back, step, reversed),
    );
    if (end.end !== 'done' && end.end !== 'present') return end;
  }
  progress.where = await locateProject(move, undefined, context, call);
  return undefined;
}

function stuck({project: {from, to}}: ProjectMove): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof TransshipError)) throw error;
    const {code, message, side, cause} = error;
    throw new TransshipError(
      code,
      `GitLab moved the project to ${to} and left its images at ${from} in the registry, where no project owns them; ${message}`,
      {
        side,
        hint: 'remove the obstacle, then apply or roll back: both move the project back to its images',
        cause,
      },
    );
  };
}

/** GitLab may take a moment to move images back. */
async function begunAtOld(move: ProjectMove, run: TransferRun): Promise<Begun> {
  const {everyMs, limitMs} = run.context.patience;
  for (let waitedMs = 0; ; waitedMs += everyMs) {
    const begun = await begin(move, run);
    const isWaiting = 'drift' in begun && begun.drift.some(({actual}) => actual === null);
    if (!isWaiting || waitedMs >= limitMs) return begun;
    await pause(everyMs, run.reading.signal);
  }
}

function nobodyToAsk({message}: ErrorData): ErrorData {
  return errorData(
    new TransshipError('USAGE', `${message}; by way of the donor, the plan deletes tags`, {
      side: 'local',
      hint: 'there is no terminal to ask at: confirm with --yes. All images are at the old path',
    }),
  );
}
