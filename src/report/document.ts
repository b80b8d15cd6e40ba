import type {Check} from '../model/plan.ts';
import {counted} from './words.ts';

/** What a report says, free of how it looks. All texts are plain and may come from outside: the renderers escape them. */
export interface ReportDocument {
  readonly title: string;
  /** What stands below the title: names and values. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly sections: readonly Section[];
  /** The one line that says it all. */
  readonly summary: string;
}

/** A list of things of one kind. Sections without rows are not shown. */
export interface Section {
  readonly heading: string;
  /**
   * What becomes of each row: `+` is made, `~` is changed, `=` stays, `-` is left out or deleted, `!` is wrong, `?` is to be
   * looked at.
   */
  readonly mark: '+' | '~' | '=' | '-' | '!' | '?';
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** Not what a reader looks for first: folded away where the format can do that. */
  readonly isDetail?: boolean;
  /** Every row matters: never shortened. */
  readonly isWhole?: boolean;
}

export interface Row {
  /** One for each column. */
  readonly cells: readonly Cell[];
  /** A sentence that belongs to the row: what to do about it. */
  readonly hint?: string;
}

/** A word for people, or a name or value that is to be copied as it is. */
export type Cell = string | {readonly code: string};

/** How much of a document is shown. */
export interface RenderOptions {
  /** Do not shorten long lists. */
  readonly full?: boolean;
  /** The plan's file, for the commands that a report names. */
  readonly planFile?: string;
}

/** Rows that a section shows unless everything is asked for. */
const ROW_LIMIT = 25;

/** The rows to show, and how many there are besides. */
export function shortened(
  {rows, isWhole}: Section,
  {full}: RenderOptions,
): {readonly rows: readonly Row[]; readonly hidden: number} {
  // One row is not worth a line that says there is one more.
  if (full || isWhole || rows.length <= ROW_LIMIT + 1) return {rows, hidden: 0};
  return {rows: rows.slice(0, ROW_LIMIT), hidden: rows.length - ROW_LIMIT};
}

export function cellText(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.code;
}

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
