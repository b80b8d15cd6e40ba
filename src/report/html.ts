import {type Cell, cellText, type ReportDocument, type Row, type Section} from './document.ts';
import {printable} from './words.ts';

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

/** A document as one page that needs nothing besides: no script, no request, light or dark as the reader has it. */
export function renderHtml({title, facts, sections, summary}: ReportDocument): string {
  const shown = sections.filter(({rows}) => rows.length > 0);
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
${shown.map(renderSection).join('\n')}
</body>
</html>
`;
}

function renderSection({heading, mark, columns, rows, isDetail}: Section): string {
  const name = `${escapeHtml(heading)} (${rows.length})`;
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const table = `<div class="scroll"><table>
<thead><tr><th></th>${head}</tr></thead>
<tbody>
${rows.map((row) => renderRow(row, mark)).join('\n')}
</tbody>
</table></div>`;
  return isDetail
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
  const text = escapeHtml(cellText(cell));
  return typeof cell === 'string' ? text : `<code>${text}</code>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for attributes in quotes. */
function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '');
}
