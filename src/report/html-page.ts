import {createHash} from 'node:crypto';

/** How a page looks: light or dark as the reader has it, on a phone as on a desk. */
const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #3d444d); --dim: light-dark(#59636e, #9198a1); --page: light-dark(#fff, #0d1117);
  --made: light-dark(#1a7f37, #3fb950); --changed: light-dark(#9a6700, #d29922); --wrong: light-dark(#cf222e, #f85149);
  --bar: light-dark(#b6e3ff, #1f4a73); --bar-strong: light-dark(#54aeff, #388bfd); --box: light-dark(#f6f8fa, #151b23); }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; background: var(--page); }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2, summary { font-size: 1.05rem; font-weight: 600; margin: 1.6rem 0 .4rem; }
summary { cursor: pointer; overflow-wrap: anywhere; } dt { color: var(--dim); } dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: 0; min-width: 0; } .summary { font-weight: 600; font-size: 1.05rem; } .scroll { overflow-x: auto; position: relative; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: 500; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .8rem .25rem 0; vertical-align: top; }
code, .mark { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; } .hint { color: var(--dim); }
td > code { min-width: 8ch; } th code { color: inherit; }
.digest { display: inline-block; max-width: 19ch; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; vertical-align: top; }
.tools:has(#digests:checked) ~ * .digest { max-width: none; white-space: normal; }
.tools:not(:has(#prefixes:checked)) ~ * .prefix { font-size: 0; }
summary code { font-weight: 400; } details[open] > summary { margin-bottom: .4rem; }
.made { color: var(--made); } .changed { color: var(--changed); } .wrong { color: var(--wrong); } .quiet { color: var(--dim); }
.size { white-space: nowrap; text-align: right; min-width: 7rem; background: linear-gradient(var(--bar) 0 0) no-repeat left 1.8rem / calc((100% - .8rem) * var(--part) / 100) .25rem padding-box; padding-bottom: .6rem; }
th.number { text-align: right; padding-right: .8rem; } td.short { white-space: nowrap; }
.tall { max-height: 34rem; overflow-y: auto; } .tall thead th { position: sticky; top: 0; background: var(--page); }
td:last-child { min-width: 7rem; }
.tools { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; position: sticky; top: 0; z-index: 1; padding: .6rem .8rem; margin: 1rem 0;
  background: var(--box); border: 1px solid var(--line); border-radius: .4rem; }
.tools input[type=search] { font: inherit; padding: .2rem .5rem; flex: 1 1 14rem; min-width: 0; }
.tools fieldset { display: contents; } .tools legend { float: left; color: var(--dim); } .tools label { white-space: nowrap; }
th button { all: unset; cursor: pointer; } th button:focus-visible, summary:focus-visible, input:focus-visible { outline: 2px solid var(--changed); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; } th[aria-sort=descending] button::after { content: " \\2193"; }
.part + .part::before { content: " \\b7  "; color: var(--dim); } #more { font: inherit; margin: .6rem 0; padding: .2rem .8rem; } tr:focus { outline: 2px solid var(--changed); }
details details { margin-left: 1rem; } details details > summary { font-weight: 400; margin: .3rem 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.tools:has(#plus:not(:checked)) ~ * tr.plus, .tools:has(#moves:not(:checked)) ~ * tr.moves, .tools:has(#same:not(:checked)) ~ * tr.same, .tools:has(#minus:not(:checked)) ~ * tr.minus, [hidden] { display: none; }
@supports (content-visibility: hidden) { #all[hidden] { display: block; content-visibility: hidden; } }
.time { min-width: 9rem; } .time i { display: block; height: .7rem; margin: .4rem 0; min-width: 3px; margin-left: calc(var(--from) * 1%); width: calc((var(--to) - var(--from)) * 1%); border-radius: 2px; background: var(--made); }
.time.wrong i { background: var(--wrong); } .time.warning i { background: var(--changed); }
.history { margin: .8rem 0; } figcaption { color: var(--dim); } .strip { display: grid; grid-template-columns: 4rem 1fr; align-items: end; margin: .2rem 0; color: var(--dim); } .strip svg { width: 100%; height: .7rem; display: block; border-bottom: 1px solid var(--line); }
.strip.sent svg { height: 6rem; fill: var(--bar-strong); } .strip.failed svg { fill: var(--wrong); } .strip.retries svg { fill: var(--changed); } .break { stroke: var(--dim); stroke-width: 1px; stroke-dasharray: 4 3; vector-effect: non-scaling-stroke; }
.axis { display: flex; justify-content: space-between; margin: 0 0 .4rem 4rem; color: var(--dim); }
@media (max-width: 40rem) { body { padding: 1rem .7rem 2rem; } .tools { position: static; } td:not(:last-child) { white-space: nowrap; } td:last-child:not(.short, .size) { min-width: 17rem; } code { overflow-wrap: normal; } dd code, summary code { overflow-wrap: anywhere; } dl { grid-template-columns: 1fr; gap: 0; } dt { margin-top: .3rem; } }
@media print { .tools { display: none; } .tall { max-height: none; } }
`;

/**
 * Search and order, in the browser. The page is whole without it. A search shows copies of the first rows that match,
 * in a table of its own: what a keystroke changes is small, however many rows the page has.
 */
const SCRIPT = `
"use strict";
const byId = (id) => document.getElementById(id);
const [search, found, all, results, more] = ["search", "found", "all", "results", "more"].map(byId);
const AT_ONCE = 50;
search.hidden = false;
let index;
const rows = () => index ??= [...all.querySelectorAll(".list")].flatMap((box) => {
  const name = box.querySelector(".name");
  if (!name) return [];
  const names = name.textContent + " ";
  return [...box.querySelectorAll("tbody tr")].map((row) => ({row, name, text: (names + row.textContent).toLowerCase()}));
});
const made = (tag, content, look = "") => {
  const one = document.createElement(tag);
  one.append(...content);
  if (look) one.className = look;
  return one;
};
const resultOf = ({row, name}) => {
  const [mark, first, ...rest] = row.cloneNode(true).cells;
  const link = made("a", name.cloneNode(true).childNodes);
  link.href = "#all";
  link.onclick = (event) => { event.preventDefault(); show(row); };
  const parts = rest.filter((cell) => cell.textContent).map((cell) => made("span", cell.childNodes, "part"));
  return made("tr", [mark, first ?? made("td", []), made("td", [link]), made("td", parts)], row.className);
};
const show = (row) => {
  search.value = "";
  look();
  for (let box = row.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  row.tabIndex = -1;
  row.scrollIntoView({block: "center"});
  row.focus({preventScroll: true});
};
let most = AT_ONCE;
const look = () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const isSearch = words.length > 0;
  const off = ["plus", "moves", "same", "minus"].filter((kind) => byId(kind)?.checked === false);
  const hits = isSearch ? rows().filter(({row, text}) => !off.includes(row.className) && words.every((word) => text.includes(word))) : [];
  results.tBodies[0].replaceChildren(...hits.slice(0, most).map(resultOf));
  if (all.hidden !== isSearch) all.hidden = isSearch;
  results.parentElement.hidden = hits.length === 0;
  more.hidden = hits.length <= most;
  const count = hits.length === 1 ? "1 row" : hits.length.toLocaleString("en") + " rows";
  found.textContent = !isSearch ? "" : hits.length > most ? "first " + most + " of " + count : count;
};
search.addEventListener("input", () => { most = AT_ONCE; look(); });
search.addEventListener("focus", () => setTimeout(rows));
more.addEventListener("click", () => { most += AT_ONCE; look(); });
document.addEventListener("change", ({target}) => { if (target !== search && search.value) look(); });
const order = new Intl.Collator("en", {numeric: true}).compare;
document.addEventListener("click", (event) => {
  const head = event.target.closest("th button")?.parentElement;
  if (!head) return;
  const table = head.closest("table");
  const at = [...head.parentElement.children].indexOf(head);
  const back = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", back ? "descending" : "ascending");
  const body = table.tBodies[0];
  const key = (row) => row.children[at].dataset.bytes ?? row.children[at].textContent;
  const sorted = [...body.rows].map((row) => [key(row), row]).sort(([a], [b]) => order(a, b));
  if (back) sorted.reverse();
  body.append(...sorted.map(([, row]) => row));
});
`;

/** A page that needs nothing besides: no request, and no script but the one above. */
export function htmlPage(title: string, body: string): string {
  const hash = createHash('sha256').update(SCRIPT).digest('base64');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

/**
 * What a reader can do with the tables. The search is shown where scripts run; the boxes work without.
 * @param kinds what hides which rows, and how it is called
 */
export function pageTools(kinds: ReadonlyMap<string, string>): string {
  const boxes = [...kinds].map(
    ([id, word]) => `<label><input type="checkbox" id="${id}" checked> ${word}</label>`,
  );
  return `<div class="tools">
<label class="unseen" for="search">Search</label><input type="search" id="search" placeholder="Search names, tags, digests" hidden><span id="found" role="status"></span>
<fieldset><legend>Show:</legend>
${boxes.join('\n')}
</fieldset>
<label><input type="checkbox" id="digests"> whole digests</label>
<label><input type="checkbox" id="prefixes"> whole names</label>
</div>
<div class="scroll" hidden><table id="results">
<thead><tr><th scope="col"><span class="unseen">What</span></th><th scope="col"><button type="button">Name</button></th><th scope="col"><button type="button">Where</button></th><th scope="col">More</th></tr></thead>
<tbody></tbody>
</table></div>
<button type="button" id="more" hidden>Show more</button>`;
}
