import {type Digest, digestOf} from '../model/digest.ts';
import type {CopyPlan, Plan} from '../model/plan.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {compareText} from './compare.ts';

/**
 * The identity of a plan: sha256 over all of it but `id` and `signature`, as JSON with sorted keys and without
 * whitespace. It tells that a plan was changed by mistake: whoever changes it on purpose can compute the id anew.
 */
export function planId(plan: Omit<CopyPlan, 'id'> | Omit<TransferPlan, 'id'>): Digest {
  const {id: _id, signature: _signature, ...content} = plan as Partial<Plan>;
  return digestOf(JSON.stringify(content, sortedKeys));
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => compareText(a, b)));
}
