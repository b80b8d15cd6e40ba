import type {ErrorCode} from '../../model/error-codes.ts';
import type {FileProblem} from '../../model/file-problem.ts';
import {registryPathOf, whyNotImagePath} from '../../model/gitlab-naming.ts';
import {DOCKER_HUB, isRepositoryPath, isTag} from '../../model/reference.ts';
import {fillDestination, type MatchedRepository} from './destination-template.ts';
import type {CopyMigration, Placed, RegistryRoot, Route} from './migration.ts';
import {repositoryGlob} from './repository-glob.ts';
import {tagRenamer} from './tag-rename.ts';

/** One repository of a source and one of its destinations; repositories as `host/path`. */
export interface RepositoryMapping {
  readonly source: string;
  readonly destination: string;
  /** The destination as the route writes it, where GitLab's or the registries' rules changed it (lower case). */
  readonly rewrittenFrom?: string;
  /** Full path of the GitLab project, where the route names it. */
  readonly project?: string;
  readonly route: Route;
  /** Of the destination, in the file. */
  readonly to: Placed;
}

/** Something about a migration that forbids its plan. */
export interface MigrationFinding extends FileProblem {
  readonly code: ErrorCode;
  /** What to do, as one sentence. */
  readonly hint: string;
}

export interface MappingOptions {
  /** The GitLab project that a path of a registry is in; undefined: not known, or no GitLab. */
  readonly projectOf?: (registry: string, path: string) => string | undefined;
}

/** Whether the repositories of a route's source have to be known: a name without wildcards stands for itself. */
function needsRepositories({from}: Route): boolean {
  return repositoryGlob(from.text).wildcards > 0;
}

/**
 * Decides where repositories go. Each route that matches a repository is used, so that several routes may send one
 * repository to several places.
 * @param repositoriesOf the paths of a route's source registry, or those of its file. Not asked where the route has no wildcards
 */
export function mapRoutes(
  migration: CopyMigration,
  repositoriesOf: (route: Route) => readonly string[],
  options: MappingOptions = {},
): {
  readonly mappings: readonly RepositoryMapping[];
  readonly findings: readonly MigrationFinding[];
} {
  const mappings: RepositoryMapping[] = [];
  const findings: MigrationFinding[] = [];
  for (const route of migration.routes) {
    const matched = matchedRepositories(route, repositoriesOf);
    if (matched.length === 0) {
      findings.push({
        ...finding(migration, 'NOTHING_SELECTED', route.from),
        message: `"${route.from.text}" matches no repository of ${rootText(route.source)}`,
        hint: 'correct "from" or "exclude", or remove the route; "transship inventory" lists the repositories',
      });
    }
    for (const repository of matched) {
      for (const to of route.to) {
        const mapping = mapOne(route, to, repository);
        mappings.push(mapping);
        const why = whyNotMapping(mapping, to.root.registry, options);
        if (why === undefined) continue;
        findings.push({
          ...finding(migration, 'NAME_RESERVED', to),
          message: `${mapping.source} cannot go to ${mapping.destination}: ${why}`,
          hint: 'change "to"; {flat} joins the parts of a path with "-"',
        });
      }
    }
  }
  return {mappings, findings};
}

/** One tag of a repository and its name at the destination. */
export interface TagMapping {
  readonly mapping: RepositoryMapping;
  readonly tag: string;
  readonly toTag: string;
}

/**
 * Renames tags, and finds those that end at one destination tag.
 * @param tagsOf the tags of a source repository that the filters of the mapping's route select
 */
export function mapTags(
  migration: CopyMigration,
  mappings: readonly RepositoryMapping[],
  tagsOf: (mapping: RepositoryMapping) => readonly string[],
): {readonly tags: readonly TagMapping[]; readonly findings: readonly MigrationFinding[]} {
  const tags: TagMapping[] = [];
  const findings: MigrationFinding[] = [];
  const taken = new Map<string, TagMapping>();
  const renamers = new Map(migration.routes.map((route) => [route, tagRenamer(route.rename)]));
  for (const mapping of mappings) {
    for (const tag of tagsOf(mapping)) {
      const toTag = renamers.get(mapping.route)?.(tag) ?? tag;
      const mapped = {mapping, tag, toTag};
      const target = `${mapping.destination}:${toTag}`;
      const other = taken.get(target);
      if (!isTag(toTag)) {
        findings.push({
          ...finding(migration, 'NAME_RESERVED', mapping.to),
          message: `${mapping.source}:${tag} cannot become ${target}: "${toTag}" is not a tag`,
          hint: 'a tag has letters, digits, "_", "." and "-", 128 at most, and starts with none of "." and "-": change "rename"',
        });
      } else if (other !== undefined) {
        findings.push({
          ...finding(migration, 'DESTINATION_CONFLICT', mapping.to),
          message: `${originText(migration, other)} and ${originText(migration, mapped)} end at one tag, ${target}`,
          hint: 'change "to" or "rename" of one of them, or exclude it',
        });
      } else taken.set(target, mapped);
      tags.push(mapped);
    }
  }
  return {tags, findings};
}

function matchedRepositories(
  route: Route,
  repositoriesOf: (route: Route) => readonly string[],
): readonly (MatchedRepository & {readonly full: string})[] {
  const {source, from} = route;
  const excluded = route.exclude.map(repositoryGlob);
  const isExcluded = (path: string) => excluded.some((each) => each.match(path) !== undefined);
  if (!needsRepositories(route)) {
    const path = from.text;
    return isExcluded(path) ? [] : [{path, captured: [], full: fullPath(source, path)}];
  }
  const glob = repositoryGlob(from.text);
  const below = source.prefix === '' ? '' : `${source.prefix}/`;
  return [...new Set(repositoriesOf(route))].flatMap((full) => {
    const path = full.slice(below.length);
    const captured = full.startsWith(below) ? glob.match(path) : undefined;
    return captured === undefined || isExcluded(path) ? [] : [{path, captured, full}];
  });
}

/** A single name on Docker Hub lives in `library/` (distribution/reference normalize.go, `splitDockerDomain`). */
function fullPath({registry, prefix}: RegistryRoot, path: string): string {
  const full = join(prefix, path);
  return registry === DOCKER_HUB && !full.includes('/') ? `library/${full}` : full;
}

function mapOne(
  route: Route,
  to: Route['to'][number],
  repository: MatchedRepository & {readonly full: string},
): RepositoryMapping {
  const {registry, prefix} = to.root;
  const written = join(prefix, fillDestination(to.text, repository));
  const path = registryPathOf(written);
  return {
    source: `${route.source.registry}/${repository.full}`,
    destination: `${registry}/${path}`,
    ...(path === written ? {} : {rewrittenFrom: `${registry}/${written}`}),
    ...(route.project === undefined
      ? {}
      : {project: join(prefix, fillDestination(route.project, repository))}),
    route,
    to,
  };
}

function whyNotMapping(
  {destination, project}: RepositoryMapping,
  registry: string,
  {projectOf}: MappingOptions,
): string | undefined {
  const path = destination.slice(registry.length + 1);
  const inProject = project ?? projectOf?.(registry, path);
  if (inProject !== undefined) return whyNotImagePath(path, inProject);
  if (isRepositoryPath(path)) return undefined;
  return path.length > 255
    ? 'the path has more than 255 characters'
    : `"${path}" is not a repository name: parts have lower-case letters and digits, with single ".", "_", "__" or "-" between them`;
}

function finding(
  {file}: CopyMigration,
  code: ErrorCode,
  {at}: Placed,
): Pick<MigrationFinding, 'file' | 'code' | 'line' | 'column'> {
  return {file, code, ...at};
}

function originText({file}: CopyMigration, {mapping, tag}: TagMapping): string {
  return `${mapping.source}:${tag} (${file}:${mapping.to.at.line}:${mapping.to.at.column})`;
}

function rootText({registry, prefix}: RegistryRoot): string {
  return join(registry, prefix);
}

function join(prefix: string, path: string): string {
  return prefix === '' ? path : path === '' ? prefix : `${prefix}/${path}`;
}
