import type {TransshipError} from '../../model/error.ts';
import {lastCapture, whyNotDestination, whyNotInProject} from './destination-template.ts';
import type {
  CopyMigration,
  Migration,
  RegistryRoot,
  Route,
  TagRules,
  TransferMigration,
} from './migration.ts';
import {
  fileInvalid,
  type FlatIssue,
  flatIssues,
  placedProblem,
  shownValue,
  partAt,
} from './problem-texts.ts';
import {parseRegistry, splitHost} from './registry-path.ts';
import {repositoryGlob, whyNotRepositoryGlob} from './repository-glob.ts';
import {
  type CopyMigrationFile,
  copyMigrationSchema,
  knownKeys,
  type TransferMigrationFile,
  transferMigrationSchema,
} from './schema.ts';
import {expandVariables, type Variables} from './variables.ts';
import {type PlacedProblem, readYaml, type YamlSource} from './yaml-source.ts';

/** Keys for hosts and paths, in which variables are allowed. */
const WITH_VARIABLES = new Set([
  'from',
  'to',
  'exclude',
  'project',
  'group',
  'file',
  'gitlab',
  'donor',
]);

/**
 * Reads a migration file.
 * @param file the name of the file, for messages
 * @param variables the variables that `${NAME}` in hosts and paths may name
 * @throws TransshipError MIGRATION_INVALID with all problems, in file order
 */
export function readMigration(text: string, file: string, variables: Variables = {}): Migration {
  const source = readYaml(text);
  if (source.value === undefined) throw invalid(file, source.problems);
  const found: FlatIssue[] = [];
  const value = withVariables(source.value, variables, [], found);
  const kind = isRecord(value) ? value['kind'] : undefined;
  const isTransfer = kind === 'transfer';
  if (kind !== undefined && kind !== 'copy' && kind !== 'transfer') {
    const message = `${shownValue(kind)} is wrong: expected "copy" or "transfer"`;
    found.push({path: ['kind'], message});
  }
  const schema = isTransfer ? transferMigrationSchema : copyMigrationSchema;
  const parsed = schema.safeParse(value);
  const known = new Set(found.map(({path}) => path.join('\0')));
  const hasProblem = (path: readonly PropertyKey[]) => known.has(path.join('\0'));
  if (!parsed.success) {
    const issues = flatIssues(
      parsed.error.issues,
      (path) => partAt(source.value, path),
      (path) => knownKeys(schema, path),
    );
    found.push(...issues.filter(({path}) => !hasProblem(path)));
    for (const {path} of issues) known.add(path.join('\0'));
  }
  const others = isTransfer ? transferProblems(value) : copyProblems(value);
  found.push(...others.filter(({path}) => !hasProblem(path)));
  const problems = [...source.problems, ...found.map((one) => placedProblem(one, source))];
  if (problems.length > 0 || !parsed.success) throw invalid(file, problems);
  return isTransfer
    ? transferMigration(parsed.data as TransferMigrationFile, file, source)
    : copyMigration(parsed.data as CopyMigrationFile, file, source);
}

function invalid(file: string, found: readonly PlacedProblem[]): TransshipError {
  const hint = 'correct each line that is listed; docs/migration-file.md describes the keys';
  return fileInvalid('MIGRATION_INVALID', file, found, hint);
}

function withVariables(
  value: unknown,
  variables: Variables,
  path: readonly PropertyKey[],
  found: FlatIssue[],
): unknown {
  if (typeof value === 'string') {
    const name = path.findLast((key) => typeof key === 'string');
    if (path.includes('tags') || typeof name !== 'string' || !WITH_VARIABLES.has(name))
      return value;
    const {text, problems} = expandVariables(value, variables);
    found.push(...problems.map(({message}) => ({path, message})));
    return text;
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => withVariables(item, variables, [...path, index], found));
  }
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      withVariables(item, variables, [...path, key], found),
    ]),
  );
}

/**
 * Problems that concern several keys. It examines well-formed parts only, so that these are found together with others.
 */
function copyProblems(value: unknown): readonly FlatIssue[] {
  if (!isRecord(value) || !Array.isArray(value['routes'])) return [];
  const seen = new Set<string>();
  return value['routes'].flatMap((route: unknown, index): readonly FlatIssue[] => {
    if (!isRecord(route) || typeof route['from'] !== 'string') return [];
    const path = ['routes', index];
    const found: FlatIssue[] = [];
    const written = JSON.stringify(route);
    if (seen.has(written)) {
      found.push({path, message: 'an earlier route says the same: remove one of them'});
    }
    seen.add(written);
    const from = splitHost(route['from']);
    if (from.host === undefined && value['from'] === undefined) {
      found.push({
        path: [...path, 'from'],
        message: `${shownValue(route['from'])} names no registry: begin it with a host, or write "from" at the top of the file`,
      });
    }
    const isGlob = whyNotRepositoryGlob(from.path) === undefined;
    const wildcards = isGlob ? repositoryGlob(from.path).wildcards : Infinity;
    if (wildcards === 0) found.push(...excludedItself(from.path, route['exclude'], path));
    const project = route['project'] ?? value['project'];
    for (const {text, path: below} of templates(route['to'] ?? '{path}', route['project'])) {
      const last = lastCapture(text);
      if (last > wildcards) {
        found.push({
          path: [...path, ...below],
          message: `${shownValue(text)} is wrong: {${last}} does not exist, as "from" has ${wildcards} wildcards`,
        });
      }
      const whyNotIn =
        below[0] === 'to' &&
        typeof project === 'string' &&
        whyNotDestination(`x/${project}`) === undefined
          ? whyNotInProject(splitHost(text).path, project)
          : undefined;
      if (whyNotIn !== undefined) {
        found.push({
          path: [...path, ...below],
          message: `${shownValue(text)} is wrong: ${whyNotIn}`,
        });
      }
      if (
        below[0] !== 'project' &&
        splitHost(text).host === undefined &&
        value['to'] === undefined
      ) {
        found.push({
          path: [...path, ...below],
          message: `${shownValue(text)} names no registry: begin it with a host, or write "to" at the top of the file`,
        });
      }
    }
    return found;
  });
}

/** Whether a route of one repository excludes that repository. */
function excludedItself(
  name: string,
  exclude: unknown,
  route: readonly PropertyKey[],
): readonly FlatIssue[] {
  const globs: readonly unknown[] = Array.isArray(exclude) ? exclude : [exclude];
  return globs.flatMap((glob, index) => {
    if (typeof glob !== 'string' || whyNotRepositoryGlob(glob) !== undefined) return [];
    if (repositoryGlob(glob).match(name) === undefined) return [];
    const path = [...route, 'exclude', ...(Array.isArray(exclude) ? [index] : [])];
    return [
      {path, message: `${shownValue(glob)} excludes "${name}", the only repository of the route`},
    ];
  });
}

function transferProblems(value: unknown): readonly FlatIssue[] {
  const moves = isRecord(value) && Array.isArray(value['moves']) ? value['moves'] : [];
  const seen = new Set<string>();
  return moves.flatMap((move: unknown, index): readonly FlatIssue[] => {
    if (!isRecord(move)) return [];
    const {project, group} = move;
    if ((project === undefined) === (group === undefined)) {
      return [{path: ['moves', index], message: 'a move has either "project" or "group"'}];
    }
    const key = project === undefined ? 'group' : 'project';
    const moved = String(project ?? group).toLowerCase();
    const isAgain = seen.has(moved);
    seen.add(moved);
    return isAgain
      ? [{path: ['moves', index, key], message: `${shownValue(project ?? group)} moves twice`}]
      : [];
  });
}

function templates(
  to: unknown,
  project: unknown,
): readonly {readonly text: string; readonly path: readonly PropertyKey[]}[] {
  const all = Array.isArray(to)
    ? to.map((text: unknown, index) => ({text, path: ['to', index]}))
    : [{text: to, path: ['to']}];
  return [...all, {text: project, path: ['project']}].flatMap(({text, path}) =>
    typeof text === 'string' ? [{text, path}] : [],
  );
}

function copyMigration(data: CopyMigrationFile, file: string, source: YamlSource): CopyMigration {
  const {gitlab} = data;
  return {
    kind: 'copy',
    file,
    routes: data.routes.map((_route, index) => readRoute(data, index, source)),
    ...(gitlab === undefined
      ? {}
      : {
          gitlab: {
            projects: 'require',
            groups: 'require',
            visibility: 'private',
            ...defined(gitlab),
          },
        }),
    deleteSource: data.deleteSource ?? 'never',
    prune: data.prune ?? false,
  };
}

function readRoute(data: CopyMigrationFile, index: number, source: YamlSource): Route {
  const route = data.routes[index] as CopyMigrationFile['routes'][number];
  const path = ['routes', index];
  const from = splitHost(route.from);
  const tags = {...data.tags, ...defined(route.tags ?? {})};
  const to = route.to ?? '{path}';
  const repositories = route.repositories ?? data.repositories;
  const project = route.project ?? data.project;
  return {
    at: source.position(path),
    source: rootOf(from.host, data.from),
    from: {text: from.path, at: source.position([...path, 'from'])},
    exclude: listOf(route.exclude ?? data.exclude),
    to: listOf(to).map((text, item) => {
      const place = Array.isArray(to) ? [...path, 'to', item] : [...path, 'to'];
      const {host, path: below} = splitHost(text);
      return {text: below, at: source.position(place), root: rootOf(host, data.to)};
    }),
    ...(project === undefined ? {} : {project}),
    tags: tagRules(tags),
    rename: Object.entries(tags.rename ?? {}).map(([pattern, replacement]) => ({
      pattern,
      replacement,
    })),
    platforms: listOf(route.platforms ?? data.platforms),
    schema1: route.schema1 ?? data.schema1 ?? 'refuse',
    foreignLayers: route.foreignLayers ?? data.foreignLayers ?? 'leave',
    ...(repositories === undefined ? {} : {repositoriesFile: repositories.file}),
  };
}

function tagRules({
  include,
  exclude,
  semver,
  newest,
  newerThan,
}: NonNullable<CopyMigrationFile['tags']>): TagRules {
  return defined({
    include: include === undefined ? undefined : listOf(include),
    exclude: exclude === undefined ? undefined : listOf(exclude),
    semver,
    newest,
    newerThan,
  });
}

/** @param root the default of the file: `host[/path]` */
function rootOf(host: string | undefined, root = ''): RegistryRoot {
  if (host !== undefined) return {registry: parseRegistry(host), prefix: ''};
  const {host: first = '', path} = splitHost(root.includes('/') ? root : `${root}/`);
  return {registry: parseRegistry(first), prefix: path};
}

function transferMigration(
  data: TransferMigrationFile,
  file: string,
  source: YamlSource,
): TransferMigration {
  return {
    kind: 'transfer',
    file,
    gitlab: data.gitlab,
    createDonor: data.createDonor ?? false,
    moves: data.moves.map(({project, group, to, donor = data.donor}, index) => ({
      at: source.position(['moves', index]),
      kind: project === undefined ? 'group' : 'project',
      from: project ?? group ?? '',
      to,
      ...(donor === undefined ? {} : {donor}),
    })),
  };
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}

type Defined<T> = {[K in keyof T]: Exclude<T[K], undefined>};

/** The keys that have a value. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined),
  ) as Defined<T>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
