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
  blocks.push([printable(summary)]);
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
    // What helps with several rows is said once, below the last of them.
    const isSaid = row.hint === undefined || row.hint === rows[at + 1]?.hint;
    return isSaid ? [line] : [line, `      ${printable(row.hint)}`];
  });
  const more = hidden === 0 ? [] : [`    … and ${hidden} more: ${printable(everything)}`];
  return [`${name}:`, ...lines, ...more];
}

function shortText(cell: Cell): string {
  return printable((typeof cell === 'object' && 'short' in cell && cell.short) || cellText(cell));
}
