import {jsonReply, type Reply} from '../exchange.ts';
import {type ApiCall, forbidden, groupOf, maintainedProjectOf, pageReply} from './api-call.ts';
import {presentGroup, presentProject} from './entities.ts';
import {ACCESS_LEVEL, levelInGroup} from './rights.ts';

/**
 * `GET /groups/:id/deploy_tokens`, for maintainers (GitLab: lib/api/deploy_tokens.rb, doc/api/deploy_tokens.md): only
 * those of the group itself.
 */
export function listGroupDeployTokens(call: ApiCall): Reply {
  const {world, person, clock} = call;
  const group = groupOf(call);
  if (levelInGroup(world, person.user, group) < ACCESS_LEVEL.maintainer) throw forbidden();
  const tokens = world.tokens
    .filter(({kind, groupId}) => kind === 'deploy' && groupId === group.id)
    .map(({id, name, scopes, expiresOn}) => ({
      id,
      name,
      // A seed has a single name for both.
      username: name,
      expires_at: expiresOn === undefined ? null : `${expiresOn}T00:00:00.000Z`,
      revoked: false,
      expired: expiresOn !== undefined && Date.parse(expiresOn) <= clock(),
      scopes,
    }));
  const isActive = call.query.get('active') === 'true';
  return pageReply(
    call,
    tokens.filter(({expired}) => !isActive || !expired),
  );
}

/** `GET /projects/:id/job_token_scope`, for maintainers (GitLab: doc/api/project_job_token_scopes.md). */
export function showJobTokenScope(call: ApiCall): Reply {
  const {jobAllowlist} = maintainedProjectOf(call);
  return jsonReply(200, {inbound_enabled: jobAllowlist !== undefined, outbound_enabled: false});
}

/** `GET /projects/:id/job_token_scope/allowlist`: always includes the project itself. */
export function listAllowedProjects(call: ApiCall): Reply {
  const project = maintainedProjectOf(call);
  const ids = [project.id, ...(project.jobAllowlist?.projects ?? [])];
  const projects = ids.flatMap((id) => call.world.projects.get(id) ?? []);
  return pageReply(
    call,
    projects.map((one) => presentProject(call, one)),
  );
}

/** `GET /projects/:id/job_token_scope/groups_allowlist` */
export function listAllowedGroups(call: ApiCall): Reply {
  const ids = [...(maintainedProjectOf(call).jobAllowlist?.groups ?? [])];
  const groups = ids.flatMap((id) => call.world.groups.get(id) ?? []);
  return pageReply(
    call,
    groups.map((one) => presentGroup(call, one)),
  );
}
