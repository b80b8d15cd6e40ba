import {isRepositoryPath} from './reference.ts';

/** What a new project or group may be called (GitLab: lib/gitlab/path_regex.rb, lib/gitlab/regex.rb). */
const PATH = /^[a-zA-Z0-9]+(?:[._-][a-zA-Z0-9]+)*$/;
/** Names below a group that GitLab's own pages have (GitLab: doc/user/reserved_names.md). */
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
/** Groups inside of groups (GitLab: app/models/namespace.rb, `NUMBER_OF_ANCESTORS_ALLOWED`). */
const NESTING_LIMIT = 20;
/** Parts of an image's path below its project (GitLab: lib/container_registry/path.rb, `LEVELS_SUPPORTED`). */
const LEVELS_BELOW_PROJECT = 2;

/** Why a project cannot get this name as the last part of its path; undefined: it can. */
export function whyNotProjectPath(path: string): string | undefined {
  return (
    whyNotPath(path) ?? (RESERVED_PROJECTS.has(path) ? `GitLab reserves "${path}"` : undefined)
  );
}

/** Why there cannot be a group with this full path; undefined: there can. */
export function whyNotGroupPath(fullPath: string): string | undefined {
  const parts = fullPath.split('/');
  const [top = ''] = parts;
  if (RESERVED_AT_TOP.has(top.toLowerCase())) return `GitLab reserves "${top}" at the top`;
  if (parts.length > NESTING_LIMIT) return `groups nest at most ${NESTING_LIMIT} deep`;
  for (const [index, part] of parts.entries()) {
    const why = whyNotPath(part);
    if (why !== undefined) return why;
    if (index > 0 && RESERVED_PROJECTS.has(part)) return `GitLab reserves "${part}"`;
  }
  return undefined;
}

/**
 * Why the images of a project with this full path cannot be pushed or pulled; undefined: they can. Projects from
 * before the rules for new paths may have one, such as `_tools` or `demo-`.
 */
export function whyNotImages(fullPath: string): string | undefined {
  const path = registryPathOf(fullPath);
  if (isRepositoryPath(path)) return undefined;
  const part = path.split('/').find((one) => !isRepositoryPath(one));
  return part === undefined
    ? `"${path}" has more than ${LENGTH_LIMIT} characters`
    : `"${part}" in the path is not what a registry takes: it may not begin or end with ".", "_" or "-", nor have two of "." in a row`;
}

/** Why an image cannot live at this path of the registry; undefined: it can, in the project with this full path. */
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

/** Where the images of a project are: its full path in lower case (GitLab: app/models/container_repository.rb). */
export function registryPathOf(projectFullPath: string): string {
  return projectFullPath.toLowerCase();
}

/** The path that an image gets when its project moves. */
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
