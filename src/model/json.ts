import {UNPRINTABLE_CLASS} from './reference.ts';
import type {z} from './schema.ts';

/** How much JSON from outside may be. */
export interface JsonLimits {
  /** Bytes in UTF-8, or characters where the text is given. */
  readonly size: number;
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Values, those in objects and arrays counted. */
  readonly values: number;
}

/**
 * Limits of one document, such as a manifest, a config or an answer. No format that is read here needs more than ten
 * levels; Ruby's parser, and so GitLab's, stops at 100 as well. V8 takes up to 60 bytes of memory for a value of three.
 */
export const DOCUMENT_LIMITS: JsonLimits = {
  size: 4 * 1024 * 1024,
  depth: 100,
  values: 250_000,
};

/** What is wrong with JSON, as a clause: `is not JSON`. It quotes nothing of the text, which may hold secrets. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/**
 * Parses JSON from outside. The one place that does so: a text of some MiB can be nested a million levels deep or hold
 * a million values, for which V8 takes hundreds of MiB. The text is therefore looked over before it is parsed.
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
 * The same for a text that has to have a form, and may have another: undefined where it is not JSON, is beyond the
 * limits, or has another form.
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

/** Counts brackets and commas outside of strings. Whether the text is JSON is for the parser to say. */
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

/** Where the string that begins at `from` ends; the text's end where it does not. */
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
 * A text that `JSON.stringify` made, harmless to a terminal and to the eye, and the same JSON to a parser: what is not
 * printable is escaped.
 */
export function printableJsonText(json: string): string {
  // JSON.stringify escapes C0; line breaks that it makes itself are the form.
  return json.replace(UNPRINTABLE, (char) =>
    char === '\n' ? char : char.split('').map(escapedUnit).join(''),
  );
}

/** JSON knows characters by their UTF-16 code units. */
function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
