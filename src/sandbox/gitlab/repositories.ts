import type {RepositoryPath} from '../../model/reference.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import type {StoredManifest} from '../manifest-format.ts';
import {isRepositoryPath} from '../names.ts';
import {
  type ApiCall,
  ApiRefusal,
  forbidden,
  groupOf,
  keysetReply,
  notFound,
  pageReply,
  projectOf,
  repositoryOf,
  requireLevel,
} from './api-call.ts';
import {presentRepository} from './entities.ts';
import {createdAt, deleteTag, type Instance} from './instance.ts';
import {sizeOf} from './registry.ts';
import {ACCESS_LEVEL, isKept, levelInProject, matchesPath, rulesAbove} from './rights.ts';
import type {WorldProject, WorldRepository} from './world.ts';

/** `GET /projects/:id/registry/repositories` (GitLab: lib/api/project_container_repositories.rb). */
export async function listRepositories(call: ApiCall): Promise<Reply> {
  const {world, query} = call;
  const project = projectOf(call);
  requireReader(call, project);
  const extras = {
    tags: query.get('tags') === 'true',
    tagsCount: query.get('tags_count') === 'true',
  };
  const records = world.repositoriesOf(project);
  return pageReply(
    call,
    await Promise.all(records.map((record) => presentRepository(call, record, extras))),
  );
}

/** `GET /groups/:id/registry/repositories`, with those of subgroups; without `tags_count` since 15.0. */
export async function listGroupRepositories(call: ApiCall): Promise<Reply> {
  const {world, person} = call;
  const projects = world
    .projectsIn(groupOf(call))
    .filter(({registryAccess}) => registryAccess !== 'disabled')
    .filter((project) => levelInProject(world, person.user, project) >= ACCESS_LEVEL.reporter);
  const records = projects.flatMap((project) => world.repositoriesOf(project));
  const extras = {tags: false, tagsCount: false};
  return pageReply(
    call,
    await Promise.all(records.map((record) => presentRepository(call, record, extras))),
  );
}

/** `GET /registry/repositories/:repository` */
export async function showRepository(call: ApiCall): Promise<Reply> {
  const {world, query} = call;
  const record = repositoryOf(call, undefined);
  const project = world.projects.get(record.projectId);
  if (!project) throw notFound();
  requireReader(call, project);
  const extras = {
    tags: query.get('tags') === 'true',
    tagsCount: query.get('tags_count') === 'true',
  };
  return jsonReply(200, await presentRepository(call, record, extras));
}

/** `GET …/tags`: in numbered pages or, with the database, by keyset. */
export async function listTags(call: ApiCall): Promise<Reply> {
  const {mode, query, storage} = call;
  const {path} = target(call, ACCESS_LEVEL.reporter);
  const isKeyset = query.get('pagination') === 'keyset';
  if (isKeyset && mode === 'legacy') throw new ApiRefusal(405, {message: '405 Method Not Allowed'});
  const names = path === undefined ? [] : await storage.manifests.tags(path);
  const tags = names.map((name) => ({
    name,
    path: `${path}:${name}`,
    location: `${call.hosts.registry}/${path}:${name}`,
  }));
  return isKeyset ? keysetReply(call, tags) : pageReply(call, tags);
}

/** `GET …/tags/:tag`. Without the database GitLab cannot read an index (GitLab: lib/container_registry/tag.rb). */
export async function showTag(call: ApiCall): Promise<Reply> {
  const {storage, params, mode} = call;
  const {path} = target(call, ACCESS_LEVEL.reporter);
  const names = path === undefined ? [] : await storage.manifests.tags(path);
  const name = names.find((tag) => tag === params['tag']);
  const digest = path && name && (await storage.manifests.resolve(path, name));
  const manifest = path && digest && (await storage.manifests.get(path, digest));
  if (!path || !name || !manifest || (mode === 'legacy' && manifest.kind !== 'image'))
    throw notFound('Tag');
  const revision = manifest.config?.digest.replace(/^\w+:/, '') ?? '';
  const created = await createdAt(call, path, name);
  return jsonReply(200, {
    name,
    path: `${path}:${name}`,
    location: `${call.hosts.registry}/${path}:${name}`,
    revision,
    short_revision: revision.slice(0, 9),
    digest,
    created_at: created === undefined ? null : new Date(created).toISOString(),
    total_size: mode === 'legacy' ? layersSize(manifest) : sizeOf(manifest),
  });
}

/** Without the database, GitLab adds up the layers (GitLab: lib/container_registry/tag.rb, `total_size`). */
function layersSize({blobs, config}: StoredManifest): number {
  return blobs.reduce((sum, blob) => sum + (blob === config ? 0 : blob.size), 0);
}

/** `DELETE …/tags/:tag`: immediately, and only that tag. */
export async function removeTag(call: ApiCall): Promise<Reply> {
  const {params, person, switches, world} = call;
  const {project, path} = target(call, ACCESS_LEVEL.developer);
  const level = levelInProject(world, person.user, project);
  const name = params['tag'] ?? '';
  if (isKept(project, name, level)) throw forbidden('cannot delete protected tag(s)');
  if (switches.readOnly) throw new ApiRefusal(400, {message: '400 Bad request'});
  const isDone = path !== undefined && (await deleteTag(call, path, name, person.user.username));
  if (!isDone) throw notFound('Tag');
  return jsonReply(200, 200);
}

/** `DELETE …/repositories/:repository`: in the background. */
export async function removeRepository(call: ApiCall): Promise<Reply> {
  const {person, world, events, background, switches, storage} = call;
  const {project, path, record} = target(call, ACCESS_LEVEL.maintainer);
  const {user} = person;
  const level = levelInProject(world, user, project);
  const tags = path === undefined ? [] : await storage.manifests.tags(path);
  const rules = rulesAbove(project.repositoryRules, 'delete', level);
  // With tags present, any tag rule protects the whole repository, regardless of its pattern.
  const isProtected =
    rules.some(({pattern}) => matchesPath(pattern, path ?? '')) ||
    (tags.length > 0 && rulesAbove(project.tagRules, 'delete', level).length > 0);
  if (isProtected && !user.admin)
    throw forbidden('Deleting protected container repository forbidden.');
  record.status = 'delete_scheduled';
  const repository = world.repositoryPath(record);
  events.add(user.username, {kind: 'repository-delete-asked', repository});
  background.later(switches.deletionDelayMs, async () => {
    record.status = 'delete_ongoing';
    background.later(switches.deletionDelayMs, () => finishDeletion(call, record, user.username));
  });
  return jsonReply(202, 202);
}

/**
 * Deletes all tags, `latest` included, then the record (GitLab:
 * app/workers/container_registry/delete_container_repository_worker.rb).
 */
async function finishDeletion(
  instance: Instance,
  record: WorldRepository,
  by: string,
): Promise<void> {
  const {world, switches, storage, events} = instance;
  const repository = world.repositoryPath(record);
  if (switches.undeletable.has(repository) || switches.readOnly) {
    record.status = 'delete_failed';
    events.add(by, {kind: 'repository-delete-failed', repository});
    return;
  }
  const tags = isRepositoryPath(repository) ? await storage.manifests.tags(repository) : [];
  for (const tag of tags) {
    if (isRepositoryPath(repository)) await deleteTag(instance, repository, tag, by);
  }
  world.repositories.delete(record.id);
  events.add(by, {kind: 'repository-deleted', repository});
}

export interface Target {
  readonly project: WorldProject;
  readonly record: WorldRepository;
  /** Undefined: the registry does not accept the path of an old project. */
  readonly path: RepositoryPath | undefined;
}

/** The repository in the path of a call. @param level the minimum access level @throws ApiRefusal 403, 404 */
export function target(call: ApiCall, level: number): Target {
  const project = projectOf(call);
  requireReader(call, project);
  if (level > ACCESS_LEVEL.reporter) requireLevel(call, project, level);
  const record = repositoryOf(call, project);
  const path = call.world.repositoryPath(record);
  return {project, record, path: isRepositoryPath(path) ? path : undefined};
}

/** Requires read access to the images of a project. @throws ApiRefusal 403 */
function requireReader(call: ApiCall, project: WorldProject): void {
  const isOpen = project.registryAccess === 'enabled' && project.visibility !== 'private';
  if (project.registryAccess === 'disabled') throw forbidden();
  if (!isOpen) requireLevel(call, project, ACCESS_LEVEL.reporter);
}
