import {dirname, resolve} from 'node:path';
import {parse} from 'yaml';
import {TransshipError} from '../../model/error.ts';
import type {Tag} from '../../model/reference.ts';
import {z} from '../../model/schema.ts';
import {putExample} from '../example.ts';
import {loadLayout, readSmallFile} from '../load-layout.ts';
import {isRepositoryPath, isTag} from '../names.ts';
import type {Instance} from './instance.ts';
import {ACCESS_LEVEL} from './rights.ts';
import {
  type CleanupPolicy,
  type JobAllowlist,
  registryPathOf,
  type World,
  type WorldGroup,
  type WorldProject,
  type WorldRule,
} from './world.ts';

const roleSchema = z
  .enum(['guest', 'planner', 'reporter', 'developer', 'maintainer', 'owner'])
  .transform((name) => ACCESS_LEVEL[name]);
const membersSchema = z.record(z.string(), roleSchema).default({});
const visibilitySchema = z.enum(['private', 'internal', 'public']).default('private');
const ruleLevel = z
  .enum(['maintainer', 'owner', 'admin'])
  .transform((name) => ACCESS_LEVEL[name])
  .optional();
const ruleSchema = z.strictObject({pattern: z.string(), push: ruleLevel, delete: ruleLevel});
const tagSchema = z.string().refine(isTag, {error: 'not a tag'});

const imageSchema = z.strictObject({
  /** The path below the project; empty: the project itself. */
  name: z.string().default(''),
  /** The directory of an OCI image layout, relative to the file; default: an image is generated. */
  layout: z.string().optional(),
  /** Only this entry of the layout. */
  ref: tagSchema.optional(),
  /** The tag for the image; default: the tags of the layout. */
  tag: tagSchema.optional(),
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
  groups: z
    .array(
      z.strictObject({
        path: z.string(),
        visibility: visibilitySchema,
        members: membersSchema,
        projectCreation: z
          .enum(['noone', 'administrator', 'owner', 'maintainer', 'developer'])
          .default('developer'),
      }),
    )
    .default([]),
  projects: z
    .array(
      z.strictObject({
        path: z.string(),
        visibility: visibilitySchema,
        members: membersSchema,
        archived: z.boolean().default(false),
        registry: z.enum(['enabled', 'private', 'disabled']).default('enabled'),
        cleanup: z
          .strictObject({
            enabled: z.boolean(),
            cadence: z.enum(['1d', '7d', '14d', '1month', '3month']),
            keep_n: z.int().nullable(),
            older_than: z.enum(['7d', '14d', '30d', '90d']).nullable(),
            name_regex: z.string(),
            name_regex_keep: z.string(),
          })
          .partial()
          .optional(),
        npm: z.boolean().default(false),
        /** The number of running pipelines. */
        pipelines: z.int().nonnegative().default(0),
        /** Full paths whose CI jobs have access. Default: no list, access for all. */
        jobAllowlist: z
          .strictObject({
            projects: z.array(z.string()).default([]),
            groups: z.array(z.string()).default([]),
          })
          .optional(),
        /** The number of merge requests, which are numbered from 1. */
        mergeRequests: z.int().nonnegative().max(1000).default(0),
        rules: z
          .strictObject({
            repositories: z.array(ruleSchema).default([]),
            tags: z.array(ruleSchema).default([]),
          })
          .default({repositories: [], tags: []}),
        images: z.array(imageSchema).default([]),
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
        group: z.string().optional(),
        expires: z.iso.date().optional(),
      }),
    )
    .default([]),
});

/** The initial content of a sandbox. */
export type Seed = z.infer<typeof seedSchema>;

/** A seed as it is written, without the defaults. */
export type SeedInput = z.input<typeof seedSchema>;

/** @throws TransshipError FILE_INVALID */
export function parseSeed(value: unknown, name = 'the seed'): Seed {
  const parsed = seedSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(name, `${issue?.path.join('.')}: ${issue?.message}`, parsed.error);
}

/**
 * The largest seed, in bytes: some hundred projects. The YAML parser takes up to 2,500 times the size of a file in
 * memory.
 */
const SEED_LIMIT = 64 * 1024;

/**
 * Reads a seed from a YAML file. Paths of layouts are relative to the file.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function readSeed(file: string): Promise<Seed> {
  const bytes = await readSmallFile(file, SEED_LIMIT).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_UNREADABLE', `cannot read ${file}: ${why}`, {
      side: 'local',
      hint: 'check the path and the permissions of the file',
      cause,
    });
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
    images: project.images.map(({layout, ...one}) =>
      layout === undefined ? one : {...one, layout: resolve(dirname(file), layout)},
    ),
  }));
  return {...seed, projects};
}

function invalid(name: string, why: string, cause: unknown): TransshipError {
  return new TransshipError('FILE_INVALID', `${name} is not a valid seed for the sandbox: ${why}`, {
    side: 'local',
    hint: 'see plans/sandbox.yaml for an example',
    cause,
  });
}

/** The policy of a new project (GitLab: app/models/container_expiration_policy.rb). */
export const DEFAULT_POLICY: CleanupPolicy = {
  enabled: false,
  cadence: '1d',
  keep_n: 10,
  older_than: '90d',
  name_regex: '.*',
};

/** The default tag of a generated image. */
const LATEST = 'latest' as Tag;

/** The user name that the event log shows for seeded images. */
const SEEDER = 'seed';

/**
 * Creates the content of a seed. Parent groups of a path are created, too.
 * @throws TransshipError FILE_INVALID for undefined names, and the errors of `loadLayout`
 */
export async function seedWorld(instance: Instance, seed: Seed): Promise<void> {
  const {world} = instance;
  for (const {name, password, admin} of seed.users) {
    const id = world.nextId();
    const user = {id, namespaceId: world.nextId(), username: name, admin};
    world.users.set(id, {...user, ...(password === undefined ? {} : {password})});
  }
  for (const {path, visibility, members, projectCreation} of seed.groups) {
    const group = groupFor(world, path);
    group.visibility = visibility;
    group.projectCreation = projectCreation;
    for (const [id, level] of memberIds(world, members)) group.members.set(id, level);
  }
  for (const project of seed.projects) await seedProject(instance, project);
  for (const {user, project, group, expires, ...token} of seed.tokens) {
    const projectId = project === undefined ? undefined : world.projectAt(project)?.id;
    if (project !== undefined && projectId === undefined) throw unknown('project', project);
    const groupId = group === undefined ? undefined : groupFor(world, group).id;
    world.tokens.push({
      ...token,
      id: world.nextId(),
      userId: userId(world, user),
      ...(projectId === undefined ? {} : {projectId}),
      ...(groupId === undefined ? {} : {groupId}),
      ...(expires === undefined ? {} : {expiresOn: expires}),
    });
  }
}

async function seedProject(instance: Instance, seed: Seed['projects'][number]): Promise<void> {
  const {world} = instance;
  const slash = seed.path.lastIndexOf('/');
  const parent = seed.path.slice(0, slash);
  const path = seed.path.slice(slash + 1);
  const project: WorldProject = {
    id: world.nextId(),
    name: path,
    path,
    namespaceId: world.userNamed(parent)?.namespaceId ?? groupFor(world, parent).id,
    visibility: seed.visibility,
    description: '',
    archived: seed.archived,
    registryAccess: seed.registry,
    cleanupPolicy: {...DEFAULT_POLICY, ...withoutUndefined(seed.cleanup ?? {})},
    hasScopedPackages: seed.npm,
    pipelines: seed.pipelines,
    jobAllowlist: seed.jobAllowlist && allowlistOf(world, seed.jobAllowlist),
    mergeRequests: new Map(Array.from({length: seed.mergeRequests}, (_, at) => [at + 1, []])),
    members: memberIds(world, seed.members),
    repositoryRules: seed.rules.repositories.map((rule) => ruleOf(world, rule)),
    tagRules: seed.rules.tags.map((rule) => ruleOf(world, rule)),
  };
  world.projects.set(project.id, project);
  for (const image of seed.images) await seedImage(instance, project, image);
}

/** Projects must precede this one in the seed. */
function allowlistOf(
  world: World,
  {projects, groups}: {readonly projects: readonly string[]; readonly groups: readonly string[]},
): JobAllowlist {
  const ids = projects.map((path) => {
    const project = world.projectAt(path);
    if (project === undefined) throw unknown('project', path);
    return project.id;
  });
  return {
    projects: new Set(ids),
    groups: new Set(groups.map((path) => groupFor(world, path).id)),
  };
}

async function seedImage(
  {world, storage, events, clock}: Instance,
  project: WorldProject,
  {name, layout, ref, tag}: Seed['projects'][number]['images'][number],
): Promise<void> {
  const base = registryPathOf(world.projectPath(project));
  const path = name === '' ? base : `${base}/${name}`;
  if (!isRepositoryPath(path)) throw unknown('image path', path);
  const tagOf = (found: Tag): Tag | undefined =>
    ref === undefined || found === ref ? (tag ?? found) : undefined;
  let tags = new Set([tag ?? LATEST]);
  if (layout === undefined) await putExample(storage, path, [...tags]);
  else tags = new Set(await loadLayout(storage, layout, path, tagOf));
  world.recordOf(project, name, clock());
  for (const one of tags) {
    const digest = await storage.manifests.resolve(path, one);
    if (digest !== undefined)
      events.add(SEEDER, {kind: 'manifest-pushed', repository: path, digest, tag: one});
  }
}

function groupFor(world: World, path: string): WorldGroup {
  const found = world.groupAt(path);
  if (found) return found;
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  const group: WorldGroup = {
    id: world.nextId(),
    name,
    path: name,
    parentId: slash < 0 ? undefined : groupFor(world, path.slice(0, slash)).id,
    visibility: 'private',
    projectCreation: 'developer',
    members: new Map(),
  };
  world.groups.set(group.id, group);
  return group;
}

function ruleOf(
  world: World,
  rule: {pattern: string; push?: number | undefined; delete?: number | undefined},
): WorldRule {
  return {id: world.nextId(), pattern: rule.pattern, push: rule.push, delete: rule.delete};
}

function memberIds(world: World, members: Readonly<Record<string, number>>): Map<number, number> {
  return new Map(Object.entries(members).map(([name, level]) => [userId(world, name), level]));
}

function userId(world: World, name: string): number {
  const user = world.userNamed(name);
  if (user) return user.id;
  throw unknown('user', name);
}

function withoutUndefined(policy: object): Partial<CleanupPolicy> {
  return Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined));
}

function unknown(what: string, name: string): TransshipError {
  return new TransshipError('FILE_INVALID', `the seed refers to an unknown ${what}, "${name}"`, {
    side: 'local',
    hint: 'define it in the seed',
  });
}
