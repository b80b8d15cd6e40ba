import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {parseJson} from '../model/json.ts';

/** A range of text, from `start` up to, but not including, `end`. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Removes the manifests that are not in `keep` from an index. All other text is kept, including its order, numbers and
 * whitespace: the text is cut, not serialized again, so that the same index always gives the same bytes.
 * @param bytes an index that `parseManifest` accepted
 * @throws TransshipError MANIFEST_INVALID if the manifest is not an index
 */
export function cutIndex(bytes: Uint8Array, keep: Iterable<Digest>): Uint8Array {
  const text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  const wanted = new Set<string>(keep);
  const array = manifestsArray(text);
  const items = itemsOf(text, array);
  const first = items[0];
  const last = items.at(-1);
  if (!first || !last) return bytes;
  let kept = '';
  let end = first.start;
  for (const item of items) {
    const raw = text.slice(item.start, item.end);
    // The comma and the whitespace before an item are removed with it.
    if (isWanted(raw, wanted)) kept += kept === '' ? raw : text.slice(end, item.start) + raw;
    end = item.end;
  }
  return new TextEncoder().encode(text.slice(0, first.start) + kept + text.slice(last.end));
}

function isWanted(item: string, wanted: ReadonlySet<string>): boolean {
  const {digest} = parseJson(item) as {digest?: unknown};
  return typeof digest === 'string' && wanted.has(digest);
}

/** The value of the top-level member `manifests`; if it occurs twice, the last one, as in a JSON parser. */
function manifestsArray(text: string): Span {
  let found: Span | undefined;
  for (const member of itemsOf(text, {start: skipSpace(text, 0), end: text.length})) {
    const keyEnd = valueEnd(text, member.start);
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1);
    if (parseJson(text.slice(member.start, keyEnd)) === 'manifests') {
      found = {start: value, end: member.end};
    }
  }
  if (found && text[found.start] === '[') return found;
  throw new TransshipError('MANIFEST_INVALID', 'the manifest is not an index', {
    side: 'source',
    hint: 'choose platforms of multi-platform images only',
  });
}

/** The items of the array, or the members of the object, that starts at `start`. The text is valid JSON. */
function itemsOf(text: string, {start, end}: Span): readonly Span[] {
  const items: Span[] = [];
  let at = skipSpace(text, start + 1);
  while (at < end && text[at] !== ']' && text[at] !== '}') {
    let itemEnd = valueEnd(text, at);
    const next = skipSpace(text, itemEnd);
    if (text[next] === ':') itemEnd = valueEnd(text, skipSpace(text, next + 1));
    items.push({start: at, end: itemEnd});
    const separator = skipSpace(text, itemEnd);
    at = text[separator] === ',' ? skipSpace(text, separator + 1) : separator;
  }
  return items;
}

/** The end of the JSON value that starts at `start`. */
function valueEnd(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return stringEnd(text, start);
  if (first !== '{' && first !== '[') return scalarEnd(text, start);
  let depth = 0;
  let at = start;
  do {
    const char = text[at];
    if (char === '{' || char === '[') depth++;
    if (char === '}' || char === ']') depth--;
    at = char === '"' ? stringEnd(text, at) : at + 1;
  } while (depth > 0 && at < text.length);
  return at;
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function scalarEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && !/[\s,\]}]/.test(text[at] ?? '')) at++;
  return at;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (/\s/.test(text[at] ?? '')) at++;
  return at;
}
