import type {Check} from '../../model/plan.ts';
import type {TransferProblem} from './facts.ts';

/** A check that forbids the plan. @param hint an instruction that removes the obstacle */
export function forbid(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'forbid', subject, message, hint};
}

/** A check for something that was proved, and needs no action. */
export function pass(code: Check['code'], subject: string, message: string): Check {
  return {code, result: 'pass', subject, message, hint: ''};
}

/** A check that a reviewer should look at, and that does not forbid the plan. */
export function warn(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'warn', subject, message, hint};
}

/** A check for a problem that was found by trying. */
export function forbidProblem(subject: string, {code, message, hint}: TransferProblem): Check {
  return forbid(code, subject, message, hint);
}

/** The maximum number of names in a message. */
const NAMES_SHOWN = 5;

/** Names for a message: the first ones, and the number of the others. */
export function shownNames(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return `${names.slice(0, NAMES_SHOWN).join(', ')}${more > 0 ? `, … ${more} more` : ''}`;
}
