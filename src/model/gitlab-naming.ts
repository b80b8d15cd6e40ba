import {isRepositoryPath} from './reference.ts';

/** The path of a new project or group (GitLab: lib/gitlab/path_regex.rb, lib/gitlab/regex.rb). */
const PATH = /^[a-zA-Z0-9]+(?:[._-][a-zA-Z0-9]+)*$/;
/** Names that GitLab reserves for its own pages below a group (GitLab: doc/user/reserved_names.md). */
const RESERVED_PROJECTS = new Set([
  '-',
  'badges',
  'blame',
  'blob',
  'builds',
  'commits',
  'create',
  'create_dir',
  'edit',
  'files',
  'find_file',
  'new',
  'preview',
  'raw',
  'refs',
  'tree',
  'update',
  'wikis',
]);
/** Names that no top-level group can have (GitLab: doc/user/reserved_names.md). */
const RESERVED_AT_TOP = new Set([
  '-',
  '.well-known',
  'admin',
  'api',
  'apple-touch-icon.png',
  'assets',
  'dashboard',
  'deploy.html',
  'explore',
  'favicon.ico',
  'favicon.png',
  'files',
  'groups',
  'health_check',
  'help',
  'import',
  'jwt',
  'login',
  'oauth',
  'profile',
  'projects',
  'public',
  'robots.txt',
  's',
  'search',
  'sitemap',
  'sitemap.xml',
  'sitemap.xml.gz',
  'slash-command-logo.png',
  'snippets',
  'unsubscribes',
  'uploads',
  'users',
  'v2',
]);
const LENGTH_LIMIT = 255;
/** Maximum nesting of groups (GitLab: app/models/namespace.rb, `NUMBER_OF_ANCESTORS_ALLOWED`). */
const GROUP_NESTING_LIMIT = 20;
/** Maximum parts of an image's path below its project (GitLab: lib/container_registry/path.rb, `LEVELS_SUPPORTED`). */
export const LEVELS_BELOW_PROJECT = 2;

/** Why this cannot be the last part of a project's path; undefined: it can. */
export function whyNotProjectPath(path: string): string | undefined {
  return (
    whyNotPath(path) ?? (RESERVED_PROJECTS.has(path) ? `GitLab reserves "${path}"` : undefined)
  );
}

/** The first part of a full path: the top-level group, or the user. */
export function topLevelOf(fullPath: string): string {
  return fullPath.split('/')[0] ?? '';
}

/** Why a group cannot have this full path; undefined: it can. */
export function whyNotGroupPath(fullPath: string): string | undefined {
  const parts = fullPath.split('/');
  const [top = ''] = parts;
  if (RESERVED_AT_TOP.has(top.toLowerCase())) return `GitLab reserves "${top}" at the top`;
  if (parts.length > GROUP_NESTING_LIMIT) return `groups nest at most ${GROUP_NESTING_LIMIT} deep`;
  for (const [index, part] of parts.entries()) {
    const why = whyNotPath(part);
    if (why !== undefined) return why;
    if (index > 0 && RESERVED_PROJECTS.has(part)) return `GitLab reserves "${part}"`;
  }
  return undefined;
}

/**
 * Why the images of a project with this full path cannot be pushed or pulled; undefined: they can. Projects older than
 * the rules for new paths may have such a path, for example `_tools` or `demo-`.
 */
export function whyNotImages(fullPath: string): string | undefined {
  const path = registryPathOf(fullPath);
  if (isRepositoryPath(path)) return undefined;
  const part = path.split('/').find((one) => !isRepositoryPath(one));
  return part === undefined
    ? `"${path}" has more than ${LENGTH_LIMIT} characters`
    : `"${part}" in the path is not allowed in a registry: a part must not begin or end with ".", "_" or "-", or contain ".."`;
}

/** Why an image of the project with this full path cannot be at this path of the registry; undefined: it can. */
export function whyNotImagePath(path: string, projectFullPath: string): string | undefined {
  const project = registryPathOf(projectFullPath);
  if (path !== path.toLowerCase()) return `"${path}" is not in lower case`;
  if (!isRepositoryPath(path)) return `"${path}" is not a repository name`;
  if (path !== project && !path.startsWith(`${project}/`)) return `"${path}" is not in ${project}`;
  const below = path.slice(project.length).split('/').filter(Boolean).length;
  return below > LEVELS_BELOW_PROJECT
    ? `"${path}" is ${below} levels below its project, GitLab has ${LEVELS_BELOW_PROJECT}`
    : undefined;
}

/**
 * The registry path of a project's images: its full path in lower case (GitLab: app/models/container_repository.rb).
 */
export function registryPathOf(projectFullPath: string): string {
  return projectFullPath.toLowerCase();
}

/** The new path of an image whose project moves. */
export function movedImagePath(path: string, from: string, to: string): string {
  return `${registryPathOf(to)}${path.slice(registryPathOf(from).length)}`;
}

function whyNotPath(path: string): string | undefined {
  if (path === '') return 'a part of the path is empty';
  if (path.length > LENGTH_LIMIT) return `"${path}" has more than ${LENGTH_LIMIT} characters`;
  if (/\.(?:git|atom)$/i.test(path)) return `"${path}" ends in .git or .atom`;
  return PATH.test(path)
    ? undefined
    : `"${path}" may have letters without accents, digits and single ".", "_" and "-" between them`;
}
