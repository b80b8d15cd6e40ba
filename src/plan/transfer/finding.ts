import type {Check} from '../../model/plan.ts';
import type {Finding} from './facts.ts';

/** Something that was proved: nothing has to be done about it. */
export function pass(code: Check['code'], subject: string, message: string): Check {
  return {code, result: 'pass', subject, message, hint: ''};
}

export function warn(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'warn', subject, message, hint};
}

export function forbid(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'forbid', subject, message, hint};
}

/** What was found wrong while it was tried out. */
export function forbidFinding(subject: string, {code, message, hint}: Finding): Check {
  return forbid(code, subject, message, hint);
}
