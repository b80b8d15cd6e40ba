import PQueue from 'p-queue';
import type {StepResult} from '../model/outcome.ts';
import {interrupted, isInterrupted} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {CreateStep} from '../model/plan.ts';
import {absentRepository, type Call, type ReadRepositories} from '../model/port.ts';
import {mapAtOnce, settleAll} from '../observe/at-once.ts';
import {isInside} from '../plan/create-steps.ts';
import type {CopyContext, Interruption} from './apply-context.ts';

/** Creates groups and projects at GitLab. */
export interface Namespaces {
  /** Whether the group or project of a step exists. */
  exists(step: CreateStep, call: Call): Promise<boolean>;
  /** Creates it. @throws TransshipError NAME_TAKEN, NAME_RESERVED, FORBIDDEN, GROUP_NOT_FOUND */
  create(step: CreateStep, call: Call): Promise<void>;
}

/** Concurrent requests to GitLab's API, which limits them for each user. */
const AT_ONCE = 8;

/** The steps whose group or project does not exist, in order. */
export async function missingOf(
  steps: readonly CreateStep[],
  namespaces: Namespaces,
  call: Call,
): Promise<readonly CreateStep[]> {
  const exist = await mapAtOnce(steps, AT_ONCE, (step) => namespaces.exists(step, call));
  return steps.filter((_step, at) => exist[at] === false);
}

/** The repositories, of which those in missing projects are empty: a registry would answer that access is denied. */
export function withAbsent(
  repositories: ReadRepositories,
  missing: readonly CreateStep[],
): ReadRepositories {
  return {
    source: (name) => repositories.source(name),
    destination: (name) =>
      missing.some((step) => isInside(name, step))
        ? absentRepository(name)
        : repositories.destination(name),
  };
}

/**
 * Creates missing groups and projects, parents first. A failure skips its children, and with `stop` everything after
 * it.
 */
export async function runCreations(
  steps: readonly CreateStep[],
  missing: readonly CreateStep[],
  namespaces: Namespaces,
  {journal, report, settings}: CopyContext,
  {stopping, aborted}: Interruption,
): Promise<readonly StepResult[]> {
  const results = new Map<string, Promise<StepResult>>();
  const wanted = new Set(missing);
  let hasFailed = false;
  const resultOf = async (step: CreateStep): Promise<StepResult> => {
    const {id, needs} = step;
    if (!wanted.has(step)) return {id, outcome: 'present'};
    // The steps it needs are before it in the queue and never wait for it.
    const before = await Promise.all(needs.flatMap((need) => results.get(need) ?? []));
    const error = before.find(({error: failed}) => failed)?.error;
    if (error !== undefined) return {id, outcome: 'blocked', error};
    const isStopped = settings.onFailure === 'stop' && hasFailed;
    const isLeft = before.some(({outcome}) => outcome === 'not-started');
    if (stopping.aborted || isStopped || isLeft) return {id, outcome: 'not-started'};
    report({type: 'step-started', step: id});
    try {
      await namespaces.create(step, {signal: aborted, stopping});
      return {id, outcome: 'done'};
    } catch (thrown) {
      const failure = aborted.aborted ? interrupted() : thrown;
      if (isInterrupted(failure)) return {id, outcome: 'not-started'};
      hasFailed = true;
      return {id, outcome: 'failed', error: errorData(failure)};
    }
  };
  const queue = new PQueue({concurrency: AT_ONCE});
  for (const step of steps) {
    const result = queue.add(async () => {
      const ended = await resultOf(step);
      const {id, outcome, error} = ended;
      if (outcome === 'done' || outcome === 'present') journal.note({type: 'step', id, outcome});
      else if (outcome === 'failed' && error)
        await journal.append({type: 'step', id, outcome, error});
      report({type: 'step-ended', step: id, outcome, isBeside: true, ...(error ? {error} : {})});
      return ended;
    });
    results.set(step.id, result);
  }
  await settleAll([...results.values()]);
  return await Promise.all(results.values());
}
