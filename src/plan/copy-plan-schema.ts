import {z} from '../model/schema.ts';
import {type CopyPlan, PLAN_FORMAT} from '../model/plan.ts';
import {
  blob,
  checks,
  copyStep,
  listOf,
  manifests,
  planIdField,
  planSignature,
  type Says,
  skipped,
  totals,
} from './schema-parts.ts';

const filters = z
  .strictObject({
    tags: listOf(z.string()).describe('Globs; a tag must match one of them.').exactOptional(),
    excludeTags: listOf(z.string())
      .describe('Globs; a tag must match none of them.')
      .exactOptional(),
    semver: z.string().describe('A range of versions, as node-semver reads it.').exactOptional(),
    newest: z.int().positive().describe('Only the newest so many tags.').exactOptional(),
    newerThan: z
      .string()
      .describe('Only what was created after this time (ISO 8601).')
      .exactOptional(),
    platforms: listOf(z.string())
      .describe('os/architecture[/variant]; none: all platforms.')
      .exactOptional(),
    noClobber: z.boolean().describe('Tags at the destination stay as they are.').exactOptional(),
    allowEmpty: z.boolean().describe('Filters may leave nothing.').exactOptional(),
  })
  .describe('The filters, as they were given.');

const wish = z
  .strictObject({
    source: z.string().describe('The source, as it was given.'),
    destination: z.string().describe('The destination, as it was given.'),
    filters,
  })
  .describe('What somebody wants, in their words.');

export const copyPlanSchema = z
  .strictObject({
    format: z.literal(PLAN_FORMAT).describe('The version of this format.'),
    id: planIdField,
    signature: planSignature.exactOptional(),
    kind: z.literal('copy').describe('The kind of the plan.'),
    wish,
    steps: listOf(copyStep).describe('What is done, in this order as far as order matters.'),
    manifests,
    blobs: listOf(blob).describe('Every blob, once for each destination repository.'),
    skipped,
    checks,
    totals,
  })
  .describe('A copy of images: digest-pinned, without clock and secrets.');

true satisfies Says<typeof copyPlanSchema, CopyPlan>;
