import type {ContainerRepository} from '../gitlab/container-repositories.ts';
import type {GitLab} from '../gitlab/gitlab.ts';
import {TransshipError} from '../model/error.ts';
import {LEVELS_BELOW_PROJECT} from '../model/gitlab-naming.ts';
import type {Call, ListedRepository, RepositoryLister, UnlistedPart} from '../model/port.ts';
import {isWithin} from '../model/reference.ts';
import {repositoriesNotListed, saysNotListed} from './api-list.ts';

export interface GitLabListerOptions {
  /** `host[:port]` of the registry, as in references. */
  readonly host: string;
  readonly gitlab: GitLab;
  /** Called when GitLab names `host` as its own registry, so that its token may be sent there. */
  readonly isOwnRegistry: () => void;
}

/**
 * Lists the image paths of a GitLab instance by its API (GitLab: doc/api/container_registry.md): those of a group with
 * its subgroups, those of a project, or, without a prefix, those of all groups and projects of which the token's owner
 * is a member. Records that GitLab is deleting are omitted.
 */
export function gitlabLister({host, gitlab, isOwnRegistry}: GitLabListerOptions): RepositoryLister {
  const name = `GitLab at ${gitlab.url.host}`;
  const hint = 'use a token with the scope read_api, of a member with at least the Reporter role';

  async function* inPath(prefix: string, call: Call): AsyncGenerator<ListedRepository> {
    const records = await recordsAt(gitlab, prefix, call);
    if (records === undefined)
      throw repositoriesNotListed(name, `it has no visible group or project "${prefix}"`, hint);
    yield* listed(records, prefix);
  }

  async function* everywhere(call: Call): AsyncGenerator<ListedRepository | UnlistedPart> {
    const groups = await gitlab.groups.ofMember(call);
    const paths = new Set(groups.map(({fullPath}) => fullPath));
    const isBelow = (path: string) => groupsAbove(path).some((group) => paths.has(group));
    for (const group of groups.filter(({fullPath}) => !isBelow(fullPath)))
      yield* orUnlisted(group.fullPath, gitlab.repositories.ofGroup(group.id, call));
    for (const {id, fullPath, registryAccess} of await gitlab.projects.ofMember(call)) {
      if (registryAccess === 'disabled' || isBelow(fullPath)) continue;
      yield* orUnlisted(fullPath, gitlab.repositories.ofProject(id, call, false));
    }
  }

  /** A group may be visible although its images are not. */
  async function* orUnlisted(
    part: string,
    records: Promise<readonly ContainerRepository[]>,
  ): AsyncGenerator<ListedRepository | UnlistedPart> {
    const found = await records.catch((error: unknown) => {
      if (error instanceof TransshipError && saysNotListed(error)) return error;
      throw error;
    });
    if (found instanceof TransshipError)
      yield {part, error: repositoriesNotListed(name, found.message, hint, found)};
    else yield* listed(found, '');
  }

  function* listed(
    records: readonly ContainerRepository[],
    prefix: string,
  ): Generator<ListedRepository> {
    for (const {path, registryHost, status} of records) {
      if (registryHost.toLowerCase() !== host) throw ofAnother(registryHost);
      isOwnRegistry();
      const isDeleted = status === 'delete_scheduled' || status === 'delete_ongoing';
      if (!isDeleted && isWithin(path, prefix)) yield {repository: path};
    }
  }

  function ofAnother(registryHost: string): TransshipError {
    const message = `${name} has its images at ${registryHost}, not at ${host}`;
    return new TransshipError('REPOSITORIES_NOT_LISTED', message, {
      side: 'gitlab',
      hint: `write ${registryHost}, or name the GitLab of ${host} with --gitlab`,
    });
  }

  return {
    name,
    async *listRepositories(prefix, call) {
      try {
        yield* prefix === '' ? everywhere(call) : inPath(prefix, call);
      } catch (error) {
        const isNotListed = error instanceof TransshipError && saysNotListed(error);
        if (!isNotListed || error.code === 'REPOSITORIES_NOT_LISTED') throw error;
        throw repositoriesNotListed(name, error.message, hint, error);
      }
    },
  };
}

/** The records of a group, or of the project that contains an image path; undefined: there is neither. */
async function recordsAt(
  {groups, projects, repositories}: GitLab,
  prefix: string,
  call: Call,
): Promise<readonly ContainerRepository[] | undefined> {
  const group = await groups.find(prefix, call);
  if (group) return repositories.ofGroup(group.id, call);
  const parts = prefix.split('/');
  for (let below = 0; below <= LEVELS_BELOW_PROJECT && parts.length - below > 1; below++) {
    const path = parts.slice(0, parts.length - below).join('/');
    const project = await projects.find(path, call);
    if (project) return repositories.ofProject(project.id, call, false);
  }
  return undefined;
}

/** The paths of all groups that may contain this path. */
function groupsAbove(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
}
