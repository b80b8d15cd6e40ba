import {
  type Cell,
  cellText,
  noteOf,
  type RenderOptions,
  type ReportDocument,
  type Section,
  shortened,
} from './document.ts';
import {counted, printable} from './words.ts';

/** A document for terminals and logs: no colours, columns aligned, the summary last. */
export function renderText(document: ReportDocument, options: RenderOptions = {}): string {
  const {title, facts, sections, details, summary, everything} = document;
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  const head = [
    printable(title),
    ...facts.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}`),
  ];
  const shown = sections.filter(({rows}) => rows.length > 0);
  const blocks = [head, ...shown.map((section) => sectionLines(section, everything, options))];
  if (details !== undefined && options.full) {
    blocks.push(...details.sections.map((section) => sectionLines(section, everything, options)));
  } else if (details !== undefined) {
    const rows = details.sections.reduce((sum, section) => sum + section.rows.length, 0);
    blocks.push([`To list all ${counted(rows, details.noun)}: ${printable(everything)}`]);
  }
  blocks.push(wrapped(printable(summary), options.columns));
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function sectionLines(
  section: Section,
  everything: string,
  options: RenderOptions,
): readonly string[] {
  const {heading, mark, columns, isCounted} = section;
  const name = `${shortText(heading)} (${printable(noteOf(section))})`;
  if (isCounted && !options.full) return [name];
  const {rows, hidden} = shortened(section, options);
  const table = rows.map(({cells}) => cells.map(shortText));
  const widths = columns.map((_name, column) =>
    table.reduce((most, cells) => Math.max(most, cells[column]?.length ?? 0), 0),
  );
  const lines = rows.flatMap((row, at) => {
    const cells = (table[at] ?? []).map((cell, column) => cell.padEnd(widths[column] ?? 0));
    const line = `  ${row.mark ?? mark} ${cells.join('  ')}`.trimEnd();
    const own = inColumns(line, `  ${row.mark ?? mark} `, table[at] ?? [], options.columns);
    // What helps with several rows is said once, below the last of them.
    const isSaid = row.hint === undefined || row.hint === rows[at + 1]?.hint;
    return isSaid ? own : [...own, ...wrapped(printable(row.hint), options.columns, HINT)];
  });
  const more = hidden === 0 ? [] : [`    … and ${hidden} more: ${printable(everything)}`];
  return [`${name}:`, ...lines, ...more];
}

const HINT = ' '.repeat(6);

/** A row of a table; where it does not fit, its first cell, and the others below it. */
function inColumns(
  line: string,
  mark: string,
  [first = '', ...others]: readonly string[],
  columns: number | undefined,
): readonly string[] {
  if (columns === undefined || line.length <= columns) return [line];
  const rest = others.filter((cell) => cell !== '').join('  ');
  return [...wrapped(first, columns, mark), ...(rest === '' ? [] : wrapped(rest, columns, HINT))];
}

/** Breaks a text between words. A word that is longer than a line, such as a reference, stays whole. */
function wrapped(text: string, columns: number | undefined, indent = ''): readonly string[] {
  if (columns === undefined || indent.length + text.length <= columns) return [indent + text];
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    const isFirst = line.trim() === '' || line === indent;
    if (!isFirst && line.length + 1 + word.length > columns) {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent.length) + word;
    } else line += isFirst ? word : ` ${word}`;
  }
  return [...lines, line.trimEnd()];
}

function shortText(cell: Cell): string {
  return printable((typeof cell === 'object' && 'short' in cell && cell.short) || cellText(cell));
}
