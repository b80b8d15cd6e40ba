import {ACCESS_LEVEL} from '../../gitlab/access-level.ts';
import type {Action} from '../access.ts';
import {levelInProject, maySee, type Person} from './rights.ts';
import type {World, WorldProject} from './world.ts';

/**
 * What somebody may do with a project's images. The scopes of the token and the role of its owner both have to allow
 * it (GitLab: lib/gitlab/auth.rb, app/services/auth/container_registry_authentication_service.rb).
 */
export function registryRights(
  world: World,
  person: Person | undefined,
  project: WorldProject,
): ReadonlySet<Action> {
  const rights = new Set<Action>();
  if (project.registryAccess === 'disabled') return rights;
  const scopes = scopesOf(person, project);
  const level = levelOf(world, person, project);
  const isOpen = project.registryAccess === 'enabled' && maySee(world, person?.user, project);
  const readsPublicly = isOpen && project.visibility !== 'private';
  if (scopes.has('pull') && (readsPublicly || level >= ACCESS_LEVEL.reporter)) rights.add('pull');
  // An archived project is read-only.
  if (project.archived || level < ACCESS_LEVEL.developer) return rights;
  if (scopes.has('push')) rights.add('push');
  if (scopes.has('delete')) rights.add('delete');
  if (scopes.has('delete') && level >= ACCESS_LEVEL.maintainer) rights.add('*');
  return rights;
}

/** `write_registry` does not hold `read_registry`, and neither of them lets anybody delete. */
function scopesOf(person: Person | undefined, project: WorldProject): ReadonlySet<Action> {
  const token = person?.token;
  if (!person) return new Set(['pull']);
  if (!token) return new Set(['pull', 'push', 'delete']);
  const isElsewhere = token.projectId !== undefined && token.projectId !== project.id;
  if (token.kind === 'deploy' && isElsewhere) return new Set();
  // The token of a job writes to its own project alone.
  if (token.kind === 'job') return new Set(isElsewhere ? ['pull'] : ['pull', 'push', 'delete']);
  const granted = new Set<Action>();
  const has = (...names: readonly string[]) => names.some((name) => token.scopes.includes(name));
  if (has('api', 'read_api', 'read_registry')) granted.add('pull');
  if (has('api', 'write_registry')) granted.add('push');
  if (has('api') && token.kind === 'access') granted.add('delete');
  return granted;
}

function levelOf(world: World, person: Person | undefined, project: WorldProject): number {
  if (!person) return 0;
  return person.token?.kind === 'deploy'
    ? ACCESS_LEVEL.developer
    : levelInProject(world, person.user, project);
}
