import {rootOf} from '../../gitlab/namespace.ts';
import {movedImagePath, registryPathOf} from '../../model/gitlab-naming.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import type {ApiCall} from './api-call.ts';
import {hasTags, imagePathsOf} from './instance.ts';
import type {WorldProject} from './world.ts';

/** GitLab container registry: docs/rename-base-repository-request-flow.md. */
const SUB_REPOSITORY_LIMIT = 1000;

/** Why the registry does not let a project's images move with it (GitLab: lib/container_registry/gitlab_api_client.rb). */
export type MoveRefusal =
  /** The registry has no database. */
  | 'no-gitlab-api'
  /** It moves images only below the same top-level group. */
  | 'other-root'
  /** What the dry run came to. */
  | 'Name Taken'
  | 'Too Many Subrepositories'
  | 'Rename Not Supported';

/** Asks whether the images could move along; undefined: they can, or there are none. */
export async function whyNotMove(
  call: ApiCall,
  project: WorldProject,
  to: string,
): Promise<MoveRefusal | undefined> {
  const {mode, world, switches, storage} = call;
  if (!(await hasTags(call, project))) return undefined;
  if (mode === 'legacy') return 'no-gitlab-api';
  const from = world.projectPath(project);
  if (rootOf(from) !== rootOf(to)) return 'other-root';
  if (switches.nativeMove === 'unsupported') return 'Rename Not Supported';
  const paths = await imagePathsOf(call, project);
  if (paths.length > SUB_REPOSITORY_LIMIT) return 'Too Many Subrepositories';
  for (const path of paths) {
    const target = movedImagePath(path, from, to);
    if (isRepositoryPath(target) && (await storage.manifests.tags(target)).length > 0)
      return 'Name Taken';
  }
  return undefined;
}

/**
 * Gives the project its new place; whether it may move was asked before. The registry moves last, and GitLab does not
 * look at how that went (GitLab: app/services/projects/transfer_service.rb).
 */
export async function moveProject(
  call: ApiCall,
  project: WorldProject,
  place: {readonly namespaceId?: number; readonly path?: string},
): Promise<void> {
  const {mode, world, switches, storage, events, person} = call;
  const from = world.projectPath(project);
  const paths = await imagePathsOf(call, project);
  world.keepRedirects([project]);
  project.namespaceId = place.namespaceId ?? project.namespaceId;
  project.path = place.path ?? project.path;
  const to = world.projectPath(project);
  const by = person.user.username;
  events.add(by, {kind: 'project-moved', id: project.id, from, to});
  if (mode === 'legacy' || switches.nativeMove !== 'works') return;
  if (registryPathOf(from) === registryPathOf(to)) return;
  for (const path of paths) {
    const target = movedImagePath(path, from, to);
    if (!isRepositoryPath(target)) continue;
    await storage.rename(path, target);
    events.add(by, {kind: 'repository-moved', from: path, to: target});
  }
}
