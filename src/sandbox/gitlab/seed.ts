import {dirname, resolve} from 'node:path';
import {parse} from 'yaml';
import {z} from '../../model/schema.ts';
import {ACCESS_LEVEL} from '../../gitlab/access-level.ts';
import {readRegular} from '../../http/regular-file.ts';
import {TransshipError} from '../../model/error.ts';
import {isTag} from '../../model/reference.ts';
import {unreadable} from '../../places/file-error.ts';

const role = z
  .enum(['guest', 'planner', 'reporter', 'developer', 'maintainer', 'owner'])
  .transform((name) => ACCESS_LEVEL[name]);
const members = z.record(z.string(), role).default({});
const visibility = z.enum(['private', 'internal', 'public']).default('private');
const ruleLevel = z
  .enum(['maintainer', 'owner', 'admin'])
  .transform((name) => ACCESS_LEVEL[name])
  .optional();
const rule = z.strictObject({pattern: z.string(), push: ruleLevel, delete: ruleLevel});
const tag = z.string().refine(isTag, {error: 'not a tag'});

const image = z.strictObject({
  /** Below the project's path; empty: the project's own. */
  name: z.string().default(''),
  /** The directory of an OCI image layout, relative to the file. */
  layout: z.string(),
  /** Take this entry of the layout alone. */
  ref: tag.optional(),
  /** The tag that it gets; without it the layout's tags stay. */
  tag: tag.optional(),
});

const seedSchema = z.strictObject({
  users: z
    .array(
      z.strictObject({
        name: z.string(),
        password: z.string().optional(),
        admin: z.boolean().default(false),
      }),
    )
    .min(1),
  groups: z.array(z.strictObject({path: z.string(), visibility, members})).default([]),
  projects: z
    .array(
      z.strictObject({
        path: z.string(),
        visibility,
        members,
        archived: z.boolean().default(false),
        registry: z.enum(['enabled', 'private', 'disabled']).default('enabled'),
        cleanup: z
          .strictObject({
            enabled: z.boolean(),
            cadence: z.enum(['1d', '7d', '14d', '1month', '3month']),
            keep_n: z.int(),
            older_than: z.enum(['7d', '14d', '30d', '90d']),
            name_regex: z.string(),
            name_regex_keep: z.string(),
          })
          .partial()
          .optional(),
        npm: z.boolean().default(false),
        /** Running ones. */
        pipelines: z.int().nonnegative().default(0),
        rules: z
          .strictObject({
            repositories: z.array(rule).default([]),
            tags: z.array(rule).default([]),
          })
          .default({repositories: [], tags: []}),
        images: z.array(image).default([]),
      }),
    )
    .default([]),
  tokens: z
    .array(
      z.strictObject({
        value: z.string(),
        user: z.string(),
        kind: z.enum(['access', 'deploy', 'job']).default('access'),
        name: z.string().default('sandbox'),
        scopes: z.array(z.string()).default([]),
        project: z.string().optional(),
        expires: z.iso.date().optional(),
      }),
    )
    .default([]),
});

/** What a sandbox begins with. */
export type Seed = z.infer<typeof seedSchema>;

/** The same as it may be written by hand: what has a default can be left out. */
export type SeedInput = z.input<typeof seedSchema>;

/** @throws TransshipError FILE_INVALID */
export function parseSeed(value: unknown, name = 'the seed'): Seed {
  const parsed = seedSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(name, `${issue?.path.join('.')}: ${issue?.message}`, parsed.error);
}

/** The largest seed, in bytes. */
const SEED_LIMIT = 4 * 1024 * 1024;

/**
 * Reads a seed from a YAML file; the layouts that it names are found from the file's own place.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function readSeed(file: string): Promise<Seed> {
  const bytes = await readRegular(file, SEED_LIMIT).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  let value: unknown;
  try {
    value = parse(bytes.toString());
  } catch (cause) {
    throw invalid(file, cause instanceof Error ? cause.message : 'not YAML', cause);
  }
  const seed = parseSeed(value, `"${file}"`);
  const projects = seed.projects.map((project) => ({
    ...project,
    images: project.images.map((one) => ({...one, layout: resolve(dirname(file), one.layout)})),
  }));
  return {...seed, projects};
}

function invalid(name: string, why: string, cause: unknown): TransshipError {
  return new TransshipError('FILE_INVALID', `${name} is not a seed for the sandbox: ${why}`, {
    side: 'local',
    hint: 'plans/sandbox.yaml is an example',
    cause,
  });
}
