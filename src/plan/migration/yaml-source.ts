import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Document,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type {FilePosition} from '../../model/file-problem.ts';

/** The maximum bytes of a migration file or a policy, enough for some 5,000 routes. */
export const MIGRATION_SIZE_LIMIT = 1024 * 1024;
/** The maximum nesting of maps and lists; migration files need 5 levels. */
const DEPTH_LIMIT = 20;
const NODES_LIMIT = 100_000;
/**
 * The maximum number of lines and indicators in a file (YAML 1.2, section 5.3): each may be a value or an error, which
 * takes up to 3 KiB while it is parsed. A route in one line has six or seven.
 */
const INDICATORS_LIMIT = 38_000;
/** Hyphens, question marks and colons are indicators only before white space or, for a colon, the end of a value. */
const INDICATOR = /[\n,[\]{}&*!"'\\]|[-?:](?=\s)|:(?=[,\]}])/g;
/** The maximum number of aliases in a file: yaml compares each alias with those before it. */
const ALIASES_LIMIT = 10_000;
/** The maximum number of alias expansions. yaml counts nested ones as well, which stops a "billion laughs" attack. */
const ALIAS_LIMIT = 100;
/** yaml's message for `[a/{path}]` and `{path}/a`, the most likely mistakes with placeholders. */
const FLOW = /between flow/;
const AFTER_FLOW = /Unexpected \S+ at node end/;

/** A problem without the name of its file. */
export interface PlacedProblem extends FilePosition {
  readonly message: string;
}

/** A YAML text as a value, with the position of each part. */
export interface YamlSource {
  /**
   * Undefined: the text could not be read, and the problems say why. There may also be problems if there is a value.
   */
  readonly value: unknown;
  readonly problems: readonly PlacedProblem[];
  /** The position of the value at a path; if there is none, of the nearest value around it. */
  position(path: readonly PropertyKey[]): FilePosition;
  /** The position of a key in the map at a path. */
  keyPosition(path: readonly PropertyKey[], key: string): FilePosition;
}

/** A text that is refused before it is parsed. */
function refused(message: string, at: FilePosition = {line: 1, column: 1}): YamlSource {
  return {
    value: undefined,
    problems: [{...at, message}],
    position: () => at,
    keyPosition: () => at,
  };
}

/** Reads YAML 1.2 with limits on size, depth and aliases. Duplicate keys are problems. */
export function readYaml(text: string): YamlSource {
  const lines = new LineCounter();
  const place = (offset: number): FilePosition => {
    const {line, col} = lines.linePos(offset);
    return {line: Math.max(1, line), column: Math.max(1, col)};
  };
  if (Buffer.byteLength(text) > MIGRATION_SIZE_LIMIT) {
    return refused(`the file is larger than ${MIGRATION_SIZE_LIMIT} bytes`);
  }
  if (!hasFewIndicators(text))
    return refused(
      `it has more than ${INDICATORS_LIMIT} lines, commas, brackets, quotes and the like`,
    );
  const tooDeep = deeplyNested(text);
  if (tooDeep !== undefined)
    return refused(`it is nested deeper than ${DEPTH_LIMIT} levels`, tooDeep);
  // Unique keys are checked below: yaml would compare each key with every other one.
  const options = {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    // With `silent`, a second document would be ignored without a message.
    logLevel: 'error',
  } as const;
  const document = parseDocument(text, options);
  const problems: PlacedProblem[] = [...document.errors, ...document.warnings].map(
    ({code, message, pos}) => ({
      ...place(pos[0]),
      message:
        code === 'MULTIPLE_DOCS'
          ? 'the file has more than one document: write one, without "---" inside'
          : `it is not YAML: ${oneLine(message)}${quotesHint(message)}`,
    }),
  );
  const isReadable = problems.length === 0;
  const shape = shapeProblems(document, place);
  problems.push(...shape.problems);
  const source = {
    problems,
    position: (path: readonly PropertyKey[]) => place(offsetOf(find(document, path))),
    keyPosition: (path: readonly PropertyKey[], key: string) => {
      const map = resolved(document, find(document, path));
      const pair = isMap(map) ? map.items.find((item) => keyText(item.key) === key) : undefined;
      return place(offsetOf(isNode(pair?.key) ? pair.key : map));
    },
  };
  if (!isReadable || shape.isRefused) return {...source, value: undefined};
  try {
    return {...source, value: document.toJS({maxAliasCount: ALIAS_LIMIT}) as unknown};
  } catch (error) {
    const message = error instanceof Error ? oneLine(error.message) : String(error);
    return {
      ...source,
      problems: [{line: 1, column: 1, message: `it is not YAML that is read here: ${message}`}],
      value: undefined,
    };
  }
}

function quotesHint(message: string): string {
  if (FLOW.test(message))
    return '; inside [ ] and { }, a text with brackets, braces or commas needs quotes';
  return AFTER_FLOW.test(message) ? '; a text that begins with { or [ needs quotes' : '';
}

/**
 * Of quotes and brackets, one of each pair counts; so does a closing bracket that closes nothing, which is an error. A
 * list takes more memory than its items.
 */
function hasFewIndicators(text: string): boolean {
  let count = 0;
  let open = 0;
  for (const [indicator] of text.matchAll(INDICATOR)) {
    if ('"\''.includes(indicator)) count += 0.5;
    else if (']}'.includes(indicator) && open > 0) open -= 1;
    else count += indicator === '[' ? 1.25 : 1;
    if ('[{'.includes(indicator)) open += 1;
    if (count > INDICATORS_LIMIT) return false;
  }
  return true;
}

/**
 * The position at which brackets or dashes nest too deeply, judged by the text alone: the parser is recursive, and a
 * million `[` would exhaust the stack. Brackets in quotes count as well; no real file has twenty of them open.
 */
function deeplyNested(text: string): FilePosition | undefined {
  let open = 0;
  for (const [index, row] of text.split('\n').entries()) {
    const indents = /^(?:[ \t]*[-?:][ \t])+/.exec(row)?.[0].replaceAll(/[ \t]/g, '').length ?? 0;
    const indent = /^ */.exec(row)?.[0].length ?? 0;
    if (indents > DEPTH_LIMIT || indent > DEPTH_LIMIT * 20)
      return {line: index + 1, column: indent + 1};
    for (let column = 0; column < row.length; column += 1) {
      const character = row[column];
      if (character === '[' || character === '{') open += 1;
      else if ((character === ']' || character === '}') && open > 0) open -= 1;
      if (open > DEPTH_LIMIT) return {line: index + 1, column: column + 1};
    }
  }
  return undefined;
}

/** Problems with what YAML permits but a migration file does not. They must not become part of the value. */
function shapeProblems(
  document: Document,
  place: (offset: number) => FilePosition,
): {readonly problems: readonly PlacedProblem[]; readonly isRefused: boolean} {
  let isRefused = false;
  const problems: PlacedProblem[] = [];
  const report = (node: unknown, message: string) =>
    problems.push({...place(offsetOf(node)), message});
  let nodes = 0;
  let aliases = 0;
  /** The anchors at this position of the document, since an anchor may be defined again. */
  const anchors = new Map<string, Node>();
  visit(document, {
    Node(_key, node, path) {
      nodes += 1;
      if (nodes > NODES_LIMIT) {
        report(node, `it has more than ${NODES_LIMIT} values`);
        isRefused = true;
        return visit.BREAK;
      }
      if (path.filter((each) => isMap(each) || isSeq(each)).length > DEPTH_LIMIT) {
        report(node, `it is nested deeper than ${DEPTH_LIMIT} levels`);
        isRefused = true;
        return visit.BREAK;
      }
      if (!isAlias(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
      aliases += isAlias(node) ? 1 : 0;
      if (aliases > ALIASES_LIMIT) {
        report(node, `it has more than ${ALIASES_LIMIT} aliases`);
        isRefused = true;
        return visit.BREAK;
      }
      const target = isAlias(node) ? anchors.get(node.source) : undefined;
      if (isAlias(node) && target === undefined) {
        report(
          node,
          `"*${node.source}" needs quotes: YAML reads a text that begins with * as an alias`,
        );
        isRefused = true;
        return undefined;
      }
      if (target !== undefined && path.includes(target)) {
        report(node, `*${isAlias(node) ? node.source : ''} is inside the value that it refers to`);
        isRefused = true;
        return visit.BREAK;
      }
      if (!isMap(node)) return undefined;
      const keys = new Set<string>();
      for (const {key} of node.items) {
        const name = keyText(key);
        if (name === undefined) report(key ?? node, 'a key must be a plain text');
        else if (keys.has(name)) report(key, `"${name}" is here twice: each key may be given once`);
        else keys.add(name);
      }
      return undefined;
    },
  });
  return {problems, isRefused};
}

/** Undefined: the key cannot be that of a JSON object. */
function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  const {value} = key;
  const isPlain =
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return isPlain ? String(value) : undefined;
}

function resolved(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function find(document: Document, path: readonly PropertyKey[]): unknown {
  let node: unknown = document.contents;
  for (const key of path) {
    const inside = resolved(document, node);
    const next = isMap(inside)
      ? inside.items.findLast((item) => keyText(item.key) === String(key))
      : isSeq(inside)
        ? inside.items[Number(key)]
        : undefined;
    if (next === undefined) return node;
    const value = isMap(inside)
      ? ((next as {key: unknown; value: unknown}).value ?? (next as {key: unknown}).key)
      : next;
    node = value;
  }
  return node;
}

function offsetOf(node: unknown): number {
  return isNode(node) ? ((node as Node).range?.[0] ?? 0) : 0;
}

function oneLine(message: string): string {
  return message.replaceAll(/\s+/g, ' ');
}
