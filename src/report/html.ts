import {
  type Cell,
  isLong,
  noteOf,
  type ReportDocument,
  type Row,
  type Section,
} from './document.ts';
import {counted, printable} from './words.ts';

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #3d444d); --dim: light-dark(#59636e, #9198a1);
  --made: light-dark(#1a7f37, #3fb950); --changed: light-dark(#9a6700, #d29922); --wrong: light-dark(#cf222e, #f85149); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2, summary { font-size: 1.05rem; font-weight: 600; margin: 1.6rem 0 .4rem; }
summary { cursor: pointer; } dt { color: var(--dim); } dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; }
dd { margin: 0; } .summary { font-weight: 600; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: 500; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
code, .mark { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; } .hint { color: var(--dim); }
.digest { display: inline-block; max-width: 19ch; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; vertical-align: bottom; }
body:has(#digests:checked) .digest { max-width: none; white-space: normal; }
summary code { font-weight: 400; } details[open] > summary { margin-bottom: .4rem; }
.made { color: var(--made); } .changed { color: var(--changed); } .wrong { color: var(--wrong); } .quiet { color: var(--dim); }
`;

const MARK_CLASSES = {
  '+': 'made',
  '~': 'changed',
  '=': 'quiet',
  '-': 'quiet',
  '!': 'wrong',
  '?': 'changed',
} as const satisfies Record<Section['mark'], string>;

/** Bytes of a page: a plan of 10,000 images takes some 3 MB, and browsers show more than this only slowly. */
const SIZE_LIMIT = 16 * 1024 * 1024;

/**
 * A document as one page that needs nothing besides: no script, no request, light or dark as the reader has it. It is not
 * shortened; only of what is more than a browser shows, the details are left out and counted.
 */
export function renderHtml(document: ReportDocument): string {
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
  const byRepository = blocks.length === 0 ? [] : ['<h2>By repository</h2>', ...blocks, ...note];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="summary">${escapeHtml(summary)}</p>
<dl>
${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd><code>${escapeHtml(value)}</code></dd>`).join('\n')}
</dl>
<p><label><input type="checkbox" id="digests"> Show whole digests</label></p>
${[...shown, ...byRepository].join('\n')}
</body>
</html>
`;
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

/** What is long is folded: the page has to be looked through on a phone, too. */
function renderSection(section: Section): string {
  const {heading, mark, columns, rows, isDetail, isWhole} = section;
  const name = `${renderCell(heading)} (${escapeHtml(noteOf(section))})`;
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const table = `<div class="scroll"><table>
<thead><tr><th></th>${head}</tr></thead>
<tbody>
${rows.map((row) => renderRow(row, row.mark ?? mark)).join('\n')}
</tbody>
</table></div>`;
  return isDetail || (isLong(rows) && !isWhole)
    ? `<details><summary>${name}</summary>\n${table}\n</details>`
    : `<section><h2>${name}</h2>\n${table}\n</section>`;
}

function renderRow({cells, hint}: Row, mark: Section['mark']): string {
  const last = cells.length - 1;
  const note = hint === undefined ? '' : `<div class="hint">${escapeHtml(hint)}</div>`;
  const data = cells.map((cell, at) => `<td>${renderCell(cell)}${at === last ? note : ''}</td>`);
  return `<tr><td class="mark ${MARK_CLASSES[mark]}">${escapeHtml(mark)}</td>${data.join('')}</tr>`;
}

function renderCell(cell: Cell): string {
  if (typeof cell === 'string') return escapeHtml(cell);
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
