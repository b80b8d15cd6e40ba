import {z} from '../model/schema.ts';
import {DIGEST_PATTERN, type Digest} from '../model/digest.ts';
import {type Check, DELETE_REASONS, PLAN_FORMAT, UNCHOSEN_REASONS} from '../model/plan.ts';
import {PLATFORM_PATTERN} from '../model/platform.ts';
import {LAYOUT_NAME_PATTERN, type Tag, TAG_PATTERN, UNPRINTABLE_CLASS} from '../model/reference.ts';

/**
 * The parts that plan files of all kinds share. Repositories, media types, blobs and manifests are written once, in
 * tables, and referred to by index.
 */

export const count = (description: string) => z.int().nonnegative().describe(description);
/**
 * Terminals show these texts: they must not contain control characters, invisible characters, or characters that change
 * the direction of text.
 */
const SHOWABLE = new RegExp(`^[^${UNPRINTABLE_CLASS}]{1,8000}$`, 'u');
export const stepIdSchema = z.string().regex(SHOWABLE).describe('Unique in the plan.');
export const size = (what: string) => count(`Bytes of ${what}.`);
export const digest = (description: string) =>
  z.string().regex(DIGEST_PATTERN).describe(description) as unknown as z.ZodType<Digest>;
export const tag = (description: string) =>
  z.string().regex(TAG_PATTERN).describe(description) as unknown as z.ZodType<Tag>;
/**
 * An array that reports only its first invalid item. zod's own arrays create an issue for each one, of which an
 * untrusted plan may have a million. In the published schema it is an ordinary array.
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

type TableName =
  | 'mediaTypes'
  | 'platforms'
  | 'repositories'
  | 'routes'
  | 'blobs'
  | 'manifests'
  | 'copies'
  | 'skipped'
  | 'deletions';

/** The index of an entry in a table of the same file. `TableReader` looks it up. */
export const index = (table: TableName, what: string) => count(`${what}: its index in ${table}.`);
export const indexes = (table: TableName, what: string) =>
  listOf(z.int().nonnegative()).describe(`${what}: indexes in ${table}.`);

/**
 * The name of an image at one end of a copy: a tag in a registry, a name in a layout. `TableReader` checks which,
 * because it knows the repository.
 */
const name = (description: string) =>
  z.string().regex(LAYOUT_NAME_PATTERN).describe(description) as unknown as z.ZodType<Tag>;

const blobRow = z
  .tuple([
    digest('The digest of the blob.'),
    index('mediaTypes', 'The media type').optional(),
    size('the blob').optional(),
    listOf(z.string().regex(/^https?:\/\/[\x21-\x7e]+$/i))
      .describe('The URLs of a foreign layer that the source does not have.')
      .optional(),
  ])
  .describe('A blob: its digest; its media type and size if there is an action for it.');

const conversion = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('schema1').describe('An image of Docker schema 1.'),
        digest: digest('The manifest at the source.'),
        layers: listOf(
          z
            .strictObject({
              digest: digest('The layer.'),
              mediaType: index('mediaTypes', 'Its media type'),
              size: size('the layer'),
              diffId: digest('Its decompressed content.'),
            })
            .describe('A layer of the image.'),
        ).describe('The layers, starting with the base.'),
      })
      .describe('The manifest and its config, the first blob, were created from it.'),
    z
      .strictObject({
        kind: z.literal('foreign-layers').describe('An image with foreign layers.'),
        digest: digest('The manifest at the source.'),
      })
      .describe('Its layers became ordinary layers.'),
    z
      .strictObject({
        kind: z.literal('index').describe('An index of converted manifests.'),
        digest: digest('The index at the source.'),
        keep: listOf(digest('A manifest.'))
          .describe('The manifests of it that are kept. Absent: all.')
          .exactOptional(),
        instead: listOf(
          z
            .strictObject({
              from: digest('The manifest at the source.'),
              to: index('manifests', 'The converted manifest'),
            })
            .describe('A replaced manifest.'),
        ).describe('The replaced manifests.'),
      })
      .describe('It lists converted manifests.'),
  ])
  .describe('Set for a manifest that is converted from another form.');

const manifestRow = z
  .tuple([
    digest('The digest of the manifest.'),
    index('mediaTypes', 'The media type'),
    size('the manifest'),
    indexes('blobs', 'The blobs that it lists, in its order'),
    indexes('manifests', 'Its child manifests, in its order; each precedes it in the table'),
    z
      .strictObject({
        platform: index('platforms', 'The platform of the image').exactOptional(),
        subject: digest('The manifest that it refers to.').exactOptional(),
        cutFrom: z
          .strictObject({
            digest: digest('The index at the source.'),
            keep: indexes('manifests', 'The manifests of it that are kept'),
          })
          .describe('Set for an index that is reduced to some of its manifests.')
          .exactOptional(),
        convertedFrom: conversion.exactOptional(),
      })
      .describe('Optional fields.')
      .optional(),
  ])
  .describe('A manifest: digest, media type, size, blobs, children, optional fields.');

/** The tables that all records refer to. */
export const tables = {
  mediaTypes: listOf(z.string()).describe('Media types.'),
  platforms: listOf(z.string().regex(PLATFORM_PATTERN), 1)
    .describe('Platforms of images: os/architecture[/variant]. Absent: no platform is known.')
    .exactOptional(),
  repositories: listOf(z.string().regex(SHOWABLE)).describe(
    'Repositories: host/path, or a transport with a path.',
  ),
  blobs: listOf(blobRow).describe('Every blob of the plan.'),
  manifests: listOf(manifestRow).describe('Every manifest of the plan, once, children first.'),
};

export const copyRecord = z
  .strictObject({
    route: index('routes', 'Source and destination'),
    manifest: index('manifests', 'The manifest to copy to the destination'),
    tag: name(
      'Its tag at the destination, or its name in a layout. Absent: it is pushed by digest only.',
    ).exactOptional(),
    sourceTag: name('A name.')
      .nullable()
      .describe(
        'The tag at the source, or the name in a layout. Absent: the same as tag. Null: found by digest.',
      )
      .exactOptional(),
    sourceDigest: digest(
      'The digest that the tag at the source pointed to when planning. Absent: that of the manifest.',
    ).exactOptional(),
    replaces: digest(
      'The digest that the tag at the destination pointed to when planning. Absent: the tag did not exist.',
    ).exactOptional(),
    put: indexes(
      'manifests',
      'The manifests to push, in this order, ending with the copied one. Absent: the manifest and all below it, children first',
    ).exactOptional(),
    needs: indexes('copies', 'Copies of the same list that must be done first').exactOptional(),
    why: z
      .string()
      .describe('Why it is copied, for people. Absent: the reason follows from replaces.')
      .exactOptional(),
  })
  .describe('One image or artifact that is copied.');

export const blobRecord = z
  .strictObject({
    route: index('routes', 'Source and destination'),
    action: z
      .enum(['copy', 'mount', 'present', 'foreign'])
      .describe(
        'copy: the bytes are copied. mount: mounted from another repository of the same registry. present: already at the destination. foreign: on neither side; the manifest lists URLs.',
      ),
    mountFrom: index('repositories', 'The repository to mount from').exactOptional(),
    blobs: indexes('blobs', 'The blobs'),
  })
  .describe('An action for some blobs at a destination repository.');

export const createRecord = z
  .strictObject({
    kind: z
      .enum(['create-group', 'create-project'])
      .describe('Whether a group or a project is created.'),
    gitlab: z
      .string()
      .regex(/^https?:\/\/\S+$/)
      .describe('The address of the instance.'),
    registry: z.string().regex(SHOWABLE).describe('The registry of the instance.'),
    path: z.string().regex(SHOWABLE).describe('The full path.'),
    visibility: z.enum(['private', 'internal', 'public']).describe('Its visibility.'),
  })
  .describe('A GitLab group or project that is created.');

export const deleteRecord = z
  .strictObject({
    repository: index('repositories', 'The repository'),
    tag: tag('The tag. Absent: a referrer, which is deleted by its digest.').exactOptional(),
    digest: digest(
      'The digest that the tag pointed to when planning. Absent: the digest of its copies.',
    ).exactOptional(),
    reason: z
      .enum(DELETE_REASONS)
      .describe(
        'moved: it was copied. pruned: an earlier plan copied it, and the source no longer has it. rule: selected by the rules of plan delete.',
      ),
    copies: indexes(
      'copies',
      'Copies that must be verified at their destinations first',
    ).exactOptional(),
    present: indexes(
      'skipped',
      'Images found at their destinations, which must be verified first',
    ).exactOptional(),
    needs: indexes(
      'deletions',
      'Deletions of the same list that must be done first',
    ).exactOptional(),
    why: z
      .string()
      .describe('Why it is deleted, for people. Absent: the reason field says why.')
      .exactOptional(),
  })
  .describe('A tag or a referrer that is deleted.');

const skippedFrom = index('repositories', 'The source repository');
const skippedTag = z.string().describe('The tag at the source.').exactOptional();
const skippedDigest = digest('The manifest.').exactOptional();
const skippedDetail = z.string().describe('Details of the reason, for people.');
const skipRecord = z
  .discriminatedUnion('reason', [
    z
      .strictObject({
        reason: z.literal('present').describe('The destination has it with the same digest.'),
        route: index('routes', 'Source and destination'),
        tag: name('The tag at the destination, or in a layout the name.').exactOptional(),
        sourceTag: name('The tag at the source. Absent: it is the same as tag.').exactOptional(),
        digest: digest('The manifest.'),
      })
      .describe('An image that the destination already has.'),
    z
      .strictObject({
        reason: z
          .enum(['filtered', 'invalid-name', 'kept', 'earlier'])
          .describe(
            'filtered: excluded by a filter. invalid-name: not a valid tag. kept: the tag at the destination is not overwritten. earlier: an earlier plan copied it.',
          ),
        from: skippedFrom,
        tag: skippedTag,
        digest: skippedDigest,
        detail: skippedDetail,
      })
      .describe('An image that is left out on request.'),
    z
      .strictObject({
        reason: z
          .enum(UNCHOSEN_REASONS)
          .describe(
            'unsupported: cannot be copied. incomplete: parts of it are missing. gone: listed, but does not exist. unnamed: in a layout, without a name that can be a tag.',
          ),
        from: skippedFrom,
        tag: skippedTag,
        digest: skippedDigest,
        detail: skippedDetail,
      })
      .describe('An image that cannot be copied.'),
  ])
  .describe('An image that is not copied, and the reason.');

/** Any code is accepted: a later version may have checks that this one does not know. */
const checkCode = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/)
  .describe('The code of the check; stable.') as unknown as z.ZodType<Check['code']>;

const check = z
  .strictObject({
    code: checkCode,
    result: z
      .enum(['pass', 'warn', 'forbid'])
      .describe(
        'pass: it was proved. warn: look at it before applying. forbid: the plan cannot be applied.',
      ),
    subject: z.string().describe('The subject, such as a repository or a tag.'),
    project: z
      .string()
      .describe('In a plan with several transfers, the project. Absent: all.')
      .exactOptional(),
    message: z.string().describe('What was found, for people.'),
    hint: z.string().describe('What to do, for people.'),
  })
  .describe('A check of the plan.');

/** The position of a part of a wish. */
export const wishPosition = z
  .strictObject({
    file: z.string().describe('The migration file.'),
    line: z.int().positive().describe('The line, from 1.'),
    column: z.int().positive().describe('The column, from 1.'),
  })
  .describe('Its position in the migration file. Absent: it is from the command line.');

/** The first fields of every plan file, except its kind. */
export const head = {
  format: z.literal(PLAN_FORMAT).describe('The version of this format.'),
  id: digest(
    'The sha256 of everything except the id and the signature, as JSON with sorted keys and without whitespace.',
  ),
  signature: z
    .string()
    .regex(/^[A-Za-z0-9+/]{86}==$/)
    .describe('A signature of the line "transship plan <id>": ed25519, base64.')
    .exactOptional(),
};
/** The last fields of every plan file. */
export const tail = {
  skipped: listOf(skipRecord).describe('Images that are not copied.'),
  checks: listOf(check).describe('Checks, except those that follow from the steps.'),
};

type DeepReadonly<T> = T extends string | number | boolean | null | undefined
  ? T
  : {readonly [K in keyof T]: DeepReadonly<T[K]>};
/** The values that a schema accepts, as readonly. */
export type Checked<Schema extends z.ZodType> = DeepReadonly<z.infer<Schema>>;

export type BlobRow = Checked<typeof blobRow>;
export type ManifestRow = Checked<typeof manifestRow>;
export type CreateRecord = Checked<typeof createRecord>;
export type DeleteRecord = Checked<typeof deleteRecord>;
export type CopyRecord = Checked<typeof copyRecord>;
export type BlobRecord = Checked<typeof blobRecord>;
export type SkipRecord = Checked<typeof skipRecord>;
