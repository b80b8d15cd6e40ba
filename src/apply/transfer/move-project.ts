import type {ProjectMove, TransferStep} from '../../model/transfer-plan.ts';
import {deletedOf} from '../unfinished.ts';
import {adopted} from './begin.ts';
import {changePath} from './change-path.ts';
import {deleteOld} from './delete-old.ts';
import {createDonor} from './donor.ts';
import {verifyDonor, verifyTarget} from './verify-place.ts';
import {runPauseStep, runResumeStep} from './policy.ts';
import {freeze, moveRules, tellOldRules, unfreeze} from './rules.ts';
import {probe, pull, push, retag} from './pull-retag-push.ts';
import {removeDonor} from './remove-donor.ts';
import {isForDonor, otherWay} from './native-way.ts';
import {carryOut, endOf, tellEnd} from './run-step.ts';
import {type ProjectRan, type StepEnd, Tally, type TransferRun} from './transfer-run.ts';

/** How often tags are included that are pushed while the old path is emptied; more often means continuous pushes. */
const ADOPTION_LIMIT = 5;

/**
 * Carries out the move of a project step by step; each step is proved before the next one. Records of earlier runs are
 * not trusted: each step determines what is left to do, so that another run continues wherever the last one ended.
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function moveProject(move: ProjectMove, run: TransferRun): Promise<ProjectSteps> {
  const steps = new ProjectSteps(move, run);
  await steps.advance(() => false);
  return steps;
}

/** The steps of a project. A group carries them out in parts, interleaved with those of its other projects. */
export class ProjectSteps {
  readonly run: TransferRun;
  #move: ProjectMove;
  readonly #tally = new Tally();
  #last: StepEnd = {end: 'present'};
  #at = 0;
  #adoptions = 0;

  constructor(move: ProjectMove, run: TransferRun) {
    this.#move = move;
    this.run = run;
  }

  /** The move with the tags that were included, and by way of the donor if GitLab did not move the images. */
  get move(): ProjectMove {
    return this.#move;
  }

  /** Whether all steps so far are done. */
  get isWhole(): boolean {
    return this.#last.end === 'done' || this.#last.end === 'present';
  }

  /**
   * Carries out the steps before the first one for which `isBeyond` is true, as long as each is done.
   * @throws TransshipError JOURNAL_WRITE_FAILED
   */
  async advance(isBeyond: (step: TransferStep) => boolean): Promise<void> {
    for (; this.isWhole; this.#at += 1) {
      const step = this.#move.steps[this.#at];
      if (step === undefined || isBeyond(step)) return;
      this.#last = await runStep(this.#move, step, this.run);
      this.#tally.add(step.id, this.#last);
      if (step.kind === 'delete-old' && this.#last.end === 'drift') await this.#adopt(this.#last);
      if (this.#last.end === 'refused') await this.#fallBack(step, this.#last);
    }
  }

  /** New tags have to be pulled and verified before anything else is deleted. */
  async #adopt({drift}: Extract<StepEnd, {end: 'drift'}>): Promise<void> {
    if (this.#adoptions >= ADOPTION_LIMIT) return;
    const extended = await adopted(this.#move, drift, this.run);
    if (extended === undefined) return;
    this.#move = extended;
    this.run.progress.isDonorProved = false;
    this.#adoptions += 1;
    this.#last = {end: 'done'};
    this.#at = extended.steps.findIndex(({kind}) => kind === 'pull') - 1;
  }

  /** Continues with the first step of the fallback. */
  async #fallBack(step: TransferStep, {error}: Extract<StepEnd, {end: 'refused'}>): Promise<void> {
    const other = await otherWay(this.#move, error, this.run).catch((thrown: unknown) => ({
      end: endOf(thrown, this.run),
    }));
    if ('end' in other) {
      this.#last = other.end;
      this.#tally.add(step.id, other.end);
      return;
    }
    this.#move = other.move;
    this.#at = -1;
    this.#last = {end: 'present'};
  }

  /** The results of the project; remaining steps are reported as not started. */
  result(): ProjectRan {
    const left = this.#move.steps.slice(this.#at);
    for (const step of left) {
      const subject = {id: step.id, images: imagesOf(step)};
      tellEnd(subject, {outcome: 'not-started'}, this.run);
      this.#tally.add(step.id, {end: 'not-started'});
    }
    const last = this.#last;
    switch (last.end) {
      case 'done':
      case 'present':
        return this.#tally.result(left.length === 0 ? 'done' : 'interrupted');
      case 'interrupted':
      case 'not-started':
        return this.#tally.result('interrupted');
      case 'failed':
      case 'refused':
        return this.#tally.result('failed');
      case 'drift':
        return this.#tally.result('drift', last.drift);
    }
  }
}

async function runStep(move: ProjectMove, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  // A limit must not leave the project without its images, or between two paths. Deletions of an earlier run are known
  // at this point, even if its journal is lost.
  const isIrreversible = step.kind === 'delete-old' || step.kind === 'change-path';
  const isStopping = run.interruption.stopping.aborted;
  if (!isStopping && (isIrreversible || !isUntouched(move, run))) run.context.limits?.lift();
  return carryOut({id: step.id, images: imagesOf(step)}, run, () =>
    move.fallback === undefined ? handle(move, step, run) : handleNative(move, step, run),
  );
}

/** If GitLab refuses a step because of images, the fallback is used. */
async function handleNative(
  move: ProjectMove,
  step: TransferStep,
  run: TransferRun,
): Promise<StepEnd> {
  const end = await handle(move, step, run).catch((error: unknown) => endOf(error, run));
  if (end.end !== 'failed' || !(await isForDonor(move, step, end.error, run))) return end;
  return {end: 'refused', error: end.error};
}

function isUntouched({project}: ProjectMove, {context, progress}: TransferRun): boolean {
  const deleted = deletedOf(context.journal.unfinished, project.id);
  return progress.where === 'before' && deleted.length === 0;
}

async function handle(move: ProjectMove, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  switch (step.kind) {
    case 'create-donor':
      return createDonor(move, run);
    case 'pause':
      return runPauseStep(move, step.policy, run);
    case 'pull':
      return pull(move, step, run);
    case 'verify':
      return step.at === 'donor' ? verifyDonor(move, run) : await verifyMoved(move, run);
    case 'probe':
      return probe(move, step, run);
    case 'delete-old':
      return deleteOld(move, run);
    case 'change-path':
      return changePath(move, step, run);
    case 'retag':
      return retag(move, run);
    case 'push':
      return push(move, step, run);
    case 'freeze':
      return freeze(move, step.patterns, run);
    case 'unfreeze':
      return unfreeze(move, run);
    case 'move-rules':
      return moveRules(move, step.rules, run);
    case 'resume':
      return runResumeStep(move, run);
    case 'remove-donor':
      return removeDonor(move, run);
  }
}

async function verifyMoved(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const end = await verifyTarget(move, run);
  if (end.end === 'done') await tellOldRules(move, run);
  return end;
}

function imagesOf(step: TransferStep): number {
  return step.kind === 'pull' || step.kind === 'push' ? step.copies.length : 0;
}
