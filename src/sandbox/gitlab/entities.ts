import {isRepositoryPath} from '../names.ts';
import type {ApiCall} from './api-call.ts';
import {ACCESS_LEVEL, levelInGroup} from './rights.ts';
import {
  registryPathOf,
  type WorldGroup,
  type WorldProject,
  type WorldRepository,
  type WorldRule,
} from './world.ts';

/** GitLab: lib/api/entities/project.rb. */
export function presentProject(call: ApiCall, project: WorldProject): object {
  const {world, person, exchange} = call;
  const path = world.projectPath(project);
  const group = world.groups.get(project.namespaceId);
  const own = project.members.get(person.user.id);
  const inherited = group && !person.user.admin ? levelInGroup(world, person.user, group) : 0;
  return {
    id: project.id,
    name: project.name,
    path: project.path,
    name_with_namespace: path.replaceAll('/', ' / '),
    path_with_namespace: path,
    web_url: `${exchange.origin}/${path}`,
    description: project.description,
    // The sandbox has no Git (GitLab: lib/api/entities/project.rb, `empty_repo`).
    empty_repo: true,
    visibility: project.visibility,
    archived: project.archived,
    namespace: presentNamespace(call, project.namespaceId),
    container_registry_access_level: project.registryAccess,
    container_registry_enabled: project.registryAccess !== 'disabled',
    container_registry_image_prefix: `${call.hosts.registry}/${registryPathOf(path)}`,
    container_expiration_policy: {...project.cleanupPolicy, next_run_at: nextRun(call, project)},
    marked_for_deletion_on: null,
    permissions: {
      project_access: own === undefined ? null : {access_level: own},
      group_access: inherited === 0 ? null : {access_level: inherited},
    },
  };
}

/** GitLab: lib/api/entities/namespace_basic.rb. */
export function presentNamespace({world, exchange}: ApiCall, id: number): object {
  const group = world.groups.get(id);
  const path = world.namespacePath(id) ?? '';
  return {
    id,
    name: group?.name ?? path,
    path: group?.path ?? path,
    kind: group ? 'group' : 'user',
    full_path: path,
    parent_id: group?.parentId ?? null,
    web_url: `${exchange.origin}/${path}`,
  };
}

/** GitLab: lib/api/entities/group.rb. */
export function presentGroup({world, exchange}: ApiCall, group: WorldGroup): object {
  const path = world.namespacePath(group.id) ?? '';
  return {
    id: group.id,
    name: group.name,
    path: group.path,
    full_name: path.replaceAll('/', ' / '),
    full_path: path,
    parent_id: group.parentId ?? null,
    visibility: group.visibility,
    project_creation_level: group.projectCreation,
    subgroup_creation_level: 'maintainer',
    web_url: `${exchange.origin}/groups/${path}`,
    avatar_url: null,
  };
}

/** GitLab: lib/api/entities/container_registry.rb, `Repository`. */
export async function presentRepository(
  call: ApiCall,
  repository: WorldRepository,
  extras: {readonly tags: boolean; readonly tagsCount: boolean},
): Promise<object> {
  const path = call.world.repositoryPath(repository);
  const location = `${call.hosts.registry}/${path}`;
  const wantsTags = extras.tags || extras.tagsCount;
  const tags = wantsTags && isRepositoryPath(path) ? await call.storage.manifests.tags(path) : [];
  return {
    id: repository.id,
    name: repository.name,
    path,
    project_id: repository.projectId,
    location,
    created_at: repository.createdAt,
    cleanup_policy_started_at: null,
    status: repository.status,
    ...(extras.tagsCount ? {tags_count: tags.length} : {}),
    ...(extras.tags
      ? {
          tags: tags.map((name) => ({
            name,
            path: `${path}:${name}`,
            location: `${location}:${name}`,
          })),
        }
      : {}),
  };
}

/** GitLab: lib/api/entities/projects/container_registry/protection/rule.rb and tag_rule.rb. */
export function presentRule(
  project: WorldProject,
  rule: WorldRule,
  patternField: 'repository_path_pattern' | 'tag_name_pattern',
): object {
  return {
    id: rule.id,
    project_id: project.id,
    [patternField]: rule.pattern,
    minimum_access_level_for_push: levelName(rule.push),
    minimum_access_level_for_delete: levelName(rule.delete),
  };
}

/** A day from now; the sandbox runs policies on demand only. */
function nextRun({clock}: ApiCall, {cleanupPolicy}: WorldProject): string | null {
  const tomorrow = clock() + 24 * 60 * 60 * 1000;
  return cleanupPolicy.enabled ? new Date(tomorrow).toISOString() : null;
}

function levelName(level: number | undefined): string | null {
  return Object.entries(ACCESS_LEVEL).find(([, value]) => value === level)?.[0] ?? null;
}
