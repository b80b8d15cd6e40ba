import type {z} from '../../model/schema.ts';
import type {ErrorCode} from '../../model/error-codes.ts';
import {TransshipError} from '../../model/error.ts';
import type {FileProblem} from '../../model/file-problem.ts';
import {withoutLogin} from '../../model/reference.ts';
import type {PlacedProblem, YamlSource} from './yaml-source.ts';

/** The maximum number of problems that are listed for a file. */
const PROBLEMS_LIMIT = 100;

/** The maximum characters of a wrong value in a message. */
const SHOWN_LIMIT = 80;

/** The maximum number of unknown keys of a map that are reported. */
const KEYS_LIMIT = 100;

/** An issue found by zod, with its path; `key` is set if the key is wrong, not its value. */
export interface FlatIssue {
  readonly path: readonly PropertyKey[];
  readonly key?: string;
  readonly message: string;
}

/**
 * Describes each issue, with the wrong value and the permitted ones. For alternatives (a text or a list), it describes
 * the one that has the kind of the value.
 * @param valueAt returns the value as written in the file, for messages
 * @param keysAt returns the known keys at a path
 */
export function flatIssues(
  issues: readonly z.core.$ZodIssue[],
  valueAt: (path: readonly PropertyKey[]) => unknown,
  keysAt: (path: readonly PropertyKey[]) => readonly string[],
  base: readonly PropertyKey[] = [],
): readonly FlatIssue[] {
  return issues.flatMap((issue): readonly FlatIssue[] => {
    const path = [...base, ...issue.path];
    const value = valueAt(path);
    if (issue.code === 'custom' && issue.params?.['isKey'] === true) {
      const key = String(path.at(-1));
      return [
        {path: path.slice(0, -1), key, message: `${shownValue(key)} is wrong: ${issue.message}`},
      ];
    }
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(path);
      // Further keys are not listed, and each one is compared with all known keys.
      return issue.keys
        .slice(0, KEYS_LIMIT)
        .map((key) => ({path, key, message: unknownKey(key, known)}));
    }
    if (issue.code === 'invalid_union') {
      const meant = issue.errors.find((errors) => !errors.some(isWrongKind));
      if (meant !== undefined) return flatIssues(meant, valueAt, keysAt, path);
      const allowed = issue.errors.flatMap((errors) => errors.map(expectation));
      return [
        {
          path,
          message: `${shownValue(value)} is wrong: expected ${[...new Set(allowed)].join(' or ')}${quotesHint(value)}`,
        },
      ];
    }
    if (value === undefined && issue.code !== 'custom') {
      return [
        {
          path,
          message: `"${String(path.at(-1) ?? 'the content')}" is missing: expected ${expectation(issue)}`,
        },
      ];
    }
    const words =
      issue.code === 'custom' || !isStandard(issue)
        ? issue.message
        : `expected ${expectation(issue)}${quotesHint(value)}`;
    return [{path, message: `${shownValue(value)} is wrong: ${words}`}];
  });
}

function isStandard({code, message}: z.core.$ZodIssue): boolean {
  return code === 'invalid_type' || code === 'invalid_value' || message.startsWith('Too ');
}

function isWrongKind({code, path}: z.core.$ZodIssue): boolean {
  return path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value')
    return issue.values.map((value) => JSON.stringify(value)).join(' or ');
  if (issue.code === 'too_small') return `${issue.minimum} or more`;
  if (issue.code === 'too_big') return `${issue.maximum} at most`;
  if (issue.code !== 'invalid_type') return issue.message;
  switch (issue.expected) {
    case 'string':
      return 'a text (write numbers in quotes)';
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a map';
    case 'int':
    case 'number':
      return 'a whole number';
    case 'boolean':
      return 'true or false';
    default:
      return issue.expected;
  }
}

function unknownKey(key: string, known: readonly string[]): string {
  const nearest = nearestOf(key, known);
  const hint = nearest === undefined ? '' : `did you mean "${nearest}"? `;
  return `${shownValue(key)} is not a key here: ${hint}allowed are ${known.join(', ')}`;
}

/** The known name that differs in at most a third of its letters. */
function nearestOf(word: string, known: readonly string[]): string | undefined {
  const text = word.slice(0, SHOWN_LIMIT).toLowerCase();
  const near = known
    .map((name) => ({name, distance: editDistance(text, name.toLowerCase())}))
    .filter(
      ({name, distance}) =>
        distance <= Math.max(1, Math.ceil(Math.max(name.length, text.length) / 3)),
    )
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.name;
}

/** The Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({length: b.length + 1}, (_, index) => index);
  for (const [at, letter] of a.split('').entries()) {
    const next = [at + 1];
    for (let column = 1; column <= b.length; column += 1) {
      const changed = (row[column - 1] ?? 0) + (b[column - 1] === letter ? 0 : 1);
      next.push(Math.min(changed, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** In YAML, `{path}` without quotes is a map with one key and no value. */
function quotesHint(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return '';
  const [entry, ...others] = Object.entries(value);
  return entry?.[1] === null && others.length === 0
    ? `; a text that begins with { needs quotes: "{${entry[0]}}"`
    : '';
}

/** A value of the file, shortened, without credentials. */
export function shownValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  if (value === undefined) return 'nothing';
  if (typeof value !== 'string') return JSON.stringify(value);
  const text = withoutLogin(value);
  return `"${text.length > SHOWN_LIMIT ? `${text.slice(0, SHOWN_LIMIT)}…` : text}"`;
}

/** Adds the position in the file to a problem. */
export function placedProblem({path, key, message}: FlatIssue, source: YamlSource): PlacedProblem {
  return {...(key === undefined ? source.position(path) : source.keyPosition(path, key)), message};
}

/** The value at a path, as written; undefined: there is none. */
export function partAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inside, key) =>
      typeof inside === 'object' && inside !== null && Object.hasOwn(inside, key)
        ? (inside as Record<PropertyKey, unknown>)[key]
        : undefined,
    value,
  );
}

/** The error for an invalid file, with all problems in file order. */
export function fileInvalid(
  code: ErrorCode,
  file: string,
  found: readonly PlacedProblem[],
  hint: string,
): TransshipError {
  const sorted = found.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const problems: FileProblem[] = sorted.slice(0, PROBLEMS_LIMIT).map((one) => ({file, ...one}));
  const more = sorted.length > PROBLEMS_LIMIT ? `, the first ${PROBLEMS_LIMIT} are listed` : '';
  const count = sorted.length === 1 ? '1 problem' : `${sorted.length} problems`;
  const message = `${file} has ${count}${more}`;
  return new TransshipError(code, message, {side: 'local', hint, problems});
}
