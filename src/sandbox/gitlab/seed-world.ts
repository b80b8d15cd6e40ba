import type {CleanupPolicy} from '../../gitlab/cleanup-policy.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import {TransshipError} from '../../model/error.ts';
import {isRepositoryPath, type Tag} from '../../model/reference.ts';
import {loadLayout} from '../load-layout.ts';
import type {Instance} from './instance.ts';
import type {Seed} from './seed.ts';
import type {World, WorldGroup, WorldProject, WorldRule} from './world.ts';

/** What a new project has (GitLab: app/models/container_expiration_policy.rb). */
export const DEFAULT_POLICY: CleanupPolicy = {
  enabled: false,
  cadence: '1d',
  keep_n: 10,
  older_than: '90d',
  name_regex: '.*',
};

/** The name of whoever pushed what is there from the beginning, in the event log. */
const SEEDER = 'seed';

/**
 * Puts into a sandbox what it begins with. Groups on the way to a path are made too.
 * @throws TransshipError FILE_INVALID for names that lead nowhere, and what `loadLayout` throws
 */
export async function seedWorld(instance: Instance, seed: Seed): Promise<void> {
  const {world} = instance;
  for (const {name, password, admin} of seed.users) {
    const id = world.nextId();
    const user = {id, namespaceId: world.nextId(), username: name, admin};
    world.users.set(id, {...user, ...(password === undefined ? {} : {password})});
  }
  for (const {path, visibility, members} of seed.groups) {
    const group = groupFor(world, path);
    group.visibility = visibility;
    for (const [id, level] of memberIds(world, members)) group.members.set(id, level);
  }
  for (const project of seed.projects) await seedProject(instance, project);
  for (const {user, project, expires, ...token} of seed.tokens) {
    const projectId = project === undefined ? undefined : world.projectAt(project)?.id;
    if (project !== undefined && projectId === undefined) throw unknown('project', project);
    world.tokens.push({
      ...token,
      id: world.nextId(),
      userId: userId(world, user),
      ...(projectId === undefined ? {} : {projectId}),
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
    members: memberIds(world, seed.members),
    repositoryRules: seed.rules.repositories.map((rule) => ruleOf(world, rule)),
    tagRules: seed.rules.tags.map((rule) => ruleOf(world, rule)),
  };
  world.projects.set(project.id, project);
  for (const image of seed.images) await seedImage(instance, project, image);
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
  const tags = new Set(await loadLayout(storage, layout, path, tagOf));
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
  return new TransshipError('FILE_INVALID', `the seed names an unknown ${what}, "${name}"`, {
    side: 'local',
    hint: 'name it in the seed before it is used',
  });
}
