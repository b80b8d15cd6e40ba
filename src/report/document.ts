import {type Digest, shortDigest} from '../model/digest.ts';
import type {Drift, Phase, Shard} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import type {Check} from '../model/plan.ts';
import {compareNatural, compareText} from '../plan/compare.ts';
import {counted, formatBytes} from './words.ts';

/**
 * What a report says, free of how it looks. All texts are plain and may come from outside: the renderers escape them.
 */
export interface ReportDocument {
  readonly title: string;
  /** What stands below the title: names and values. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly sections: readonly Section[];
  /**
   * Images by repository, behind the sections. Text has them only where everything is asked for, the other formats fold
   * them. `noun`: what one row is.
   */
  readonly details?: {readonly noun: string; readonly sections: readonly Section[]};
  /** The one line that says it all. */
  readonly summary: string;
  /** The command or the flag that shows what is left out. */
  readonly everything: string;
}

/** A list of things of one kind. Sections without rows are not shown. */
export interface Section {
  readonly heading: Cell;
  /** Stands behind the heading, instead of the number of rows. */
  readonly note?: string;
  /** What happens to each row, unless a row has a mark of its own. */
  readonly mark: Mark;
  /** What `-` means here. Default: left out. */
  readonly minus?: 'deleted';
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** Not what a reader looks for first: folded away where the format can do that. */
  readonly isDetail?: boolean;
  /** Every row matters: never shortened. */
  readonly isWhole?: boolean;
  /** Text has only its heading, unless everything is asked for. */
  readonly isCounted?: boolean;
}

/**
 * `+` is made, `~` is changed, `=` stays, `-` is left out or deleted, `!` is wrong, `?` is to be looked at, `✓` was
 * done.
 */
export type Mark = '+' | '~' | '=' | '-' | '!' | '?' | '✓';

export interface Row {
  /** One for each column. */
  readonly cells: readonly Cell[];
  /** A sentence that belongs to the row: what to do about it. */
  readonly hint?: string;
  readonly mark?: Mark;
}

/** A word for people, or a name or value that is to be copied as it is. Lines of text have its short form. */
export type Cell =
  | string
  | {readonly code: string; readonly short?: string}
  /** A size. */
  | {readonly bytes: number}
  /** A part of the time of all runs, in percent of it. Pages draw it. */
  | {
      readonly text: string;
      readonly from: number;
      readonly to: number;
      readonly look: 'done' | 'wrong' | 'warning';
    };

/** How much of a document is shown. */
export interface RenderOptions {
  /** Do not shorten long lists, and show what is there on request only. */
  readonly full?: boolean;
  /** Markdown may be larger than what fits into a comment. */
  readonly isUnbounded?: boolean;
  /** The plan's file, for the commands that a report names. */
  readonly planFile?: string | undefined;
  /** Of the terminal that text is for; absent: lines may have any length. */
  readonly columns?: number | undefined;
  /** Globs of the repositories that the plan was reduced to. */
  readonly only?: readonly string[] | undefined;
}

/** Rows that a section shows unless everything is asked for. */
const ROW_LIMIT = 25;

/**
 * Whether a list is too long to be shown unless it is asked for. One row is not worth a line that says there is one
 * more.
 */
export function isLong({length}: readonly unknown[]): boolean {
  return length > ROW_LIMIT + 1;
}

/** The rows to show, and how many there are besides. */
export function shortened(
  {rows, isWhole}: Section,
  {full}: RenderOptions,
): {readonly rows: readonly Row[]; readonly hidden: number} {
  if (full || isWhole || !isLong(rows)) return {rows, hidden: 0};
  return {rows: rows.slice(0, ROW_LIMIT), hidden: rows.length - ROW_LIMIT};
}

export function cellText(cell: Cell): string {
  if (typeof cell === 'string') return cell;
  if ('text' in cell) return cell.text;
  return 'bytes' in cell ? formatBytes(cell.bytes) : cell.code;
}

/** A name as it is to be copied. */
export function code(text: string): Cell {
  return {code: text};
}

export function digestCell(digest: Digest): Cell {
  return {code: digest, short: shortDigest(digest)};
}

/** Tags that are not as planned. */
export function driftSection(drift: readonly Drift[]): Section {
  return {
    heading: 'Drift',
    mark: '!',
    columns: ['Tag', 'Side', 'Planned', 'Found'],
    rows: drift.map(driftRow),
  };
}

/** A tag that is not as planned: where, on which side, and both digests. */
export function driftRow({side, repository, tag, planned, actual}: Drift): Row {
  return {
    cells: [code(nameOf(repository, tag, undefined)), side, foundCell(planned), foundCell(actual)],
  };
}

function foundCell(digest: Digest | null): Cell {
  return digest === null ? 'nothing' : digestCell(digest);
}

/** What stands behind the heading of a section. */
export function noteOf({note, rows}: Section): string {
  return note ?? String(rows.length);
}

/** Items of one kind: the first of them, and how many there are besides. */
interface Alike<T> {
  readonly first: readonly T[];
  readonly more: number;
}

/**
 * Items by kind, the kinds in the order in which they come up.
 * @param most if a kind has more than this many items
 * @param few only this many of them are kept
 */
function alike<T>(
  items: readonly T[],
  kindOf: (item: T) => string,
  most: number,
  few: number,
): readonly Alike<T>[] {
  const kinds = Map.groupBy(items, kindOf);
  return [...kinds.values()].map((all) => {
    const first = all.length > most ? all.slice(0, few) : all;
    return {first, more: all.length - first.length};
  });
}

/** Findings of a kind that are listed one by one; of more, examples. */
const ALIKE_LIMIT = 5;
const EXAMPLES = 3;

/** Findings of one result: those of a code are one row if there are many. What passes is folded away. */
export function checkSection(
  heading: string,
  mark: '!' | '?' | '=',
  checks: readonly Check[],
  {full}: RenderOptions,
): Section {
  const ordered = checks.toSorted(
    (a, b) => compareText(a.code, b.code) || compareNatural(a.subject, b.subject),
  );
  const kinds =
    full === true
      ? [{first: ordered, more: 0}]
      : alike(ordered, (check) => check.code, ALIKE_LIMIT, EXAMPLES);
  return {
    heading,
    note: String(checks.length),
    mark,
    columns: ['Check', 'Finding'],
    rows: kinds.flatMap(({first, more}) =>
      more === 0 ? first.map(checkRow) : foldedRow(first, more),
    ),
    isWhole: mark === '!',
    isDetail: mark === '=',
  };
}

function checkRow({code: name, message, hint}: Check): Row {
  return {cells: [code(name), message], ...(hint === '' ? {} : {hint})};
}

function foldedRow(first: readonly Check[], more: number): readonly Row[] {
  const [example] = first;
  if (example === undefined) return [];
  const messages = first.map(({message}) => message).join('; ');
  const text = `${first.length + more} findings, such as: ${messages}; and ${more} more`;
  return [checkRow({...example, message: text})];
}

/** Why something failed, as far as a report has it. */
interface FailureText {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Failures of a code that are named; of more, the first. */
const FAILURE_LIMIT = 10;

/**
 * What failed and why: those with the same code together, and of many with the same code the first ones and how many
 * more there are.
 * @param what a failure is of, as the head of a column
 */
export function failureSection(
  what: string,
  failures: readonly {readonly name: string; readonly error: FailureText | undefined}[],
): Section {
  const kinds = alike(failures, ({error}) => error?.code ?? '', FAILURE_LIMIT + 1, FAILURE_LIMIT);
  return {
    heading: 'Failed',
    note: String(failures.length),
    mark: '!',
    columns: [what, 'Code', 'Error'],
    rows: kinds.flatMap(({first, more}) => {
      const rows = first.map(({name, error}) => failureRow(code(name), error));
      const last = first.at(-1)?.error;
      if (more === 0 || last === undefined) return rows;
      return [...rows, failureRow(`… and ${more} more`, {...last, message: ''})];
    }),
    isWhole: true,
  };
}

/** What did not come to its end, with the error if there is one. */
export function failureRow(name: Cell, error: FailureText | undefined): Row {
  const cells = [name, code(error?.code ?? ''), error?.message ?? ''];
  return error === undefined || error.hint === '' ? {cells} : {cells, hint: error.hint};
}

/** A sentence with a blank before it where the checks forbid to apply; else nothing. */
export function verdictOf(checks: readonly Check[]): string {
  const forbidding = checks.filter(({result}) => result === 'forbid').length;
  if (forbidding === 0) return '';
  return ` It cannot be applied: ${counted(forbidding, 'check')} ${forbidding === 1 ? 'forbids' : 'forbid'} it.`;
}

/** The command that shows a plan as a whole. */
export function showAll({planFile = 'PLAN'}: RenderOptions): string {
  return `transship show ${planFile} --all`;
}

/** That only some repositories are shown. */
export function onlyFacts({only}: RenderOptions): readonly (readonly [string, string])[] {
  return only === undefined ? [] : [['--repository', only.join(', ')]];
}

/** The part of a plan that a report is about. */
export function shardFacts(
  shard: Shard | undefined,
  phase?: Phase,
): readonly (readonly [string, string])[] {
  return [
    ...(shard === undefined ? [] : [['shard', `${shard.index} of ${shard.total}`] as const]),
    ...(phase === undefined ? [] : [['phase', phase] as const]),
  ];
}

/** What shows all of a run or a comparison. */
export const AS_JSON = '--format json';
