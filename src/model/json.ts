import {UNPRINTABLE_CLASS} from './reference.ts';
import type {z} from './schema.ts';

/** Limits of JSON from outside. */
export interface JsonLimits {
  /** Bytes in UTF-8, or characters of a string. */
  readonly size: number;
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Values, including those in objects and arrays. */
  readonly values: number;
}

/**
 * Limits of one document, such as a manifest, a config or a response. No format that is read here needs more than ten
 * levels; Ruby's parser, and therefore GitLab, has a limit of 100 levels as well. V8 needs up to 60 bytes of memory for
 * a value of three bytes.
 */
export const DOCUMENT_LIMITS: JsonLimits = {
  size: 4 * 1024 * 1024,
  depth: 100,
  values: 250_000,
};

/**
 * The error of invalid JSON. The message is a clause, `is not JSON`, and quotes nothing, since the text may contain
 * secrets.
 */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/**
 * Parses JSON from outside; no other code does. A text of a few MiB can have a million nested levels or a million
 * values, for which V8 needs hundreds of MiB, so the text is checked against the limits before it is parsed.
 * @param text bytes are UTF-8
 * @throws JsonError
 */
export function parseJson(text: Uint8Array | string, limits = DOCUMENT_LIMITS): unknown {
  if (text.length > limits.size) throw new JsonError(`is larger than ${limits.size} bytes`);
  try {
    const decoded = typeof text === 'string' ? text : decoder().decode(text);
    checkShape(decoded, limits);
    return JSON.parse(decoded);
  } catch (error) {
    if (error instanceof JsonError) throw error;
    throw new JsonError('is not JSON', {cause: error});
  }
}

/**
 * Parses JSON and validates it; undefined: it is not JSON, exceeds the limits, or does not match the schema.
 */
export function readJson<T>(
  text: Uint8Array | string,
  schema: z.ZodType<T>,
  limits = DOCUMENT_LIMITS,
): T | undefined {
  try {
    return schema.safeParse(parseJson(text, limits)).data;
  } catch {
    return undefined;
  }
}

const decoder = () => new TextDecoder('utf-8', {fatal: true});

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Counts brackets and commas outside of strings. The parser checks whether the text is JSON. */
function checkShape(text: string, {depth: deepest, values: most}: JsonLimits): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = stringEnd(text, at);
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        depth++;
        values++;
        if (depth > deepest) throw new JsonError(`is nested deeper than ${deepest} levels`);
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth--;
        break;
      case COMMA:
        values++;
        break;
    }
    if (values > most) throw new JsonError(`has more than ${most} values`);
  }
}

/** Where the string that begins at `from` ends; the end of the text if the string is not closed. */
function stringEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at;
    if (char === BACKSLASH) at++;
  }
  return text.length;
}

const UNPRINTABLE = new RegExp(`[${UNPRINTABLE_CLASS}]`, 'gu');

/**
 * Escapes unprintable characters in the result of `JSON.stringify`, so that it is safe to show on a terminal. A parser
 * reads the same values.
 */
export function printableJsonText(json: string): string {
  // JSON.stringify escapes control characters in strings, so a line break is part of its layout.
  return json.replace(UNPRINTABLE, (char) =>
    char === '\n' ? char : char.split('').map(escapedUnit).join(''),
  );
}

/** JSON escapes are UTF-16 code units. */
function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
