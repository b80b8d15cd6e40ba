import type {Check} from '../model/plan.ts';
import type {Section} from './document.ts';
import {counted} from './words.ts';

/** Findings of one kind. What forbids is never shortened, what passes is folded away. */
export function checkSection(
  heading: string,
  mark: '!' | '?' | '=',
  checks: readonly Check[],
): Section {
  return {
    heading,
    mark,
    columns: ['Check', 'Finding'],
    rows: checks.map(({code, message, hint}) => ({
      cells: [{code}, message],
      ...(hint === '' ? {} : {hint}),
    })),
    isWhole: mark === '!',
    isDetail: mark === '=',
  };
}

/** A sentence with a blank before it where the checks forbid to apply; else nothing. */
export function verdictOf(checks: readonly Check[]): string {
  const forbidding = checks.filter(({result}) => result === 'forbid').length;
  if (forbidding === 0) return '';
  return ` It cannot be applied: ${counted(forbidding, 'check')} ${forbidding === 1 ? 'forbids' : 'forbid'} it.`;
}
