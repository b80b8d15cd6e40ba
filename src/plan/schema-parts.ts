import {z} from '../model/schema.ts';
import {DIGEST_PATTERN, type Digest} from '../model/digest.ts';
import {type Check, UNCHOSEN_REASONS} from '../model/plan.ts';
import {
  isTag,
  LAYOUT_NAME_PATTERN,
  TAG_PATTERN,
  type Tag,
  UNPRINTABLE_CLASS,
} from '../model/reference.ts';

/** What plan files of all kinds are made of. */

export const count = (description: string) => z.int().nonnegative().describe(description);
/** It is shown on terminals: no controls, and nothing that is not seen or turns the direction of text. */
export const stepId = z
  .string()
  .regex(new RegExp(`^[^${UNPRINTABLE_CLASS}]{1,8000}$`, 'u'))
  .describe('Unique in the plan.');
export const size = (what: string) => count(`Bytes of ${what}.`);
export const digest = (description: string) =>
  z.string().regex(DIGEST_PATTERN).describe(description) as unknown as z.ZodType<Digest>;
export const tag = (description: string) =>
  z.string().regex(TAG_PATTERN).describe(description) as unknown as z.ZodType<Tag>;
/**
 * An array whose check ends at the first wrong item, in the published schema as any array: zod makes an issue of each, and
 * a plan of somebody else's may have a million.
 */
export const listOf = <T extends z.ZodType>(item: T, least = 0) =>
  z
    .unknown()
    .superRefine((values, context) => {
      for (const [at, value] of (Array.isArray(values) ? values : []).entries()) {
        const [issue] = item.safeParse(value).error?.issues ?? [];
        if (issue === undefined) continue;
        context.addIssue({code: 'custom', message: issue.message, path: [at, ...issue.path]});
        return;
      }
    })
    .pipe(least === 0 ? z.array(item) : z.array(item).min(least));
export const repository = (what: string) =>
  z.string().min(1).describe(`${what}: host/path, or a transport with a file.`);

/** What an image is called at one end of a copy: in a layout a name, in a registry a tag; see `isCalledRightly`. */
const name = (description: string) =>
  z.string().regex(LAYOUT_NAME_PATTERN).describe(description) as unknown as z.ZodType<Tag>;

/** A name that is no tag must not get into the address of a request to a registry. */
function isCalledRightly(place: string, called: string | undefined): boolean {
  return called === undefined || isTag(called) || /^oci(?:-archive)?:/.test(place);
}

const plannedManifest = z
  .strictObject({
    digest: digest('The digest of the manifest.'),
    mediaType: z.string().describe('The media type of the manifest.'),
    size: size('the manifest'),
    manifests: listOf(digest('A child.')).describe('Child manifests, in its own order.'),
    blobs: listOf(digest('A blob.')).describe('Blobs that it needs, in its own order.'),
    subject: digest('The manifest that it refers to.').exactOptional(),
    cutFrom: z
      .strictObject({
        digest: digest('The index at the source.'),
        keep: listOf(digest('A manifest.')).describe('The manifests of it that stay.'),
      })
      .describe('Set for an index that is cut down to some of its manifests.')
      .exactOptional(),
  })
  .describe('A manifest; its bytes are read from the source by digest.');

export const copyStep = z
  .strictObject({
    kind: z.literal('copy').describe('The kind of the step.'),
    id: stepId,
    from: repository('The source repository'),
    to: repository('The destination repository'),
    digest: digest('The manifest that is to be at the destination.'),
    tag: name(
      'The tag that it gets, or in a layout the name; absent: it is put by digest only.',
    ).exactOptional(),
    sourceTag: z
      .strictObject({
        name: name('The tag at the source, or in a layout the name.'),
        digest: digest('What it pointed to when planning.'),
      })
      .describe('The tag that it was found by; absent: it was found by digest.')
      .exactOptional(),
    replaces: digest('A digest.')
      .nullable()
      .describe('What the tag pointed to at the destination when planning; null: nothing.'),
    manifests: listOf(digest('A manifest.'), 1).describe(
      'The manifests to be put, in this order; the digest of the step is the last.',
    ),
    needs: listOf(z.string()).describe('Steps that must be done before.'),
    why: z.string().describe('Why the step is there, for people.'),
  })
  .refine(
    ({from, to, tag: toTag, sourceTag}) =>
      isCalledRightly(to, toTag) && isCalledRightly(from, sourceTag?.name),
    {error: 'only in a layout has an image a name that is no tag'},
  )
  .describe('One image or artifact that is copied.');

export const blob = z
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
        tag: name('The tag at the destination, or in a layout the name.').exactOptional(),
        digest: digest('The manifest.'),
      })
      .refine(({to, tag: toTag}) => isCalledRightly(to, toTag), {
        error: 'only in a layout has an image a name that is no tag',
      })
      .describe('An image that is there already.'),
    z
      .strictObject({
        reason: z
          .enum(['filtered', 'invalid-name', 'kept'])
          .describe(
            'filtered: by a filter. invalid-name: not a valid tag. kept: the tag at the destination stays as it is.',
          ),
        from: skippedFrom,
        tag: z.string().describe('The tag at the source.').exactOptional(),
        digest: digest('The manifest.').exactOptional(),
        detail: skippedDetail,
      })
      .describe('What the filters leave out.'),
    z
      .strictObject({
        reason: z
          .enum(UNCHOSEN_REASONS)
          .describe(
            'unsupported: of a kind that cannot be copied. incomplete: not whole. gone: listed, but not there. unnamed: in a layout without a name that is a tag at the destination.',
          ),
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
    result: z
      .enum(['pass', 'warn', 'forbid'])
      .describe('pass: it was proved. forbid: the plan cannot be applied.'),
    subject: z.string().describe('What it was found at.'),
    message: z.string().describe('The finding, for people.'),
    hint: z.string().describe('What to do about it, for people.'),
  })
  .describe('A finding about the plan.');

export const totals = z
  .strictObject({
    steps: count('Images and artifacts to be copied.'),
    moves: count('Of those, the ones whose tag moves from another image at the destination.'),
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

export const planIdField = digest(
  'The sha256 of all the rest but the signature, as JSON with sorted keys and without whitespace.',
);
export const planSignature = z
  .string()
  .regex(/^[A-Za-z0-9+/]{86}==$/)
  .describe('A signature of the line "transship plan <id>": ed25519, base64.');
export const checks = listOf(check).describe('What to know before applying.');
export const skipped = listOf(skip).describe('What is not done.');
export const manifests = listOf(plannedManifest).describe('Every manifest of the plan, once.');

type DeepReadonly<T> = T extends string | number | boolean | null | undefined
  ? T
  : {readonly [K in keyof T]: DeepReadonly<T[K]>};
/** `true` where a schema and a type of the model say the same; `never` where a field is in one only, or differs. */
export type Says<Schema extends z.ZodType, Model> = [DeepReadonly<z.infer<Schema>>] extends [Model]
  ? [Model] extends [DeepReadonly<z.infer<Schema>>]
    ? true
    : never
  : never;
