import {type JsonError, type JsonLimits, parseJson, printableJsonText} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {cutAt, TransshipError} from '../model/error.ts';
import {type CopyPlan, type Plan, PLAN_FORMAT} from '../model/plan.ts';
import {decodeCopyPlan, encodeCopyPlan} from './copy-plan-file.ts';
import {type CopyPlanContent, type CopyPlanFile, copyPlanFile} from './copy-plan-schema.ts';
import {RecordError} from './table-reader.ts';
import {decodeTransferPlan, encodeTransferPlan} from './transfer-plan-file.ts';
import {type TransferPlanContent, transferPlanFile} from './transfer-plan-schema.ts';
import {createHash} from 'node:crypto';
import {type Digest, finishDigest} from '../model/digest.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {compareText} from './compare.ts';

/** The maximum size of a plan, some 50,000 images. A plan is held in memory as a whole, so this limits the memory. */
export const PLAN_LIMITS: JsonLimits = {size: 64 * 1024 * 1024, depth: 20, values: 3_000_000};
/** Maximum characters of a description of what is wrong with a plan. */
const WORDS_LIMIT = 500;

/**
 * Maximum number of list entries that a plan file implies but does not contain, such as the manifests below a manifest.
 */
const EXPANSION_LIMIT = 4 * PLAN_LIMITS.values;

/**
 * The text of a plan file: printable, one line per record, with a final newline. It is generated in pieces, because a
 * single string would take more memory than a large plan itself.
 */
export function* planText(plan: Plan): Generator<string> {
  const {id, signature} = plan;
  const {format, ...rest} = contentOf(plan);
  const file = {format, id, ...(signature === undefined ? {} : {signature}), ...rest};
  for (const piece of recordLines(file)) yield printableJsonText(piece);
  yield '\n';
}

/** The pieces of `planText` as one string. */
export function serializePlan(plan: Plan): string {
  return [...planText(plan)].join('');
}

/**
 * Reads a plan file, and checks that its content matches its id.
 * @param fileName the name of the file, for messages
 * @throws TransshipError PLAN_INVALID, PLAN_FORMAT_NEWER, PLAN_FORMAT_OLD, PLAN_EDITED
 */
export function parsePlan(text: Uint8Array | string, fileName: string): Plan {
  const json = readJson(text, fileName);
  const format = z.object({format: z.int()}).safeParse(json);
  if (format.success) throwUnlessCurrent(format.data.format, fileName);
  const parsed = planSchema.safeParse(json);
  if (!parsed.success) throw invalid(describeIssues(parsed.error), fileName, parsed.error);
  const file = parsed.data;
  const id = contentId(file);
  if (id !== file.id) {
    throw new TransshipError(
      'PLAN_EDITED',
      `${fileName} was changed after it was made: its content is ${id}, its id says ${file.id}`,
      {
        side: 'local',
        hint: 'do not edit plans; change the flags or the migration file and plan again',
      },
    );
  }
  try {
    return file.kind === 'copy'
      ? decodeCopyPlan(file, EXPANSION_LIMIT)
      : decodeTransferPlan(file, EXPANSION_LIMIT);
  } catch (cause) {
    throw cause instanceof RecordError
      ? invalid(cutAt(cause.message, WORDS_LIMIT), fileName, cause)
      : cause;
  }
}

function throwUnlessCurrent(format: number, fileName: string): void {
  if (format > PLAN_FORMAT) {
    throw new TransshipError(
      'PLAN_FORMAT_NEWER',
      `${fileName} has format ${format}; this version reads format ${PLAN_FORMAT}`,
      {side: 'local', hint: 'update transship, or plan again with this version'},
    );
  }
  if (format < PLAN_FORMAT) {
    throw new TransshipError(
      'PLAN_FORMAT_OLD',
      `${fileName} has format ${format}, which is no longer read; this version reads format ${PLAN_FORMAT}`,
      {side: 'local', hint: 'plan again with this version'},
    );
  }
}

function readJson(text: Uint8Array | string, fileName: string): unknown {
  try {
    return parseJson(text, PLAN_LIMITS);
  } catch (cause) {
    throw invalid(`it ${(cause as JsonError).message}`, fileName, cause);
  }
}

/** Describes only the first issue, shortened: for a file that is not a plan, it may list every field. */
function describeIssues({issues}: z.ZodError): string {
  const [issue] = issues;
  const path = (issue?.path ?? []).map(String).join('.');
  const words = path === '' ? (issue?.message ?? '') : `${path}: ${issue?.message ?? ''}`;
  return cutAt(words, WORDS_LIMIT);
}

function invalid(why: string, fileName: string, cause: unknown): TransshipError {
  return new TransshipError('PLAN_INVALID', `${fileName} is not a plan: ${why}`, {
    side: 'local',
    hint: 'name a file written by "transship plan --out", complete and unchanged',
    cause,
  });
}

/** Unknown fields are refused: this version must not carry out what it does not understand. */
const planSchema = z
  .discriminatedUnion('kind', [copyPlanFile, transferPlanFile])
  .describe('What transship will do, pinned to digests, without times and secrets.');

/** The JSON Schema of plan files (draft 2020-12), as it is published in `plans/plan.schema.json`. */
export function planJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(planSchema);
  return {$schema, title: 'transship plan', ...schema};
}

/** A plan without its id. */
type Nameless = Omit<CopyPlan, 'id'> | Omit<TransferPlan, 'id'>;

/**
 * The identity of a plan: the sha256 of its file without `id` and `signature`, as JSON with sorted keys and without
 * whitespace. It detects accidental changes only: anybody who changes a plan on purpose can compute a new id.
 */
export function planId(plan: Nameless): Digest {
  return contentId(contentOf(plan));
}

function contentOf(plan: Nameless): CopyPlanContent | TransferPlanContent {
  return plan.kind === 'copy' ? encodeCopyPlan(plan) : encodeTransferPlan(plan);
}

/** @param file a plan file; its `id` and `signature` are ignored */
function contentId(file: object): Digest {
  const {id: _id, signature: _signature, ...content} = file as Partial<CopyPlanFile>;
  const hash = createHash('sha256');
  for (const piece of jsonPieces(content)) hash.update(piece);
  return finishDigest(hash, 'sha256');
}

/** JSON with sorted keys, item by item: a single string would take twice the memory of a large plan. */
function* jsonPieces(content: object): Generator<string> {
  let before = '{';
  for (const [key, value] of sortedEntries(content)) {
    const name = `${before}${JSON.stringify(key)}:`;
    before = ',';
    if (!Array.isArray(value)) {
      yield name + JSON.stringify(value, sortedKeys);
      continue;
    }
    yield `${name}[`;
    for (const [at, item] of value.entries())
      yield `${at === 0 ? '' : ','}${JSON.stringify(item, sortedKeys)}`;
    yield ']';
  }
  yield '}';
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(sortedEntries(value));
}

function sortedEntries(value: object): [string, unknown][] {
  return Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => compareText(a, b));
}

/**
 * JSON for people and for line-by-line diffs: each field of the plan, and each item of a list of records, starts a
 * line; everything else is on the line of its record.
 */
function* recordLines(file: object): Generator<string> {
  let before = '{\n';
  for (const [key, value] of Object.entries(file)) {
    yield `${before}${JSON.stringify(key)}:`;
    before = ',\n';
    if (Array.isArray(value)) yield* itemLines(value);
    else yield* valueLines(value);
  }
  yield '\n}';
}

function* valueLines(value: unknown): Generator<string> {
  if (isRecordList(value)) {
    yield* itemLines(value);
    return;
  }
  if (typeof value !== 'object' || value === null || !Object.values(value).some(isRecordList)) {
    yield JSON.stringify(value);
    return;
  }
  let before = '{';
  for (const [key, field] of Object.entries(value)) {
    yield `${before}${JSON.stringify(key)}:`;
    before = ',\n';
    yield* valueLines(field);
  }
  yield '}';
}

function* itemLines(items: readonly unknown[]): Generator<string> {
  if (items.length === 0) {
    yield '[]';
    return;
  }
  let before = '[\n';
  for (const item of items) {
    yield before;
    before = ',\n';
    yield* valueLines(item);
  }
  yield '\n]';
}

function isRecordList(value: unknown): value is readonly object[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => typeof item === 'object' && item !== null)
  );
}
