import {z} from '../model/schema.ts';
import {copyPlanSchema} from './copy-plan-schema.ts';
import {transferPlanSchema} from './transfer-plan-schema.ts';

/**
 * The plan file. Its types are those of model/plan.ts and model/transfer-plan.ts; the compiler compares them with the
 * schemas. Unknown fields are refused: what this version does not understand it must not carry out.
 */
export const planSchema = z
  .discriminatedUnion('kind', [copyPlanSchema, transferPlanSchema])
  .describe('What transship will do: digest-pinned, without clock and secrets.');

/** The JSON Schema of plan files (draft 2020-12), as it is published in `plans/plan.schema.json`. */
export function planJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(planSchema);
  return {$schema, title: 'transship plan', ...schema};
}
