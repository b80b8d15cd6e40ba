import {z} from '../model/schema.ts';
import {whyNotRenamePattern} from './tag-rename.ts';
import {
  blobRecord,
  type Checked,
  copyRecord,
  createRecord,
  deleteRecord,
  head,
  index,
  listOf,
  tables,
  tail,
  wishPosition,
} from './schema-parts.ts';

const filters = z
  .strictObject({
    tags: listOf(z.string()).describe('Globs; a tag must match one of them.').exactOptional(),
    excludeTags: listOf(z.string())
      .describe('Globs; a tag must match none of them.')
      .exactOptional(),
    semver: z.string().describe('A range of versions, as node-semver reads it.').exactOptional(),
    newest: z.int().positive().describe('The number of newest tags to select.').exactOptional(),
    newerThan: z
      .string()
      .describe('Select only images created after this time (ISO 8601).')
      .exactOptional(),
    platforms: listOf(z.string())
      .describe('os/architecture[/variant]; empty: all platforms.')
      .exactOptional(),
    rename: listOf(
      z.strictObject({
        pattern: z
          .string()
          .refine(
            (pattern) => whyNotRenamePattern(pattern) === undefined,
            'not a valid pattern for tags',
          )
          .describe('A regular expression that matches the whole tag.'),
        replacement: z.string().describe('The new tag, with $1 to $9, $<name> or $&.'),
      }),
    )
      .describe('New names of tags; the first pattern that matches is used.')
      .exactOptional(),
    noClobber: z.boolean().describe('Existing tags at the destination are kept.').exactOptional(),
    allowEmpty: z.boolean().describe('The filters may select nothing.').exactOptional(),
    convertSchema1: z
      .boolean()
      .describe('Images of Docker schema 1 are converted to schema 2.')
      .exactOptional(),
    includeForeign: z.boolean().describe('Foreign layers are copied.').exactOptional(),
    convertForeign: z
      .boolean()
      .describe('Foreign layers are copied and become ordinary layers.')
      .exactOptional(),
  })
  .describe('The filters, as given.');

const routeWish = z
  .strictObject({
    source: z.string().describe('The source, as given.'),
    destination: z.string().describe('The destination, as given.'),
    filters,
    at: wishPosition.exactOptional(),
  })
  .describe('One source and one destination, or a pattern for many.');

const globs = (description: string) => listOf(z.string()).describe(description).exactOptional();
const deleteRules = z
  .strictObject({
    tags: globs('Globs; a tag must match one of them.'),
    excludeTags: globs('Globs; a tag must match none of them.'),
    semver: z.string().describe('A range of versions.').exactOptional(),
    keep: globs('Globs of tags to keep.'),
    keepNewest: z.int().positive().describe('The number of newest tags to keep.').exactOptional(),
    olderThan: z
      .string()
      .describe('Select only tags older than this time (ISO 8601).')
      .exactOptional(),
  })
  .describe('The rules, as given.');

const cleanupRules = z
  .strictObject({
    project: z.string().describe('The full path of the project.'),
    enabled: z.boolean().describe('Whether GitLab runs the policy.'),
    nameRegex: z.string().describe('RE2 for the whole name of a tag to delete.'),
    nameRegexKeep: z.string().describe('RE2 for the whole name of a tag to keep.').exactOptional(),
    keepN: z.int().nonnegative().describe('The number of newest tags to keep.').exactOptional(),
    olderThan: z
      .string()
      .describe('Select only tags older than this time (ISO 8601).')
      .exactOptional(),
    protects: listOf(z.string())
      .describe('RE2 for a part of the names of protected and immutable tags.')
      .exactOptional(),
  })
  .describe('The cleanup policy of a GitLab project when the plan was made.');

const repositoryName = z.string().describe('The repository.');
const deleteWish = z
  .union([
    z.strictObject({repository: repositoryName, rules: deleteRules}),
    z.strictObject({repository: repositoryName, policy: cleanupRules}),
  ])
  .describe(
    'A repository whose tags are deleted by rules, or as the cleanup policy of its project would delete them.',
  );

const routeRow = z
  .tuple([
    index('repositories', 'The source'),
    index('repositories', 'The destination'),
    z.int().nonnegative().describe('The index of its wish in wish.routes.'),
  ])
  .describe('A source repository, its destination, and the wish that it belongs to.');

export const copyPlanFile = z
  .strictObject({
    ...head,
    kind: z.literal('copy').describe('The kind of the plan.'),
    wish: z
      .strictObject({
        routes: listOf(routeWish).describe('At least one, unless tags are only deleted.'),
        deleteSource: z
          .boolean()
          .describe('Delete tags at the source after they were verified at every destination.')
          .exactOptional(),
        archiveSize: z
          .int()
          .positive()
          .describe('Archives are written in parts of this size, in bytes.')
          .exactOptional(),
        deletes: listOf(deleteWish)
          .describe('Repositories whose tags are deleted by rules.')
          .exactOptional(),
      })
      .describe('The request, as given.'),
    mediaTypes: tables.mediaTypes,
    platforms: tables.platforms,
    repositories: tables.repositories,
    routes: listOf(routeRow).describe('Every source repository and its destination.'),
    creations: listOf(createRecord).describe(
      'GitLab groups and projects to create first, parents before their content.',
    ),
    blobs: tables.blobs,
    manifests: tables.manifests,
    copies: listOf(copyRecord).describe('The copies, in an order that satisfies their needs.'),
    deletions: listOf(deleteRecord).describe(
      'The deletions after all copies, in an order that satisfies their needs.',
    ),
    blobActions: listOf(blobRecord).describe(
      'The actions for blobs; each blob occurs once for each destination repository.',
    ),
    ...tail,
  })
  .describe('Copies of images, pinned to digests, without times and secrets.');

/** The file of a copy plan; see docs/plan-format.md. */
export type CopyPlanFile = Checked<typeof copyPlanFile>;
/** The file without the fields that are computed from the others. */
export type CopyPlanContent = Omit<CopyPlanFile, 'id' | 'signature'>;
