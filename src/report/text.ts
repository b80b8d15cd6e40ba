import {
  cellText,
  type RenderOptions,
  type ReportDocument,
  type Section,
  shortened,
} from './document.ts';
import {printable} from './words.ts';

/** A document for terminals and logs: no colours, columns aligned, the summary last. */
export function renderText(document: ReportDocument, options: RenderOptions = {}): string {
  const {title, facts, sections, summary} = document;
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  const head = [
    printable(title),
    ...facts.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}`),
  ];
  const shown = sections.filter(({rows}) => rows.length > 0);
  const blocks = [
    head,
    ...shown.map((section) => sectionLines(section, options)),
    [printable(summary)],
  ];
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function sectionLines(section: Section, options: RenderOptions): readonly string[] {
  const {rows, hidden} = shortened(section, options);
  const table = rows.map(({cells}) => cells.map((cell) => printable(cellText(cell))));
  const widths = section.columns.map((_name, column) =>
    table.reduce((most, cells) => Math.max(most, cells[column]?.length ?? 0), 0),
  );
  const lines = rows.flatMap(({hint}, at) => {
    const cells = (table[at] ?? []).map((cell, column) => cell.padEnd(widths[column] ?? 0));
    const line = `  ${section.mark} ${cells.join('  ')}`.trimEnd();
    return hint === undefined ? [line] : [line, `      ${printable(hint)}`];
  });
  const more = hidden === 0 ? [] : [`    … and ${hidden} more`];
  return [`${section.heading} (${section.rows.length}):`, ...lines, ...more];
}
