import {parsePlatform} from '../../model/platform.ts';
import {z} from '../../model/schema.ts';
import {parseAge} from '../age.ts';
import {tagSelector} from '../filters.ts';
import {whyNotDestination} from './destination-template.ts';
import {whyNotRepositoryGlob} from './repository-glob.ts';
import {splitHost, whyNotHost} from './registry-path.ts';
import {whyNotRenamePattern, whyNotReplacement} from '../tag-rename.ts';

/**
 * The maximum characters of a text in a migration file: enough for a host and a path of 255 characters each, with
 * placeholders.
 */
const TEXT_LIMIT = 1024;
/** The maximum number of globs or names in a list. */
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

/** A text, or a list of texts. */
function texts(description: string, whyNot?: (value: string) => string | undefined) {
  const item = text(description, whyNot);
  return z
    .union([item, z.array(item).min(1, 'the list is empty').max(LIST_LIMIT)])
    .describe(description);
}

/** The message of one of our parsers, without the flag that it names. */
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
    include: tagGlobs('Select only tags that match one of these globs.').optional(),
    exclude: tagGlobs('Exclude tags that match one of these globs.').optional(),
    semver: text(
      'Select only tags that are versions in this npm range.',
      whyParserRefuses((semver) => tagSelector({semver})),
    ).optional(),
    newest: z
      .int()
      .min(1)
      .describe('Select this many images, the newest by creation time.')
      .optional(),
    newerThan: text(
      'Select only images created after this: an age such as 12h, 90d or 2w, or a date.',
      whyParserRefuses((age) => parseAge(age, new Date(0))),
    ).optional(),
    rename: renameSchema.optional(),
  })
  .describe('Which tags are copied, and their names at the destination. Default: all, unchanged.');

/** The keys that routes and their defaults share. */
const routeDefaults = {
  exclude: texts(
    'Exclude repositories that match one of these globs.',
    whyNotRepositoryGlob,
  ).optional(),
  tags: tagsSchema.optional(),
  platforms: texts(
    'Copy only these platforms, os/architecture[/variant]. Default: all.',
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
      'Layers with URLs: leave them out, copy them, or copy them as ordinary layers. Default: leave.',
    )
    .optional(),
  repositories: z
    .strictObject({
      file: text(
        'A text file with one repository path on each line; - is stdin. Relative to this file.',
      ),
    })
    .describe('The repositories of the source, if it cannot list them.')
    .optional(),
  project: text(
    'The GitLab project of the destinations: the beginning of their path, with the same placeholders. Default: the existing project, or else the whole path.',
    // There is no host here: the first part is a group, whatever it looks like.
    (value) => whyNotDestination(`x/${value}`),
  ).optional(),
};

const routeSchema = z
  .strictObject({
    from: text(
      'A repository of the source, or a glob for its repositories (*, **, ?); a host before it replaces the default source.',
      whyNotSource,
    ),
    to: texts(
      'One or more destinations: paths below the default destination, or with another host. Placeholders: {path} {name} {parent} {flat} {1} {2} …. Default: {path}.',
      whyNotDestination,
    ).optional(),
    ...routeDefaults,
  })
  .describe('Repositories of a source, and their destinations.');

const version = z.literal(1).describe('The version of the file format.');

export const copyMigrationSchema = z
  .strictObject({
    version,
    kind: z
      .literal('copy')
      .describe('Images are copied between registries (the default).')
      .optional(),
    from: text(
      'The source of routes without a host: host[:port], optionally with a path that they are below.',
      whyNotSourceRoot,
    ).optional(),
    to: text(
      'The destination of routes without a host, in the same form.',
      whyNotSourceRoot,
    ).optional(),
    ...routeDefaults,
    routes: z
      .array(routeSchema)
      .min(1, 'it has no route')
      .max(ROUTES_LIMIT)
      .describe('The sources and destinations. Each route that matches a repository is used.'),
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
          .describe('The visibility of created projects and groups. Default: private.')
          .optional(),
      })
      .describe('Settings for destinations on GitLab.')
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
          maxDeletes: z.int().min(1).describe('The maximum number of tags that a plan deletes.'),
        }),
      ])
      .describe(
        'Whether tags that an earlier plan of this file copied are deleted if the source no longer has them. Default: false.',
      )
      .optional(),
  })
  .describe('Images to copy between registries.');

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
    group: gitlabPath('The full path of the group that moves, with all of its content.').optional(),
    to: gitlabPath('Its new full path, or a namespace followed by /.'),
    donor: text(
      'The donor for its images: a directory (./dir, /dir) or a project. Default: that of the file.',
    ).optional(),
  })
  .describe('The move of a project or a group.');

export const transferMigrationSchema = z
  .strictObject({
    version,
    kind: z.literal('transfer').describe('Projects move inside one GitLab instance.'),
    gitlab: text('The URL of the instance, https://host.', (value) =>
      /^https?:\/\/[^\s@/?#]+(?:\/[^\s@?#]*)?$/.test(value)
        ? undefined
        : 'it is not the address of an instance: write https://host, without a login',
    ),
    donor: text('The donor for the images: a directory (./dir, /dir) or a project.').optional(),
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

/** The JSON Schema of migration files (draft 2020-12), as published in `plans/migration.schema.json`. */
export function migrationJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(migrationSchema);
  return {$schema, title: 'transship migration', ...schema};
}

/** The known keys of the map at a path, for suggestions; empty: there is no such map. */
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
