import type {StepResult} from '../model/outcome.ts';
import {interrupted, isInterrupted} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {CreateStep} from '../model/plan.ts';
import {absentRepository, type Call, type ReadRepositories} from '../model/port.ts';
import {isInside} from '../plan/create-steps.ts';
import type {CopyContext, Interruption} from './apply-context.ts';

/** Where groups and projects are: GitLab. */
export interface Namespaces {
  /** Whether there is what a step creates. */
  exists(step: CreateStep, call: Call): Promise<boolean>;
  /** @throws TransshipError NAME_TAKEN, NAME_RESERVED, FORBIDDEN, GROUP_NOT_FOUND */
  create(step: CreateStep, call: Call): Promise<void>;
}

/** Those that do not exist, in their order. */
export async function missingOf(
  steps: readonly CreateStep[],
  namespaces: Namespaces,
  call: Call,
): Promise<readonly CreateStep[]> {
  const missing: CreateStep[] = [];
  for (const step of steps) if (!(await namespaces.exists(step, call))) missing.push(step);
  return missing;
}

/** The repositories, those in what is missing as if nothing were there: a registry answers for them as for forbidden ones. */
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

/** Creates what is missing, parents first. A failure leaves out what is in it, and with `stop` all that comes after it. */
export async function runCreations(
  steps: readonly CreateStep[],
  missing: readonly CreateStep[],
  namespaces: Namespaces,
  {journal, report, settings}: CopyContext,
  {stopping, aborted}: Interruption,
): Promise<readonly StepResult[]> {
  const results = new Map<string, StepResult>();
  const wanted = new Set(missing);
  const resultOf = async (step: CreateStep): Promise<StepResult> => {
    const {id, needs} = step;
    const isStopped =
      settings.onFailure === 'stop' && [...results.values()].some(({error}) => error);
    if (!wanted.has(step)) return {id, outcome: 'present'};
    const before = needs.map((need) => results.get(need)).find((result) => result?.error);
    if (before?.error) return {id, outcome: 'blocked', error: before.error};
    if (stopping.aborted || isStopped) return {id, outcome: 'not-started'};
    report({type: 'step-started', step: id});
    try {
      await namespaces.create(step, {signal: aborted, stopping});
      return {id, outcome: 'done'};
    } catch (thrown) {
      const error = aborted.aborted ? interrupted() : thrown;
      if (isInterrupted(error)) return {id, outcome: 'not-started'};
      return {id, outcome: 'failed', error: errorData(error)};
    }
  };
  for (const step of steps) {
    const result = await resultOf(step);
    const {id, outcome, error} = result;
    results.set(id, result);
    if (outcome === 'done' || outcome === 'present') journal.note({type: 'step', id, outcome});
    else if (outcome === 'failed' && error)
      await journal.append({type: 'step', id, outcome, error});
    report({type: 'step-ended', step: id, outcome, ...(error ? {error} : {})});
  }
  return [...results.values()];
}
