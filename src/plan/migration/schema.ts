import {parsePlatform} from '../../model/platform.ts';
import {z} from '../../model/schema.ts';
import {parseAge} from '../age.ts';
import {tagSelector} from '../filters.ts';
import {whyNotDestination} from './destination-template.ts';
import {whyNotRepositoryGlob} from './repository-glob.ts';
import {splitHost, whyNotHost} from './registry-path.ts';
import {whyNotRenamePattern, whyNotReplacement} from '../tag-rename.ts';

/** Characters of one text of a migration file: a host and a path of 255 characters each fit with placeholders. */
const TEXT_LIMIT = 1024;
/** Items of a list of globs or names. */
const LIST_LIMIT = 1000;
const ROUTES_LIMIT = 10_000;

function text(
  description: string,
  whyNot: (value: string) => string | undefined = () => undefined,
) {
  return z
    .string()
    .min(1, 'it is empty')
    .max(TEXT_LIMIT, `it has more than ${TEXT_LIMIT} characters`)
    .superRefine((value, context) => {
      const why = value === '' || value.length > TEXT_LIMIT ? undefined : whyNot(value);
      if (why !== undefined) context.addIssue({code: 'custom', message: why});
    })
    .describe(description);
}

/** One text or a list of them. */
function texts(description: string, whyNot?: (value: string) => string | undefined) {
  const item = text(description, whyNot);
  return z
    .union([item, z.array(item).min(1, 'the list is empty').max(LIST_LIMIT)])
    .describe(description);
}

/** The words of a parser of ours, without the flag that it names. */
function whyParserRefuses(parse: (value: string) => unknown) {
  return (value: string): string | undefined => {
    try {
      parse(value);
      return undefined;
    } catch (error) {
      return error instanceof Error
        ? error.message.replace(/^--[a-z-]+ /, '').replace(`"${value}"`, 'it')
        : String(error);
    }
  };
}

function whyNotSource(value: string): string | undefined {
  const {host, path} = splitHost(value);
  return (host === undefined ? undefined : whyNotHost(host)) ?? whyNotRepositoryGlob(path);
}

function whyNotSourceRoot(value: string): string | undefined {
  const {host, path} = splitHost(value.includes('/') ? value : `${value}/`);
  if (host === undefined) return 'it names no registry: write host[:port] or host[:port]/path';
  return whyNotHost(host) ?? (path === '' ? undefined : whyNotPlainPath(path));
}

function whyNotPlainPath(path: string): string | undefined {
  return /^[\w.-]+(?:\/[\w.-]+)*$/.test(path)
    ? undefined
    : `"${path}" is not a path: wildcards and placeholders belong in the routes`;
}

const tagGlobs = (description: string) =>
  texts(
    description,
    whyParserRefuses((glob) => tagSelector({tags: [glob]})),
  );

const renameSchema = z
  .record(z.string(), z.string().max(TEXT_LIMIT))
  .superRefine((renames, context) => {
    for (const [pattern, replacement] of Object.entries(renames)) {
      const wrongKey = whyNotRenamePattern(pattern);
      const why = wrongKey ?? whyNotReplacement({pattern, replacement});
      const params = {isKey: wrongKey !== undefined};
      if (why !== undefined)
        context.addIssue({code: 'custom', message: why, path: [pattern], params});
    }
  })
  .describe(
    'New names of tags: a regular expression that matches the whole tag, and its replacement with $1 to $9, $<name> or $&. The first that matches is used.',
  );

const tagsSchema = z
  .strictObject({
    include: tagGlobs('Only tags that one of these globs matches.').optional(),
    exclude: tagGlobs('No tags that one of these globs matches.').optional(),
    semver: text(
      'Only tags that are versions in this range, as npm writes it.',
      whyParserRefuses((semver) => tagSelector({semver})),
    ).optional(),
    newest: z
      .int()
      .min(1)
      .describe('Only this many images, the newest by their time of creation.')
      .optional(),
    newerThan: text(
      'Only images created after this: an age such as 12h, 90d or 2w, or a date.',
      whyParserRefuses((age) => parseAge(age, new Date(0))),
    ).optional(),
    rename: renameSchema.optional(),
  })
  .describe('Which tags are copied, and their names at the destination. Default: all, unchanged.');

/** What routes have in common, and their defaults. */
const routeDefaults = {
  exclude: texts(
    'Globs: no repositories that one of them matches.',
    whyNotRepositoryGlob,
  ).optional(),
  tags: tagsSchema.optional(),
  platforms: texts(
    'Only these platforms, os/architecture[/variant]. Default: all.',
    whyParserRefuses(parsePlatform),
  ).optional(),
  schema1: z
    .enum(['refuse', 'convert'])
    .describe(
      'Whether images of Docker schema 1 are copied as images of schema 2. Default: refuse.',
    )
    .optional(),
  foreignLayers: z
    .enum(['leave', 'include', 'convert'])
    .describe(
      'Layers by URL: leave them there, copy them too, or copy them as ordinary layers. Default: leave.',
    )
    .optional(),
  repositories: z
    .strictObject({
      file: text(
        'A text file with one repository path on each line; - is stdin. Relative to this file.',
      ),
    })
    .describe('The repositories of the source, where it cannot be asked for them.')
    .optional(),
  project: text(
    'The GitLab project that the destinations are in, a beginning of their path, with the same placeholders. Default: the existing project, else the whole path.',
    // Without a host: whatever its first part looks like, it is a group.
    (value) => whyNotDestination(`x/${value}`),
  ).optional(),
};

const routeSchema = z
  .strictObject({
    from: text(
      'A repository of the source or a glob over its repositories (*, **, ?), after another host if it begins with one.',
      whyNotSource,
    ),
    to: texts(
      'One destination or several: a path below the default destination, or with a host of its own. Placeholders: {path} {name} {parent} {flat} {1} {2} …. Default: {path}.',
      whyNotDestination,
    ).optional(),
    ...routeDefaults,
  })
  .describe('Repositories of one source, and where they go.');

const version = z.literal(1).describe('The version of the language.');

export const copyMigrationSchema = z
  .strictObject({
    version,
    kind: z
      .literal('copy')
      .describe('Images are copied between registries (the default).')
      .optional(),
    from: text(
      'The source of routes that name no host: host[:port], or with the path that they are below.',
      whyNotSourceRoot,
    ).optional(),
    to: text(
      'The destination of routes that name no host, in the same form.',
      whyNotSourceRoot,
    ).optional(),
    ...routeDefaults,
    routes: z
      .array(routeSchema)
      .min(1, 'it has no route')
      .max(ROUTES_LIMIT)
      .describe('What goes where. Each route that matches a repository is used.'),
    gitlab: z
      .strictObject({
        projects: z
          .enum(['require', 'create'])
          .describe('Whether missing projects are created. Default: require.')
          .optional(),
        groups: z
          .enum(['require', 'create'])
          .describe('Whether missing groups are created. Default: require.')
          .optional(),
        visibility: z
          .enum(['private', 'internal', 'public'])
          .describe('The visibility of what is created. Default: private.')
          .optional(),
      })
      .describe('What to do at a destination that is GitLab.')
      .optional(),
    deleteSource: z
      .enum(['never', 'afterVerify'])
      .describe(
        'Whether tags are deleted at the source after their copies were verified. Default: never.',
      )
      .optional(),
    prune: z
      .union([
        z.literal(false),
        z.strictObject({
          maxDeletes: z.int().min(1).describe('The most tags that one plan removes.'),
        }),
      ])
      .describe(
        'Whether tags that an earlier plan of this file copied are removed when the source has lost them. Default: false.',
      )
      .optional(),
  })
  .describe('Images that go from registries to registries.');

const FULL_PATH = /^[a-zA-Z0-9_][\w.-]*(?:\/[a-zA-Z0-9_][\w.-]*)*\/?$/;

function gitlabPath(description: string) {
  return text(description, (value) =>
    FULL_PATH.test(value)
      ? undefined
      : 'it is not a full path: write group/project, without the host',
  );
}

const moveSchema = z
  .strictObject({
    project: gitlabPath('The full path of the project that moves.').optional(),
    group: gitlabPath('The full path of the group that moves, with all below it.').optional(),
    to: gitlabPath('Its new full path, or a namespace followed by /.'),
    donor: text(
      'Where its images wait: a directory (./dir, /dir) or a project. Default: that of the file.',
    ).optional(),
  })
  .describe('One move.');

export const transferMigrationSchema = z
  .strictObject({
    version,
    kind: z.literal('transfer').describe('Projects move inside one GitLab instance.'),
    gitlab: text('The address of the instance, https://host.', (value) =>
      /^https?:\/\/[^\s@/?#]+(?:\/[^\s@?#]*)?$/.test(value)
        ? undefined
        : 'it is not the address of an instance: write https://host, without a login',
    ),
    donor: text('Where images wait: a directory (./dir, /dir) or a project.').optional(),
    createDonor: z
      .boolean()
      .describe('Create the donor project when the plan is applied. Default: false.')
      .optional(),
    moves: z
      .array(moveSchema)
      .min(1, 'it has no move')
      .max(LIST_LIMIT)
      .describe('The projects and groups that move.'),
  })
  .describe('Projects or groups that move inside one GitLab instance.');

const migrationSchema = z.union([copyMigrationSchema, transferMigrationSchema]);

export type CopyMigrationFile = z.infer<typeof copyMigrationSchema>;
export type TransferMigrationFile = z.infer<typeof transferMigrationSchema>;

/** The JSON Schema of migration files (draft 2020-12), as it is published in `plans/migration.schema.json`. */
export function migrationJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(migrationSchema);
  return {$schema, title: 'transship migration', ...schema};
}

/** The keys that the map at a path may have, for suggestions; none: the path is not that of such a map. */
export function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  const [first, ...rest] = path;
  if (schema instanceof z.ZodOptional) return knownKeys(schema.unwrap() as z.ZodType, path);
  if (schema instanceof z.ZodUnion) {
    return schema.options.flatMap((option) => knownKeys(option as z.ZodType, path));
  }
  if (schema instanceof z.ZodArray) return knownKeys(schema.element as z.ZodType, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  if (first === undefined) return Object.keys(schema.shape);
  const inner = Object.hasOwn(schema.shape, first)
    ? (schema.shape as Record<PropertyKey, unknown>)[first]
    : undefined;
  return inner instanceof z.ZodType ? knownKeys(inner, rest) : [];
}
