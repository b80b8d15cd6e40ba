/** Minimum length of a secret in characters: redacting shorter ones would redact ordinary words. */
const SHORTEST = 4;
/** Minimum length of a part of a secret, or of what is certain of its base64, in characters. */
const SHORTEST_PART = 8;

/** The encodings of a secret in URLs, forms, JSON and headers. */
export function formsOf(secret: string): Set<string> {
  if (secret.length < SHORTEST) return new Set();
  const bytes = Buffer.from(secret);
  const cores = base64CoresOf(bytes);
  return new Set([
    secret,
    bytes.toString('base64'),
    bytes.toString('base64url'),
    JSON.stringify(secret).slice(1, -1),
    new URLSearchParams({'': secret}).toString().slice(1),
    ...(secret.isWellFormed() ? [encodeURIComponent(secret)] : []),
    ...cores,
    ...cores.map((core) => core.replaceAll('+', '-').replaceAll('/', '_')),
  ]);
}

/**
 * The characters of base64 that are certain if a secret is encoded together with text around it, as in `user:password`:
 * it may begin at the first, second or third byte of a group of three (RFC 4648, section 4).
 */
function base64CoresOf(bytes: Buffer): readonly string[] {
  const cores = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.byteLength) * 8) / 6)),
  );
  return cores.filter(({length}) => length >= SHORTEST_PART);
}

/** Escapes of URLs and of JSON. */
const ESCAPES = /%[0-9a-f]{2}|\\u[0-9a-f]{4}/i;
const WORDS = /[^\s"'<>]+/g;
/** Escapes of escapes are decoded this often. */
const DEPTH = 3;

/** A word of a text with its escapes decoded. */
interface DecodedWord {
  readonly start: number;
  readonly end: number;
  readonly decoded: string;
}

/**
 * The words of a text that contain escapes, decoded: a server may escape characters that need no escape, and write the
 * digits in lower case.
 */
export function* decodedWords(text: string): Generator<DecodedWord> {
  if (!ESCAPES.test(text)) return;
  for (const {index, 0: word} of text.matchAll(WORDS)) {
    let decoded = word;
    for (let depth = 0; depth < DEPTH && ESCAPES.test(decoded); depth++)
      decoded = decodedOnce(decoded);
    if (decoded !== word) yield {start: index, end: index + word.length, decoded};
  }
}

function decodedOnce(text: string): string {
  return text
    .replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
    )
    .replaceAll(/\\u([0-9a-f]{4})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

/** What shortened texts end with. */
const ELLIPSIS = '…';

/**
 * The beginnings of a secret that shortening left: `start` and `end` of each in the text. In linear time (Knuth, Morris
 * and Pratt), because servers control the text.
 */
export function* cutParts(
  text: string,
  secret: string,
): Generator<{readonly start: number; readonly end: number}> {
  let borders: readonly number[] | undefined;
  let [at, matched] = [0, 0];
  for (let end = text.indexOf(ELLIPSIS); end >= 0; end = text.indexOf(ELLIPSIS, end + 1)) {
    borders ??= bordersOf(secret);
    // In Markdown, the code span that quotes the text ends before.
    const last = text[end - 1] === '`' ? end - 1 : end;
    const from = Math.max(at, last - secret.length + 1);
    if (from > at) matched = 0;
    for (at = from; at < last; at++) {
      matched = nextMatch(secret, borders, matched, text[at]);
      if (matched === secret.length) matched = borders[matched] ?? 0;
    }
    if (matched >= SHORTEST_PART) yield {start: last - matched, end: last};
  }
}

/** For each length, that of the longest shorter beginning of the secret that is also the end of this one. */
function bordersOf(secret: string): readonly number[] {
  const borders = [0, 0];
  for (let length = 1, border = 0; length < secret.length; length++) {
    border = nextMatch(secret, borders, border, secret[length]);
    borders.push(border);
  }
  return borders;
}

/** How much of the secret the text ends with, after one more character. */
function nextMatch(
  secret: string,
  borders: readonly number[],
  matched: number,
  next: string | undefined,
): number {
  let length = matched;
  while (length > 0 && secret[length] !== next) length = borders[length] ?? 0;
  return secret[length] === next ? length + 1 : 0;
}
