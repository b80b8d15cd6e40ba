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
    newest: z.int().positive().describe('Only the newest so many tags.').exactOptional(),
    newerThan: z
      .string()
      .describe('Only what was created after this time (ISO 8601).')
      .exactOptional(),
    platforms: listOf(z.string())
      .describe('os/architecture[/variant]; none: all platforms.')
      .exactOptional(),
    rename: listOf(
      z.strictObject({
        pattern: z
          .string()
          .refine((pattern) => whyNotRenamePattern(pattern) === undefined, 'not a pattern of tags')
          .describe('A regular expression that matches the whole tag.'),
        replacement: z.string().describe('With $1 to $9, $<name> or $&.'),
      }),
    )
      .describe('New names of tags; the first pattern that matches is used.')
      .exactOptional(),
    noClobber: z.boolean().describe('Tags at the destination stay as they are.').exactOptional(),
    allowEmpty: z.boolean().describe('Filters may leave nothing.').exactOptional(),
    convertSchema1: z
      .boolean()
      .describe('Images of Docker schema 1 are copied as images of schema 2.')
      .exactOptional(),
    includeForeign: z.boolean().describe('Foreign layers are copied.').exactOptional(),
    convertForeign: z
      .boolean()
      .describe('Foreign layers are copied and become ordinary ones.')
      .exactOptional(),
  })
  .describe('The filters, as they were given.');

const routeWish = z
  .strictObject({
    source: z.string().describe('The source, as it was given.'),
    destination: z.string().describe('The destination, as it was given.'),
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
    keep: globs('Globs of tags that stay.'),
    keepNewest: z.int().positive().describe('So many of the newest stay.').exactOptional(),
    olderThan: z.string().describe('Only what is older than this time (ISO 8601).').exactOptional(),
  })
  .describe('The rules, as they were given.');

const cleanupRules = z
  .strictObject({
    project: z.string().describe('The full path of the project.'),
    enabled: z.boolean().describe('Whether GitLab runs the policy by itself.'),
    nameRegex: z.string().describe('RE2: the whole name of a tag that may go.'),
    nameRegexKeep: z.string().describe('RE2: the whole name of a tag that stays.').exactOptional(),
    keepN: z.int().nonnegative().describe('So many of the newest stay.').exactOptional(),
    olderThan: z.string().describe('Only what is older than this time (ISO 8601).').exactOptional(),
    protects: listOf(z.string())
      .describe('RE2: anywhere in the names of protected and immutable tags.')
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
    'A repository whose tags are deleted by rules, or as the cleanup policy of its project says.',
  );

const routeRow = z
  .tuple([
    index('repositories', 'The source'),
    index('repositories', 'The destination'),
    z.int().nonnegative().describe('The index of its wish in wish.routes.'),
  ])
  .describe('A source repository, its destination, and whose wish it is.');

export const copyPlanFile = z
  .strictObject({
    ...head,
    kind: z.literal('copy').describe('The kind of the plan.'),
    wish: z
      .strictObject({
        routes: listOf(routeWish).describe('At least one, unless tags are only deleted.'),
        deleteSource: z
          .boolean()
          .describe('Delete at the source what was verified at every destination.')
          .exactOptional(),
        archiveSize: z
          .int()
          .positive()
          .describe('Archives are written in parts of so many bytes.')
          .exactOptional(),
        deletes: listOf(deleteWish)
          .describe('Repositories whose tags are deleted by rules.')
          .exactOptional(),
      })
      .describe('What somebody wants, in their words.'),
    mediaTypes: tables.mediaTypes,
    platforms: tables.platforms,
    repositories: tables.repositories,
    routes: listOf(routeRow).describe('Every source repository and where it goes.'),
    creations: listOf(createRecord).describe(
      'GitLab groups and projects that are created first, parents before what is in them.',
    ),
    blobs: tables.blobs,
    manifests: tables.manifests,
    copies: listOf(copyRecord).describe('What is copied, in this order as far as order matters.'),
    deletions: listOf(deleteRecord).describe(
      'What is deleted after all copies, in this order as far as order matters.',
    ),
    blobActions: listOf(blobRecord).describe(
      'What happens to the blobs, each once for each destination repository.',
    ),
    ...tail,
  })
  .describe('Copies of images: digest-pinned, without clock and secrets.');

/** The file of a plan of copies; see docs/plan-format.md. */
export type CopyPlanFile = Checked<typeof copyPlanFile>;
/** Without what is computed from the rest. */
export type CopyPlanContent = Omit<CopyPlanFile, 'id' | 'signature'>;
