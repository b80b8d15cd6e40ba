import {type JsonError, type JsonLimits, parseJson, printableJsonText} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {TransshipError} from '../model/error.ts';
import {type CopyPlan, type Plan, PLAN_FORMAT} from '../model/plan.ts';
import {copyPlanSchema} from './copy-plan-schema.ts';
import {transferPlanSchema} from './transfer-plan-schema.ts';
import {createHash} from 'node:crypto';
import {type Digest, finishDigest} from '../model/digest.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {compareText} from './compare.ts';

/**
 * The largest plan that is read or written: some 20,000 images. It is held in memory as a whole, so its size is what
 * bounds the memory.
 */
export const PLAN_LIMITS: JsonLimits = {size: 64 * 1024 * 1024, depth: 20, values: 1_500_000};
/** Characters of what is wrong with a plan. */
const WORDS_LIMIT = 500;

/** Items of a plan that are written at once. */
const ITEMS_AT_ONCE = 500;

/**
 * The plan as a file: indented and printable JSON for reviews, the fields in the schema's order, a newline at the end. It comes in
 * pieces: as one text a large plan would take more memory than it takes as it is.
 */
export function* planText(plan: Plan): Generator<string> {
  const {shape} = plan.kind === 'copy' ? copyPlanSchema : transferPlanSchema;
  const values = new Map<string, unknown>(Object.entries(plan));
  let before = '{';
  for (const [key, schema] of Object.entries<z.ZodType>(shape)) {
    const value = values.get(key);
    if (value === undefined) continue;
    yield `${before}\n  ${JSON.stringify(key)}: `;
    before = ',';
    if (Array.isArray(value) && value.length > 0) yield* listText(schema, value);
    else yield indented(schema.parse(value), '  ');
  }
  yield '\n}\n';
}

function* listText(schema: z.ZodType, items: readonly unknown[]): Generator<string> {
  for (let at = 0; at < items.length; at += ITEMS_AT_ONCE) {
    const some = schema.parse(items.slice(at, at + ITEMS_AT_ONCE)) as readonly unknown[];
    const texts = some.map((item) => `\n    ${indented(item, '    ')}`);
    yield `${at === 0 ? '[' : ','}${texts.join(',')}`;
  }
  yield '\n  ]';
}

function indented(value: unknown, indent: string): string {
  return printableJsonText(JSON.stringify(value, null, 2)).replaceAll('\n', `\n${indent}`);
}

/** `planText` as one. */
export function serializePlan(plan: Plan): string {
  return [...planText(plan)].join('');
}

/**
 * Reads a plan file and makes sure that nobody has changed it.
 * @param fileName for messages
 * @throws TransshipError PLAN_INVALID, PLAN_FORMAT_NEWER, PLAN_EDITED
 */
export function parsePlan(text: Uint8Array | string, fileName: string): Plan {
  const json = readJson(text, fileName);
  const format = z.object({format: z.int()}).safeParse(json);
  if (format.success && format.data.format > PLAN_FORMAT) {
    throw new TransshipError(
      'PLAN_FORMAT_NEWER',
      `${fileName} has format ${format.data.format}; this version reads up to ${PLAN_FORMAT}`,
      {side: 'local', hint: 'update transship, or plan again with this version'},
    );
  }
  const parsed = planSchema.safeParse(json);
  if (!parsed.success) throw invalid(describeIssues(parsed.error), fileName, parsed.error);
  const plan: Plan = parsed.data;
  const id = planId(plan);
  if (id === plan.id) return plan;
  throw new TransshipError(
    'PLAN_EDITED',
    `${fileName} was changed after it was made: its content is ${id}, its id says ${plan.id}`,
    {
      side: 'local',
      hint: 'do not edit plans; change the flags or the migration file and plan again',
    },
  );
}

function readJson(text: Uint8Array | string, fileName: string): unknown {
  try {
    return parseJson(text, PLAN_LIMITS);
  } catch (cause) {
    throw invalid(`it ${(cause as JsonError).message}`, fileName, cause);
  }
}

/** The first issue is enough, and the beginning of it: it may name every field of a file that is no plan. */
function describeIssues({issues}: z.ZodError): string {
  const [issue] = issues;
  const path = (issue?.path ?? []).map(String).join('.');
  const words = path === '' ? (issue?.message ?? '') : `${path}: ${issue?.message ?? ''}`;
  return words.length > WORDS_LIMIT ? `${words.slice(0, WORDS_LIMIT)}…` : words;
}

function invalid(why: string, fileName: string, cause: unknown): TransshipError {
  return new TransshipError('PLAN_INVALID', `${fileName} is not a plan: ${why}`, {
    side: 'local',
    hint: 'name a file written by "transship plan --out", complete and unchanged',
    cause,
  });
}

/**
 * The plan file. Its types are those of model/plan.ts and model/transfer-plan.ts; the compiler compares them with the
 * schemas. Unknown fields are refused: what this version does not understand it must not carry out.
 */
const planSchema = z
  .discriminatedUnion('kind', [copyPlanSchema, transferPlanSchema])
  .describe('What transship will do: digest-pinned, without clock and secrets.');

/** The JSON Schema of plan files (draft 2020-12), as it is published in `plans/plan.schema.json`. */
export function planJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(planSchema);
  return {$schema, title: 'transship plan', ...schema};
}

/**
 * The identity of a plan: sha256 over all of it but `id` and `signature`, as JSON with sorted keys and without
 * whitespace. It tells that a plan was changed by mistake: whoever changes it on purpose can compute the id anew.
 */
export function planId(plan: Omit<CopyPlan, 'id'> | Omit<TransferPlan, 'id'>): Digest {
  const {id: _id, signature: _signature, ...content} = plan as Partial<Plan>;
  const hash = createHash('sha256');
  for (const piece of jsonPieces(content)) hash.update(piece);
  return finishDigest(hash, 'sha256');
}

/** JSON with sorted keys, item by item: as one text a large plan would take twice the memory that it takes as it is. */
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
