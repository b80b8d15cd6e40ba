import {
  type Cell,
  type RenderOptions,
  type ReportDocument,
  type Section,
  shortened,
} from './document.ts';
import {printable} from './words.ts';

/** A document as a comment on a merge request: GitLab's and GitHub's flavour, the summary first, details folded. */
export function renderMarkdown(document: ReportDocument, options: RenderOptions = {}): string {
  const {title, facts, sections, summary} = document;
  const shown = sections.filter(({rows}) => rows.length > 0);
  const blocks = [
    `### ${escapeMarkdown(title)}`,
    `**${escapeMarkdown(summary)}**`,
    facts.map(([name, value]) => `- ${escapeMarkdown(name)}: ${codeSpan(value)}`).join('\n'),
    ...shown.map((section) => renderSection(section, options)),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function renderSection(section: Section, options: RenderOptions): string {
  const {heading, columns, isDetail} = section;
  const {rows, hidden} = shortened(section, options);
  const hasHints = rows.some(({hint}) => hint !== undefined);
  const lines = [
    tableRow(hasHints ? [...columns, 'What to do'] : columns),
    tableRow((hasHints ? [...columns, ''] : columns).map(() => '---')),
    ...rows.map(({cells, hint}) =>
      tableRow([...cells.map(renderCell), ...(hasHints ? [escapeMarkdown(hint ?? '')] : [])]),
    ),
  ];
  const more = hidden === 0 ? '' : `\n\n… and ${hidden} more`;
  const name = `${escapeMarkdown(heading)} (${section.rows.length})`;
  const body = `${lines.join('\n')}${more}`;
  return isDetail
    ? `<details>\n<summary>${name}</summary>\n\n${body}\n\n</details>`
    : `#### ${name}\n\n${body}`;
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function renderCell(cell: Cell): string {
  return typeof cell === 'string' ? escapeMarkdown(cell) : codeSpan(cell.code);
}

/** What GitLab and GitHub make a link of (GFM, "Autolinks"): an address from outside may lead anywhere. */
const ADDRESS = /((?:[a-z][a-z0-9+.-]*:\/\/|www\.|mailto:)\S+|[^\s@]+@[^\s@]+\.[^\s@]+)/i;

/** Text that stays text: no markup, no HTML, no links, no mentions of people, issues or labels. */
function escapeMarkdown(text: string): string {
  return printable(text)
    .split(ADDRESS)
    .map((part, at) => (at % 2 === 1 ? codeSpan(part) : escapeWords(part)))
    .join('');
}

function escapeWords(text: string): string {
  return text
    .replace(/[&<>@#!~$%]/g, (char) => `&#${char.charCodeAt(0)};`)
    .replace(/[\\`*_{}[\]|]/g, '\\$&');
}

/** A code span, its fence longer than any run of backticks inside; a bar would end a table's cell even there. */
function codeSpan(text: string): string {
  const plain = printable(text);
  if (plain === '') return '';
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = plain.startsWith('`') || plain.endsWith('`') ? ' ' : '';
  return `${fence}${space}${plain.replaceAll('|', '\\|')}${space}${fence}`;
}
