import {cutAt} from '../model/error.ts';
import {
  type Cell,
  cellText,
  noteOf,
  type RenderOptions,
  type ReportDocument,
  type Section,
  shortened,
} from './document.ts';
import {escapeHtml} from './html.ts';
import {counted, printable} from './words.ts';

/** Bytes of a comment: GitHub refuses more than 65,536 characters, and nobody reads more. */
const SIZE_LIMIT = 60_000;
/** Bytes that the words about what is left out take at most. */
const LAST_WORDS = 1_000;
/** Rows of a list that is not folded: what stands below it is to be found, too. */
const SEEN_ROWS = 100;
/** Characters of a fact; a wish may have any number of filters. */
const FACT_LIMIT = 300;

/**
 * A document as a comment on a merge request, in GitLab's and GitHub's flavour: the summary first, details folded. It
 * has fewer than 60,000 bytes, unless the options say otherwise, and says what is left out.
 */
export function renderMarkdown(document: ReportDocument, options: RenderOptions = {}): string {
  const {title, facts, sections, details, summary, everything} = document;
  const blocks = [
    `**${escapeMarkdown(summary)}**`,
    escapeMarkdown(title),
    facts.map(([name, value]) => `- ${escapeMarkdown(name)}: ${factValue(value)}`).join('\n'),
  ].filter((block) => block !== '');
  let room = SIZE_LIMIT - LAST_WORDS - sizeOf(blocks.join('\n\n'));
  if (options.isUnbounded) room = Number.POSITIVE_INFINITY;
  /** @returns the sections for which there is no room */
  const add = (some: readonly Section[], style: RenderOptions): readonly Section[] =>
    some.filter((section) => {
      // Half of the room, so that there is something left for what comes behind.
      const block = renderSection(section, everything, style, room / 2);
      if (block === undefined) return true;
      blocks.push(block);
      room -= sizeOf(block) + 2;
      return false;
    });
  const left = [
    ...leftOut(
      add(
        sections.filter(({rows}) => rows.length > 0),
        options,
      ),
      'list',
      'row',
    ),
    ...(details === undefined
      ? []
      : leftOut(add(details.sections, {...options, full: true}), 'repository', details.noun)),
  ];
  if (left.length > 0)
    blocks.push(`Left out here: ${left.join('; ')}. To see all: ${codeSpan(everything)}`);
  return `${blocks.join('\n\n')}\n`;
}

function leftOut(sections: readonly Section[], what: string, noun: string): readonly string[] {
  if (sections.length === 0) return [];
  const rows = sections.reduce((sum, section) => sum + section.rows.length, 0);
  return [`${counted(sections.length, what)} (${counted(rows, noun)})`];
}

/** @returns undefined where not even one row fits into these bytes */
function renderSection(
  section: Section,
  everything: string,
  options: RenderOptions,
  room: number,
): string | undefined {
  const {heading, columns, isDetail} = section;
  const {rows, hidden} = shortened(section, options);
  const hasHints = rows.some(({hint}) => hint !== undefined);
  const heads = hasHints ? [...columns, 'What to do'] : columns;
  const lines = [tableRow(heads.map(escapeMarkdown)), tableRow(heads.map(() => '---'))];
  const isFolded = isDetail === true || section.rows.length > SEEN_ROWS;
  const [open, close] = isFolded
    ? [
        `<details>\n<summary>${headingHtml(heading)} (${escapeHtml(noteOf(section))})</summary>`,
        '\n\n</details>',
      ]
    : [`#### ${renderCell(heading)} (${escapeMarkdown(noteOf(section))})`, ''];
  const fixed = [open, close, ...lines, moreLine(section.rows.length, everything)];
  let left = room - sizeOf(fixed.join('\n\n'));
  let shown = 0;
  for (const {cells, hint} of rows) {
    const line = tableRow([
      ...cells.map(renderCell),
      ...(hasHints ? [escapeMarkdown(hint ?? '')] : []),
    ]);
    left -= sizeOf(line) + 1;
    if (left < 0) break;
    lines.push(line);
    shown += 1;
  }
  if (shown === 0) return undefined;
  const more = hidden + rows.length - shown;
  const body = `${lines.join('\n')}${more === 0 ? '' : `\n\n${moreLine(more, everything)}`}`;
  return `${open}\n\n${body}${close}`;
}

function moreLine(count: number, everything: string): string {
  return `… and ${count} more: ${codeSpan(everything)}`;
}

function sizeOf(text: string): number {
  return Buffer.byteLength(text);
}

/** A bar ends a cell, even within a code span (GFM, "Tables"). */
function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function renderCell(cell: Cell): string {
  if (typeof cell === 'string' || !('code' in cell)) return escapeMarkdown(cellText(cell));
  return codeSpan(cell.code);
}

/** `<summary>` begins HTML, in which Markdown does not count. */
function headingHtml(heading: Cell): string {
  const text = escapeHtml(cellText(heading));
  return typeof heading === 'string' ? text : `<code>${text}</code>`;
}

function factValue(value: string): string {
  return codeSpan(cutAt(value, FACT_LIMIT));
}

/**
 * Words and numbers that mean nothing to GitLab and GitHub, with the punctuation around them. What looks like the id of
 * a commit becomes a link, and so do issues such as ABC-1.
 */
const PLAIN_WORD =
  /^["'(]*(?!["'(]*[0-9a-f]{7})(?:\p{L}+(?:['-]\p{L}+)*|\d[\d.,]*\p{L}*)?["'),.;:?!…]*$/iu;
/** A word with the punctuation before and behind it. */
const PARTS = /^(["'(]*)(.*?)(["'),.;:?!…]*)$/su;

/**
 * Text that stays text. Whatever is more than a plain word may come from a registry, and becomes a code span: no
 * markup, HTML or link, no mention of people, issues or labels, no quick action. Escapes are not enough for that:
 * GitLab looks for references in the rendered page, where `&#64;` is an `@` again (lib/banzai/filter/references); it
 * leaves code alone.
 */
function escapeMarkdown(text: string): string {
  return printable(text)
    .split(' ')
    .map((word) => {
      if (PLAIN_WORD.test(word)) return word;
      const [, before = '', name = word, behind = ''] = PARTS.exec(word) ?? [];
      return name === '' ? codeSpan(word) : `${before}${codeSpan(name)}${behind}`;
    })
    .join(' ');
}

/** A code span, its fence longer than any run of backticks inside. */
function codeSpan(text: string): string {
  const plain = printable(text);
  if (plain === '') return '';
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = plain.startsWith('`') || plain.endsWith('`') ? ' ' : '';
  return `${fence}${space}${plain}${space}${fence}`;
}
