import {
  type Cell,
  cellText,
  isLong,
  type Mark,
  noteOf,
  type ReportDocument,
  type Row,
  type Section,
} from './document.ts';
import {htmlPage, pageTools} from './html-page.ts';
import {counted, printable} from './words.ts';

/** How the mark of a row looks, what it is called where it cannot be seen, and the box that hides such rows. */
const MARKS: Readonly<
  Record<Mark, {readonly look: string; readonly word: string; readonly box?: string}>
> = {
  '+': {look: 'made', word: 'new', box: 'plus'},
  '~': {look: 'changed', word: 'moves', box: 'moves'},
  '=': {look: 'quiet', word: 'stays', box: 'same'},
  '-': {look: 'quiet', word: 'left out', box: 'minus'},
  '!': {look: 'wrong', word: 'wrong'},
  '?': {look: 'changed', word: 'warning'},
  '✓': {look: 'made', word: 'done'},
};

/** Bytes of a page: a plan of 10,000 images takes some 3 MB, and browsers show more than this only slowly. */
const SIZE_LIMIT = 16 * 1024 * 1024;

/**
 * A document as one page that needs nothing besides: no request, light or dark as the reader has it. It is not
 * shortened; only of what is more than a browser shows, the details are left out and counted.
 * @param figure HTML that is shown before the sections
 */
export function renderHtml(document: ReportDocument, figure?: string): string {
  const {title, facts, sections, details, summary, everything} = document;
  const shown = sections.filter(({rows}) => rows.length > 0).map(renderSection);
  const {blocks, left} = fitted(
    details?.sections ?? [],
    SIZE_LIMIT - shown.reduce((sum, block) => sum + block.length, 0),
  );
  const rows = left.reduce((sum, section) => sum + section.rows.length, 0);
  const note =
    left.length === 0
      ? []
      : [
          `<p>Left out here: ${counted(left.length, 'repository')} (${counted(rows, details?.noun ?? 'row')}). To see all: <code>${escapeHtml(everything)}</code></p>`,
        ];
  const inside = [...blocks, ...note].join('\n');
  const byRepository =
    blocks.length === 0
      ? []
      : blocks.length > FEW_BOXES
        ? [`<details><summary>By repository (${blocks.length})</summary>\n${inside}\n</details>`]
        : [`<h2>By repository</h2>\n${inside}`];
  const body = `<h1>${escapeHtml(title)}</h1>
<p class="summary">${escapeHtml(summary)}</p>
<dl>
${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd><code>${escapeHtml(value)}</code></dd>`).join('\n')}
</dl>
${figure === undefined ? '' : `<section><h2>Timeline</h2>\n${figure}\n</section>\n`}${pageTools(kindsOf([...sections, ...(details?.sections ?? [])]))}
<div id="all">
${[...shown, ...byRepository].join('\n')}
</div>`;
  return htmlPage(escapeHtml(title), body);
}

/** Folded lists that are shown one below the other; of more, the list of them is folded as well. */
const FEW_BOXES = 40;

function wordOf(mark: Mark, minus: Section['minus']): string {
  if (mark === '=') return minus === undefined ? 'already there' : 'stays';
  return mark === '-' ? (minus ?? MARKS[mark].word) : MARKS[mark].word;
}

/** What kinds of rows the page has, by the box that hides them, in the words of their marks. */
function kindsOf(sections: readonly Section[]): ReadonlyMap<string, string> {
  const words = new Map<string, Set<string>>();
  for (const {mark, minus, rows} of sections) {
    for (const own of new Set(rows.map((row) => row.mark ?? mark))) {
      const {box} = MARKS[own];
      if (box === undefined) continue;
      const said = wordOf(own, minus);
      words.set(box, (words.get(box) ?? new Set()).add(said));
    }
  }
  return new Map(
    Object.values(MARKS).flatMap(({box = ''}) => {
      const said = words.get(box);
      return said === undefined ? [] : [[box, [...said].join(' or ')] as const];
    }),
  );
}

/** @param room in characters */
function fitted(
  sections: readonly Section[],
  room: number,
): {readonly blocks: readonly string[]; readonly left: readonly Section[]} {
  const blocks: string[] = [];
  let free = room;
  for (const [at, section] of sections.entries()) {
    const block = renderSection(section);
    free -= block.length;
    if (free < 0) return {blocks, left: sections.slice(at)};
    blocks.push(block);
  }
  return {blocks, left: []};
}

/** Rows of one table: a browser lays out a table as a whole, and is slow with more. */
const TABLE_ROWS = 500;

/** What is long is folded: the page has to be looked through on a phone, too. */
function renderSection(section: Section): string {
  const {heading, rows, isDetail, isWhole, minus} = section;
  const looks = section.columns.map((_column, at) =>
    columnLook(rows.map(({cells}) => cells[at] ?? '')),
  );
  const name = `<span class="name">${renderCell(heading)}</span> (${escapeHtml(noteOf(section))})`;
  const tables =
    rows.length <= TABLE_ROWS
      ? renderTable(section, rows, looks)
      : partsOf(rows)
          .map((part) => renderPart(section, part, looks))
          .join('\n');
  // What takes something away is seen without a click.
  const isSeen = isWhole || minus === 'deleted' || !isLong(rows);
  return isDetail || !isSeen
    ? `<details class="list"><summary>${name}</summary>\n${tables}\n</details>`
    : `<section class="list"><h2>${name}</h2>\n${tables}\n</section>`;
}

function partsOf(rows: readonly Row[]): readonly (readonly Row[])[] {
  const count = Math.ceil(rows.length / TABLE_ROWS);
  return Array.from({length: count}, (_, at) => rows.slice(at * TABLE_ROWS, (at + 1) * TABLE_ROWS));
}

/** Some rows of a long list, called by the first and the last of them. */
function renderPart(section: Section, rows: readonly Row[], looks: readonly ColumnLook[]): string {
  const nameOf = (row: Row | undefined): string => {
    const text = cellText(row?.cells[0] ?? '');
    return `<code>${escapeHtml(text.slice(looks[0]?.prefix.length ?? 0))}</code>`;
  };
  const name = `${nameOf(rows[0])} to ${nameOf(rows.at(-1))} (${rows.length})`;
  return `<details><summary>${name}</summary>\n${renderTable(section, rows, looks)}\n</details>`;
}

/** Rows beyond which a table scrolls by itself, so that what comes behind it is within reach. */
const TALL_ROWS = 40;

function renderTable(
  {columns, mark, minus}: Section,
  rows: readonly Row[],
  looks: readonly ColumnLook[],
): string {
  const head = columns.map((column, at) => {
    const prefix = looks[at]?.prefix ?? '';
    const below = prefix === '' ? '' : ` <code>${escapeHtml(prefix)}</code>…`;
    const kind = (looks[at]?.most ?? 0) > 0 ? ' class="number"' : '';
    return `<th scope="col"${kind}><button type="button">${escapeHtml(column)}</button>${below}</th>`;
  });
  const kind = rows.length > TALL_ROWS ? 'scroll tall' : 'scroll';
  return `<div class="${kind}" tabindex="0"><table>
<thead><tr><th scope="col"><span class="unseen">What</span></th>${head.join('')}</tr></thead>
<tbody>
${rows.map((row) => renderRow(row, row.mark ?? mark, looks, minus)).join('\n')}
</tbody>
</table></div>`;
}

/** What the cells of a column have in common. */
interface ColumnLook {
  /** What all names begin with: it is said once, above them. Empty: nothing. */
  readonly prefix: string;
  /** Bytes of the largest. */
  readonly most: number;
}

/** Names of so many rows are worth a common beginning. */
const ENOUGH_ROWS = 3;

function columnLook(cells: readonly Cell[]): ColumnLook {
  const sizes = cells.map((cell) => (typeof cell === 'object' && 'bytes' in cell ? cell.bytes : 0));
  const most = sizes.reduce((largest, size) => Math.max(largest, size), 0);
  const names = cells.flatMap((cell) =>
    typeof cell === 'object' && 'code' in cell && cell.short === undefined ? [cell.code] : [],
  );
  if (names.length < ENOUGH_ROWS || names.length < cells.length) return {prefix: '', most};
  let prefix = names[0] ?? '';
  for (const name of names) {
    let length = 0;
    while (length < prefix.length && prefix[length] === name[length]) length += 1;
    prefix = prefix.slice(0, length);
  }
  return {prefix: prefix.slice(0, prefix.lastIndexOf('/') + 1), most};
}

function renderRow(
  {cells, hint}: Row,
  mark: Section['mark'],
  looks: readonly ColumnLook[],
  minus: Section['minus'],
): string {
  const last = cells.length - 1;
  const note = hint === undefined ? '' : `<div class="hint">${escapeHtml(hint)}</div>`;
  const {look, word, box} = MARKS[mark];
  const data = cells.map((cell, at) => renderData(cell, looks[at], at === last ? note : ''));
  const kind = box === undefined ? '' : ` class="${box}"`;
  const said = mark === '-' ? (minus ?? word) : word;
  return `<tr${kind}><td class="mark ${look}"><span aria-hidden="true">${escapeHtml(mark)}</span><span class="unseen">${said}</span></td>${data.join('')}</tr>`;
}

function renderData(cell: Cell, look: ColumnLook | undefined, note: string): string {
  if (typeof cell === 'object' && 'bytes' in cell) {
    const part = look === undefined || look.most === 0 ? 0 : (100 * cell.bytes) / look.most;
    return `<td class="size" data-bytes="${cell.bytes}" style="--part:${part.toFixed(1)}">${escapeHtml(cellText(cell))}${note}</td>`;
  }
  if (typeof cell === 'object' && 'text' in cell) return renderTime(cell, note);
  const prefix = look?.prefix ?? '';
  if (typeof cell === 'object' && 'code' in cell && prefix !== '') {
    const rest = escapeHtml(cell.code.slice(prefix.length));
    return `<td><code><span class="prefix">${escapeHtml(prefix)}</span>${rest}</code>${note}</td>`;
  }
  const kind = cellText(cell).length <= SHORT_TEXT ? ' class="short"' : '';
  return `<td${kind}>${renderCell(cell)}${note}</td>`;
}

/** Characters of a cell that is not broken over lines. */
const SHORT_TEXT = 28;

function renderTime(
  {text, from, to, look}: Extract<Cell, {readonly text: string}>,
  note: string,
): string {
  const style = `--from:${from.toFixed(2)};--to:${to.toFixed(2)}`;
  return `<td class="time ${look}" data-bytes="${from.toFixed(2)}" style="${style}"><span class="unseen">${escapeHtml(text)}</span><i></i>${note}</td>`;
}

function renderCell(cell: Cell): string {
  if (typeof cell === 'string' || !('code' in cell)) return escapeHtml(cellText(cell));
  // What has a short form is cut by the style, so that it is whole when it is copied.
  const kind = cell.short === undefined ? '' : ' class="digest"';
  return `<code${kind}>${escapeHtml(cell.code)}</code>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for attributes in quotes. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '');
}
