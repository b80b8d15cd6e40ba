import type {Report} from '../model/event.ts';
import type {Plan} from '../model/plan.ts';

/** More would be read by nobody. */
const MOST = 20;

/**
 * Tells what a plan that nobody reviews leaves out or changes. That a tag moves is what a copy is for; all else that
 * the checks found would pass unseen.
 */
export function reportWarnings({checks}: Plan, report: Report): void {
  const warnings = checks.filter(({result, code}) => result === 'warn' && code !== 'TAG_MOVES');
  for (const {code, message} of warnings.slice(0, MOST)) report({type: 'notice', code, message});
  if (warnings.length > MOST) {
    const message = `and ${warnings.length - MOST} more of the kind; "transship plan copy" shows all`;
    report({type: 'notice', code: 'SKIPPED', message});
  }
}
