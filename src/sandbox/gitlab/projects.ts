import {z} from '../../model/schema.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import {
  type ApiCall,
  badRequest,
  bodyOf,
  flagField,
  forbidden,
  maintainedProjectOf,
  notFound,
  numberField,
  pageReply,
  projectOf,
  requireLevel,
} from './api-call.ts';
import {presentProject} from './entities.ts';
import {ACCESS_LEVEL, isWider, mayCreateProjects, maySee} from './rights.ts';
import {DEFAULT_POLICY} from './seed.ts';
import {moveProject, whyNotMove} from './transfers.ts';
import type {WorldProject} from './world.ts';

/** GitLab: lib/gitlab/regex.rb, `oci_repository_path_regex`. */
const PATH = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/i;
/** GitLab: lib/gitlab/path_regex.rb, `NO_SUFFIX_REGEX`. */
const FORBIDDEN_SUFFIX = /\.(?:git|atom)$/i;
/** GitLab: app/models/project.rb, `validates :path, length`. */
const PATH_LENGTH = 255;
/** Path segments of routes below a namespace (GitLab: lib/gitlab/path_regex.rb, `PROJECT_WILDCARD_ROUTES`). */
const ROUTE_WORDS =
  '- badges blame blob builds commits create create_dir edit files find_file new preview raw refs tree update wikis'.split(
    ' ',
  );

const NAME_TAKEN = {path: ['has already been taken'], name: ['has already been taken']};
/** GitLab: lib/gitlab/path_regex.rb, `project_path_format_message`. */
const PATH_INVALID = {
  path: [
    "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', '_' or '.', or end with '-', '_', '.', '.git' or '.atom'",
  ],
};

const policySchema = z
  .object({
    enabled: flagField,
    cadence: z.enum(['1d', '7d', '14d', '1month', '3month']),
    keep_n: numberField,
    older_than: z.enum(['7d', '14d', '30d', '90d']),
    name_regex: z.string(),
    name_regex_keep: z.string(),
  })
  .partial();

const updateSchema = z
  .object({
    path: z.string(),
    name: z.string(),
    visibility: z.enum(['private', 'internal', 'public']),
    container_registry_access_level: z.enum(['enabled', 'private', 'disabled']),
    container_expiration_policy_attributes: policySchema,
  })
  .partial();

const createSchema = z.object({
  path: z.string(),
  name: z.string().optional(),
  namespace_id: numberField.optional(),
  visibility: z.enum(['private', 'internal', 'public']).default('private'),
  /** GitLab: doc/api/projects.md, "Create a project". */
  description: z.string().default(''),
});

/** `GET /projects/:id` */
export function showProject(call: ApiCall): Reply {
  return jsonReply(200, presentProject(call, projectOf(call)));
}

/**
 * `GET /projects`: every word of a search has to be in name, path or description (GitLab: app/models/project.rb,
 * `search`).
 */
export function listProjects(call: ApiCall): Reply {
  const {world, person, query} = call;
  const words = (query.get('search') ?? '').toLowerCase().split(' ').filter(Boolean);
  const found = [...world.projects.values()]
    .filter((project) => maySee(world, person.user, project))
    .filter(({name, path, description}) => {
      const text = `${name} ${path} ${description}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  return pageReply(
    call,
    found.map((project) => presentProject(call, project)),
  );
}

/** `GET /projects/:id/pipelines`: running ones only. */
export function listPipelines(call: ApiCall): Reply {
  const {pipelines, id} = projectOf(call);
  const running = Array.from({length: pipelines}, (_, index) => ({
    id: index + 1,
    project_id: id,
    status: 'running',
    ref: 'main',
  }));
  const status = call.query.get('status') ?? 'running';
  return pageReply(call, status === 'running' ? running : []);
}

/** `POST /projects` */
export function createProject(call: ApiCall): Reply {
  const {world, person, events} = call;
  const {path, name, namespace_id: wanted, visibility, description} = bodyOf(call, createSchema);
  const namespaceId = wanted ?? person.user.namespaceId;
  const namespace = world.namespacePath(namespaceId);
  if (namespace === undefined) throw notFound('Namespace');
  if (!mayCreateProjects(world, person.user, namespaceId)) throw forbidden();
  if (!isProjectPath(path)) throw badRequest(PATH_INVALID);
  if (world.isTaken(`${namespace}/${path}`)) throw badRequest(NAME_TAKEN);
  // GitLab: app/models/project.rb, `visibility_level_allowed_by_group`.
  const group = world.groups.get(namespaceId);
  if (group && isWider(visibility, group.visibility)) {
    const why = `${visibility} is not allowed in a ${group.visibility} group.`;
    throw badRequest({visibility_level: [why]});
  }
  const project: WorldProject = {
    id: world.nextId(),
    name: name ?? path,
    path,
    namespaceId,
    visibility,
    description,
    archived: false,
    registryAccess: 'enabled',
    cleanupPolicy: DEFAULT_POLICY,
    hasScopedPackages: false,
    pipelines: 0,
    jobAllowlist: undefined,
    mergeRequests: new Map(),
    members: new Map([[person.user.id, ACCESS_LEVEL.owner]]),
    repositoryRules: [],
    tagRules: [],
  };
  world.projects.set(project.id, project);
  const what = {id: project.id, path: world.projectPath(project)};
  events.add(person.user.username, {kind: 'project-created', ...what});
  return jsonReply(201, presentProject(call, project));
}

/** `PUT /projects/:id` */
export async function updateProject(call: ApiCall): Promise<Reply> {
  const {world, person, events} = call;
  const project = maintainedProjectOf(call);
  const wish = bodyOf(call, updateSchema);
  if (wish.path !== undefined && wish.path !== project.path) {
    const why = await changePath(call, project, wish.path);
    if (why !== undefined) {
      const what = `path of ${world.projectPath(project)}`;
      events.add(person.user.username, {kind: 'refused', what, why});
      // The error is not added to the model, so GitLab renders nothing (GitLab: lib/api/projects.rb).
      return jsonReply(200, null);
    }
  }
  const policy = wish.container_expiration_policy_attributes;
  project.name = wish.name ?? project.name;
  project.visibility = wish.visibility ?? project.visibility;
  project.registryAccess = wish.container_registry_access_level ?? project.registryAccess;
  if (policy) project.cleanupPolicy = {...project.cleanupPolicy, ...withoutUndefined(policy)};
  const what = Object.keys(wish).join(', ');
  const path = world.projectPath(project);
  events.add(person.user.username, {kind: 'project-changed', id: project.id, path, what});
  return jsonReply(200, presentProject(call, project));
}

/** `DELETE /projects/:id`. GitLab renames the project first, which its images may prevent. */
export async function deleteProject(call: ApiCall): Promise<Reply> {
  const {world, person, events} = call;
  const project = projectOf(call);
  requireLevel(call, project, ACCESS_LEVEL.owner);
  const path = world.projectPath(project);
  const why = await whyNotMove(call, project, `${path}-deletion_scheduled-${project.id}`);
  if (why === 'no-gitlab-api')
    throw badRequest('Cannot rename project because it contains container registry tags!');
  if (why !== undefined) {
    throw badRequest(
      `Cannot rename project, the container registry path rename validation failed: ${why}`,
    );
  }
  for (const {id} of world.repositoriesOf(project)) world.repositories.delete(id);
  world.projects.delete(project.id);
  events.add(person.user.username, {kind: 'project-deleted', id: project.id, path});
  return jsonReply(202, {message: '202 Accepted'});
}

/** @returns why the registry refuses; undefined: the path was changed @throws ApiRefusal 400 */
async function changePath(
  call: ApiCall,
  project: WorldProject,
  path: string,
): Promise<string | undefined> {
  const {world} = call;
  if (!isProjectPath(path)) throw badRequest(PATH_INVALID);
  const to = `${world.namespacePath(project.namespaceId)}/${path}`;
  const other = world.projectAt(to) ?? world.groupAt(to);
  if (other && other !== project) throw badRequest(NAME_TAKEN);
  const why = await whyNotMove(call, project, to);
  if (why === undefined) await moveProject(call, project, {path});
  return why;
}

function withoutUndefined<T extends object>(value: T): {[K in keyof T]: Exclude<T[K], undefined>} {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries) as {[K in keyof T]: Exclude<T[K], undefined>};
}

function isProjectPath(path: string): boolean {
  return (
    path.length <= PATH_LENGTH &&
    PATH.test(path) &&
    !FORBIDDEN_SUFFIX.test(path) &&
    !ROUTE_WORDS.includes(path.toLowerCase())
  );
}
