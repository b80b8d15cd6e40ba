import {z} from 'zod';
import {DIGEST_PATTERN, type Digest} from '../model/digest.ts';
import {type Check, PLAN_FORMAT, type Plan} from '../model/plan.ts';
import {TAG_PATTERN, type Tag} from '../model/reference.ts';

/**
 * The plan file. Its types are those of model/plan.ts; the compiler compares the two below. Unknown fields are refused:
 * what this version does not understand it must not carry out.
 */

const count = (description: string) => z.int().nonnegative().describe(description);
const size = (what: string) => count(`Bytes of ${what}.`);
const digest = (description: string) =>
  z.string().regex(DIGEST_PATTERN).describe(description) as unknown as z.ZodType<Digest>;
const tag = (description: string) =>
  z.string().regex(TAG_PATTERN).describe(description) as unknown as z.ZodType<Tag>;
const repository = (what: string) =>
  z.string().min(1).describe(`${what}: host/path, or a transport with a file.`);

const filters = z
  .strictObject({
    tags: z.array(z.string()).describe('Globs; a tag must match one of them.').exactOptional(),
    excludeTags: z
      .array(z.string())
      .describe('Globs; a tag must match none of them.')
      .exactOptional(),
    semver: z.string().describe('A range of versions, as node-semver reads it.').exactOptional(),
    newest: z.int().positive().describe('Only the newest so many tags.').exactOptional(),
    newerThan: z
      .string()
      .describe('Only what was created after this time (ISO 8601).')
      .exactOptional(),
    platforms: z
      .array(z.string())
      .describe('os/architecture[/variant]; none: all platforms.')
      .exactOptional(),
  })
  .describe('The filters, as they were given.');

const wish = z
  .strictObject({
    source: z.string().describe('The source, as it was given.'),
    destination: z.string().describe('The destination, as it was given.'),
    filters,
  })
  .describe('What somebody wants, in their words.');

const plannedManifest = z
  .strictObject({
    digest: digest('The digest of the manifest.'),
    mediaType: z.string().describe('The media type of the manifest.'),
    size: size('the manifest'),
    manifests: z.array(digest('A child.')).describe('Child manifests, in its own order.'),
    blobs: z.array(digest('A blob.')).describe('Blobs that it needs, in its own order.'),
    subject: digest('The manifest that it refers to.').exactOptional(),
    cutFrom: z
      .strictObject({
        digest: digest('The index at the source.'),
        keep: z.array(digest('A manifest.')).describe('The manifests of it that stay.'),
      })
      .describe('Set for an index that is cut down to some of its manifests.')
      .exactOptional(),
  })
  .describe('A manifest; its bytes are read from the source by digest.');

const step = z
  .strictObject({
    kind: z.literal('copy').describe('The kind of the step.'),
    id: z.string().min(1).describe('Unique in the plan.'),
    from: repository('The source repository'),
    to: repository('The destination repository'),
    digest: digest('The manifest that is to be at the destination.'),
    tag: tag('The tag that it gets; absent: it is put by digest only.').exactOptional(),
    sourceTag: z
      .strictObject({
        name: tag('The tag at the source.'),
        digest: digest('What it pointed to when planning.'),
      })
      .describe('The tag that it was found by; absent: it was found by digest.')
      .exactOptional(),
    replaces: digest('A digest.')
      .nullable()
      .describe('What the tag pointed to at the destination when planning; null: nothing.'),
    manifests: z
      .array(digest('A manifest.'))
      .min(1)
      .describe('The manifests to be put, in this order; the digest of the step is the last.'),
    needs: z.array(z.string()).describe('Steps that must be done before.'),
    why: z.string().describe('Why the step is there, for people.'),
  })
  .describe('One image or artifact that is copied.');

const blob = z
  .strictObject({
    digest: digest('The digest of the blob.'),
    mediaType: z.string().describe('The media type of the blob.'),
    size: size('the blob'),
    from: repository('The source repository'),
    to: repository('The destination repository'),
    action: z
      .enum(['copy', 'mount', 'present', 'foreign'])
      .describe(
        'copy: its bytes travel. mount: taken from another repository of the same registry. present: there already. foreign: on neither side; the manifest names URLs for it.',
      ),
    mountFrom: repository('The repository that it is mounted from').exactOptional(),
  })
  .describe('What happens to one blob at one destination repository.');

const skippedFrom = repository('The source repository');
const skippedDetail = z.string().describe('What exactly the reason is, for people.');
const skip = z
  .discriminatedUnion('reason', [
    z
      .strictObject({
        reason: z.literal('present').describe('There already, with this very digest.'),
        from: skippedFrom,
        to: repository('The destination repository'),
        tag: tag('The tag at the destination.').exactOptional(),
        digest: digest('The manifest.'),
      })
      .describe('An image that is there already.'),
    z
      .strictObject({
        reason: z
          .enum(['filtered', 'invalid-name'])
          .describe('filtered: by a filter. invalid-name: no client can ask for such a tag.'),
        from: skippedFrom,
        tag: z.string().describe('The tag at the source.').exactOptional(),
        digest: digest('The manifest.').exactOptional(),
        detail: skippedDetail,
      })
      .describe('What the filters leave out.'),
    z
      .strictObject({
        reason: z
          .enum(['unsupported', 'incomplete'])
          .describe('unsupported: of a kind that cannot be copied. incomplete: not whole.'),
        from: skippedFrom,
        tag: z.string().describe('The tag at the source.').exactOptional(),
        digest: digest('The manifest.').exactOptional(),
        detail: skippedDetail,
      })
      .describe('What cannot be copied.'),
  ])
  .describe('Something that is not done, and why.');

/** Any code passes: a later version may have found what this one does not look for. */
const checkCode = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/)
  .describe('What was found; stable.') as unknown as z.ZodType<Check['code']>;

const check = z
  .strictObject({
    code: checkCode,
    result: z.enum(['warn', 'forbid']).describe('forbid: the plan cannot be applied.'),
    subject: z.string().describe('What it was found at.'),
    message: z.string().describe('The finding, for people.'),
    hint: z.string().describe('What to do about it, for people.'),
  })
  .describe('A finding about the plan.');

const totals = z
  .strictObject({
    steps: count('Images and artifacts to be copied.'),
    present: count('Images that are there already.'),
    skipped: count('What is skipped for any other reason.'),
    manifests: count('Manifests to be put, each once for each destination repository.'),
    blobs: z
      .strictObject({
        copy: count('Blobs whose bytes travel.'),
        mount: count('Blobs that are mounted.'),
        present: count('Blobs that are there already.'),
        foreign: count('Blobs that stay where their URLs say.'),
      })
      .describe('Blobs, each once for each destination repository.'),
    bytes: size('the blobs to be copied'),
    bytesSaved: size('the blobs that need not travel'),
    requests: z
      .strictObject({
        source: count('Requests to the source.'),
        destination: count('Requests to the destination.'),
      })
      .describe('An estimate of the requests that applying takes.'),
  })
  .describe('The plan in numbers.');

export const planSchema = z
  .strictObject({
    format: z.literal(PLAN_FORMAT).describe('The version of this format.'),
    id: digest('The sha256 of all the rest, as JSON with sorted keys and without whitespace.'),
    kind: z.literal('copy').describe('The kind of the plan.'),
    wish,
    steps: z.array(step).describe('What is done, in this order as far as order matters.'),
    manifests: z.array(plannedManifest).describe('Every manifest of the plan, once.'),
    blobs: z.array(blob).describe('Every blob, once for each destination repository.'),
    skipped: z.array(skip).describe('What is not done.'),
    checks: z.array(check).describe('What to know before applying.'),
    totals,
  })
  .describe('What transship will do: digest-pinned, without clock and secrets.');

/** The JSON Schema of plan files (draft 2020-12), as it is published in `plans/plan.schema.json`. */
export function planJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(planSchema);
  return {$schema, title: 'transship plan', ...schema};
}

type DeepReadonly<T> = T extends string | number | boolean | null | undefined
  ? T
  : {readonly [K in keyof T]: DeepReadonly<T[K]>};
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
/** Does not compile where a field is in one of the two only, or differs. */
true satisfies Same<DeepReadonly<z.infer<typeof planSchema>>, Plan>;
