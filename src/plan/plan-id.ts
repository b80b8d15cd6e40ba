import {createHash} from 'node:crypto';
import {type Digest, finishDigest} from '../model/digest.ts';
import type {CopyPlan, Plan} from '../model/plan.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {compareText} from './compare.ts';

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
