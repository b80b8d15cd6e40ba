import {z} from '../model/schema.ts';
import {DIGEST_PATTERN, type Digest} from '../model/digest.ts';
import {type Check, DELETE_REASONS, PLAN_FORMAT, UNCHOSEN_REASONS} from '../model/plan.ts';
import {PLATFORM_PATTERN} from '../model/platform.ts';
import {LAYOUT_NAME_PATTERN, type Tag, TAG_PATTERN, UNPRINTABLE_CLASS} from '../model/reference.ts';

/**
 * What plan files of all kinds are made of. Repositories, media types, blobs and manifests are written once, in tables,
 * and named by their index.
 */

export const count = (description: string) => z.int().nonnegative().describe(description);
/** It is shown on terminals: no controls, and nothing that is not seen or turns the direction of text. */
const SHOWABLE = new RegExp(`^[^${UNPRINTABLE_CLASS}]{1,8000}$`, 'u');
export const stepIdSchema = z.string().regex(SHOWABLE).describe('Unique in the plan.');
export const size = (what: string) => count(`Bytes of ${what}.`);
export const digest = (description: string) =>
  z.string().regex(DIGEST_PATTERN).describe(description) as unknown as z.ZodType<Digest>;
export const tag = (description: string) =>
  z.string().regex(TAG_PATTERN).describe(description) as unknown as z.ZodType<Tag>;
/**
 * An array that reports only its first invalid item. zod's own arrays create an issue for each one, of which an untrusted plan
 * may have a million. In the published schema it is an ordinary array.
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

/** The index of something in a table of the same file; what it leads to is looked up, and missed, by `TableReader`. */
export const index = (table: TableName, what: string) => count(`${what}: its index in ${table}.`);
export const indexes = (table: TableName, what: string) =>
  listOf(z.int().nonnegative()).describe(`${what}: indexes in ${table}.`);

/**
 * What an image is called at one end of a copy: in a layout a name, in a registry a tag, which is checked where the end
 * is known.
 */
const name = (description: string) =>
  z.string().regex(LAYOUT_NAME_PATTERN).describe(description) as unknown as z.ZodType<Tag>;

const blobRow = z
  .tuple([
    digest('The digest of the blob.'),
    index('mediaTypes', 'The media type').optional(),
    size('the blob').optional(),
    listOf(z.string().regex(/^https?:\/\/[\x21-\x7e]+$/i))
      .describe('Where a foreign layer is read that the source does not have.')
      .optional(),
  ])
  .describe('A blob: digest, and where something happens to it media type and size.');

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
        ).describe('What the layers hold, the base first.'),
      })
      .describe('The manifest and its config, the first blob, were made from it.'),
    z
      .strictObject({
        kind: z.literal('foreign-layers').describe('An image with foreign layers.'),
        digest: digest('The manifest at the source.'),
      })
      .describe('Its layers became ordinary ones.'),
    z
      .strictObject({
        kind: z.literal('index').describe('An index of converted manifests.'),
        digest: digest('The index at the source.'),
        keep: listOf(digest('A manifest.'))
          .describe('The manifests of it that stay. Absent: all.')
          .exactOptional(),
        instead: listOf(
          z
            .strictObject({
              from: digest('The manifest at the source.'),
              to: index('manifests', 'The converted manifest'),
            })
            .describe('One that is listed in the place of another one.'),
        ).describe('What it lists in the place of what.'),
      })
      .describe('It lists converted manifests.'),
  ])
  .describe('Set for a manifest that is converted from another form.');

const manifestRow = z
  .tuple([
    digest('The digest of the manifest.'),
    index('mediaTypes', 'The media type'),
    size('the manifest'),
    indexes('blobs', 'The blobs that it needs, in its own order'),
    indexes('manifests', 'Child manifests, in its own order; each stands before it'),
    z
      .strictObject({
        platform: index('platforms', 'The platform of the image').exactOptional(),
        subject: digest('The manifest that it refers to.').exactOptional(),
        cutFrom: z
          .strictObject({
            digest: digest('The index at the source.'),
            keep: indexes('manifests', 'The manifests of it that stay'),
          })
          .describe('Set for an index that is cut down to some of its manifests.')
          .exactOptional(),
        convertedFrom: conversion.exactOptional(),
      })
      .describe('What not all manifests have.')
      .optional(),
  ])
  .describe('A manifest: digest, media type, size, blobs, children, and perhaps more.');

/** The tables that records of all kinds refer to. */
export const tables = {
  mediaTypes: listOf(z.string()).describe('Media types.'),
  platforms: listOf(z.string().regex(PLATFORM_PATTERN), 1)
    .describe('Platforms of images: os/architecture[/variant]. Absent: none is known.')
    .exactOptional(),
  repositories: listOf(z.string().regex(SHOWABLE)).describe(
    'Repositories: host/path, or a transport with a file.',
  ),
  blobs: listOf(blobRow).describe('Every blob of the plan.'),
  manifests: listOf(manifestRow).describe('Every manifest of the plan, once, children first.'),
};

export const copyRecord = z
  .strictObject({
    route: index('routes', 'Source and destination'),
    manifest: index('manifests', 'The manifest that is to be at the destination'),
    tag: name(
      'The tag that it gets, or in a layout the name; absent: it is put by digest only.',
    ).exactOptional(),
    sourceTag: name('A name.')
      .nullable()
      .describe(
        'The tag at the source, or in a layout the name. Absent: it is the same as tag; null: it was found by digest.',
      )
      .exactOptional(),
    sourceDigest: digest(
      'What the tag at the source pointed to when planning. Absent: the manifest.',
    ).exactOptional(),
    replaces: digest(
      'What the tag pointed to at the destination when planning. Absent: nothing.',
    ).exactOptional(),
    put: indexes(
      'manifests',
      'The manifests to be put, in this order, the own one last. Absent: the manifest and all below it, children first',
    ).exactOptional(),
    needs: indexes('copies', 'Copies of the same list that must be done before').exactOptional(),
    why: z
      .string()
      .describe('Why it is copied, for people. Absent: what replaces says.')
      .exactOptional(),
  })
  .describe('One image or artifact that is copied.');

export const blobRecord = z
  .strictObject({
    route: index('routes', 'Source and destination'),
    action: z
      .enum(['copy', 'mount', 'present', 'foreign'])
      .describe(
        'copy: the bytes travel. mount: taken from another repository of the same registry. present: there already. foreign: on neither side; the manifest names URLs.',
      ),
    mountFrom: index('repositories', 'The repository that is mounted from').exactOptional(),
    blobs: indexes('blobs', 'The blobs'),
  })
  .describe('What happens to some blobs at one destination repository.');

export const createRecord = z
  .strictObject({
    kind: z.enum(['create-group', 'create-project']).describe('What is created.'),
    gitlab: z
      .string()
      .regex(/^https?:\/\/\S+$/)
      .describe('The address of the instance.'),
    registry: z.string().regex(SHOWABLE).describe('The registry of the instance.'),
    path: z.string().regex(SHOWABLE).describe('The full path.'),
    visibility: z.enum(['private', 'internal', 'public']).describe('Who may see it.'),
  })
  .describe('A GitLab group or project that is created.');

export const deleteRecord = z
  .strictObject({
    repository: index('repositories', 'The repository'),
    tag: tag('The tag; absent: a referrer, which is deleted by its digest.').exactOptional(),
    digest: digest(
      'What the tag pointed to when planning. Absent: what its copies bring to their destinations.',
    ).exactOptional(),
    reason: z
      .enum(DELETE_REASONS)
      .describe(
        'moved: it was copied. pruned: an earlier plan brought it, and the source no longer has it. rule: chosen by the rules of plan delete.',
      ),
    copies: indexes(
      'copies',
      'Copies that must be verified at their destinations before',
    ).exactOptional(),
    present: indexes(
      'skipped',
      'Images found at their destinations, which must be verified before',
    ).exactOptional(),
    needs: indexes(
      'deletions',
      'Deletions of the same list that must be done before',
    ).exactOptional(),
    why: z
      .string()
      .describe('Why it is deleted, for people. Absent: what reason says.')
      .exactOptional(),
  })
  .describe('A tag or a referrer that is deleted.');

const skippedFrom = index('repositories', 'The source repository');
const skippedTag = z.string().describe('The tag at the source.').exactOptional();
const skippedDigest = digest('The manifest.').exactOptional();
const skippedDetail = z.string().describe('What exactly the reason is, for people.');
const skipRecord = z
  .discriminatedUnion('reason', [
    z
      .strictObject({
        reason: z.literal('present').describe('There already, with this very digest.'),
        route: index('routes', 'Source and destination'),
        tag: name('The tag at the destination, or in a layout the name.').exactOptional(),
        sourceTag: name('The tag at the source. Absent: it is the same as tag.').exactOptional(),
        digest: digest('The manifest.'),
      })
      .describe('An image that is there already.'),
    z
      .strictObject({
        reason: z
          .enum(['filtered', 'invalid-name', 'kept', 'earlier'])
          .describe(
            'filtered: by a filter. invalid-name: not a valid tag. kept: the tag at the destination stays as it is. earlier: an earlier plan brought it.',
          ),
        from: skippedFrom,
        tag: skippedTag,
        digest: skippedDigest,
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
        tag: skippedTag,
        digest: skippedDigest,
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
    project: z
      .string()
      .describe('In a plan of several transfers, the project that it is about; absent: all.')
      .exactOptional(),
    message: z.string().describe('The finding, for people.'),
    hint: z.string().describe('What to do about it, for people.'),
  })
  .describe('A finding about the plan.');

/** Where a part of a wish is written. */
export const wishPosition = z
  .strictObject({
    file: z.string().describe('The migration file.'),
    line: z.int().positive().describe('The line, from 1.'),
    column: z.int().positive().describe('The column, from 1.'),
  })
  .describe('Where it is written; absent: on the command line.');

/** What every plan file begins with, but for its kind. */
export const head = {
  format: z.literal(PLAN_FORMAT).describe('The version of this format.'),
  id: digest(
    'The sha256 of all the rest but the signature, as JSON with sorted keys and without whitespace.',
  ),
  signature: z
    .string()
    .regex(/^[A-Za-z0-9+/]{86}==$/)
    .describe('A signature of the line "transship plan <id>": ed25519, base64.')
    .exactOptional(),
};
/** What every plan file ends with. */
export const tail = {
  skipped: listOf(skipRecord).describe('What is not done.'),
  checks: listOf(check).describe('What to know before applying, but for what the steps say.'),
};

type DeepReadonly<T> = T extends string | number | boolean | null | undefined
  ? T
  : {readonly [K in keyof T]: DeepReadonly<T[K]>};
/** What a schema lets through, not to be changed. */
export type Checked<Schema extends z.ZodType> = DeepReadonly<z.infer<Schema>>;

export type BlobRow = Checked<typeof blobRow>;
export type ManifestRow = Checked<typeof manifestRow>;
export type CreateRecord = Checked<typeof createRecord>;
export type DeleteRecord = Checked<typeof deleteRecord>;
export type CopyRecord = Checked<typeof copyRecord>;
export type BlobRecord = Checked<typeof blobRecord>;
export type SkipRecord = Checked<typeof skipRecord>;
