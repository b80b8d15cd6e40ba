import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import type {Donor, MoveWish} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import type {DonorFacts, WaitingImages} from '../../plan/transfer/facts.ts';
import type {ContainerRepository} from '../container-repositories.ts';
import {given, type Namespace, type Project} from '../entities.ts';
import {
  registryPathOf,
  topLevelOf,
  whyNotImages,
  whyNotProjectPath,
} from '../../model/gitlab-naming.ts';
import {findNamespace, namesake} from './project.ts';
import type {Surroundings} from './surroundings.ts';

/** The description of a donor project that a transfer creates begins with this; a mark of its plan follows. */
export const DONOR_DESCRIPTION = 'Images wait here during a transfer by transship';

/** What may be done for the donor's sake. */
export interface DonorQuestion {
  /** A donor project that is not there may be made when the plan is applied. */
  readonly createDonor: boolean;
  /** The donor's directory outlives the CI job. */
  readonly donorOnThisMachine: boolean;
}

/**
 * Looks at the place where the images are to wait.
 * @throws TransshipError DONOR_UNFIT for a project that cannot have images; NAMESPACE_NOT_FOUND for a project that
 *   could not be made either, PROJECT_NOT_FOUND for an id
 */
export async function findDonor(
  {kind, path}: MoveWish['donor'],
  mover: Project,
  {createDonor: mayCreate, donorOnThisMachine}: DonorQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<DonorFacts> {
  if (kind === 'directory') {
    return {
      donor: {kind, path, ...(donorOnThisMachine ? {onThisMachine: true} : {})},
      mayCreate,
      isInJob: surroundings.isJob,
      ...given({
        freeBytes: await surroundings.freeBytes(path),
        stranger: await surroundings.strangerAt(path),
      }),
    };
  }
  const project = await surroundings.gitlab.projects.find(path, call);
  throwIfNoImages(project?.fullPath ?? path);
  if (project === undefined) {
    if (/^\d+$/.test(path)) throw noSuchProject(path);
    const parent = path.split('/').slice(0, -1).join('/');
    const namespace = await findNamespace(parent, surroundings, call);
    const problem = await whyNotNew(path, namespace, surroundings, call);
    return {donor: {kind, path, namespaceId: namespace.id}, mayCreate, ...given({problem})};
  }
  const problem = problemOf(project, mover);
  const donor = {
    kind,
    path: project.fullPath,
    id: project.id,
    namespaceId: project.namespace.id,
  } as const;
  return {donor, mayCreate, ...(problem === undefined ? {} : {problem})};
}

/**
 * Why there cannot be a new project of this path, which is its name as well; undefined: there can, as far as GitLab
 * tells.
 */
async function whyNotNew(
  fullPath: string,
  namespace: Namespace,
  {gitlab}: Surroundings,
  call: Call,
): Promise<DonorFacts['problem']> {
  const path = fullPath.slice(fullPath.lastIndexOf('/') + 1);
  const why = whyNotProjectPath(path);
  const hint = 'choose another project or a directory with --donor';
  if (why !== undefined)
    return {code: 'NAME_INVALID', message: `${fullPath} is not a valid project path: ${why}`, hint};
  const group = await gitlab.groups.findNamespace(fullPath, call);
  const taken =
    group === undefined
      ? await namesake({id: undefined, name: path}, namespace, gitlab, call)
      : group.fullPath;
  if (taken === undefined) return undefined;
  const message =
    group === undefined
      ? `a project ${fullPath} cannot be created: ${taken} has its name`
      : `${fullPath} is a group, not a project`;
  return {code: 'NAME_TAKEN', message, hint};
}

function problemOf(donor: Project, mover: Project): DonorFacts['problem'] {
  const {fullPath, archived, deletionDate, registryAccess, cleanupPolicy} = donor;
  if (donor.id === mover.id)
    return unfit(
      `${fullPath} cannot be its own donor`,
      'choose another project or a directory with --donor',
    );
  if (archived || deletionDate !== undefined) {
    return unfit(
      `${fullPath} is archived or marked for deletion, and does not accept images`,
      'choose another project or a directory with --donor',
    );
  }
  if (registryAccess === 'disabled') {
    return unfit(
      `the container registry of ${fullPath} is disabled`,
      'enable it in the project settings',
    );
  }
  if (cleanupPolicy?.enabled === true) {
    return unfit(
      `the cleanup policy of ${fullPath} could delete the images stored there`,
      'disable it in the project settings',
    );
  }
  return undefined;
}

function unfit(message: string, hint: string): NonNullable<DonorFacts['problem']> {
  return {code: 'DONOR_UNFIT', message, hint};
}

/** Without names for the images there is nothing to plan. @throws TransshipError DONOR_UNFIT */
function throwIfNoImages(fullPath: string): void {
  const why = whyNotImages(fullPath);
  if (why === undefined) return;
  throw new TransshipError('DONOR_UNFIT', `the project ${fullPath} cannot be the donor: ${why}`, {
    side: 'gitlab',
    hint: 'choose another project or a directory with --donor',
  });
}

function noSuchProject(id: string): TransshipError {
  return new TransshipError('PROJECT_NOT_FOUND', `GitLab shows no project with the id ${id}`, {
    side: 'gitlab',
    hint: `check the id in --donor, and that the owner of the token can see the project; for a directory of that name, write --donor ./${id}`,
  });
}

/**
 * Where the images of each repository wait, by the repository's path below its project (empty: the project's own).
 * Each has a place of its own, so that tags keep their names. Below a project that is `p<id>` and `p<id>/<name>`,
 * two levels at most (GitLab: lib/container_registry/path.rb); in a directory `<path>` and `<path>.<name>`.
 * @param host of the registry
 * @param project the project that moves
 */
export function donorNames(
  donor: Donor,
  host: string,
  project: {readonly id: number; readonly path: string},
  names: readonly string[],
): ReadonlyMap<string, string> {
  const single = singleParts(names);
  return new Map(
    [...single].map(([name, part]) => {
      if (donor.kind === 'directory') {
        const own = registryPathOf(project.path);
        const layout = join(donor.path, part === '' ? own : `${own}.${part}`);
        // What is relative says so, lest it be taken for the path of a project.
        return [name, `oci:${donor.path.startsWith('./') ? './' : ''}${layout}`];
      }
      const base = `${host}/${registryPathOf(donor.path)}/p${project.id}`;
      return [name, part === '' ? base : `${base}/${part}`];
    }),
  );
}

/** Each name as one part of a path: `a/b` is `a__b`, with something to tell it apart if that is taken. */
function singleParts(names: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(names.filter((name) => !name.includes('/')));
  const parts = new Map<string, string>();
  for (const name of names.toSorted()) {
    const joined = name.replaceAll('/', '__');
    const isFree = !name.includes('/') || (!taken.has(joined) && isRepositoryPath(joined));
    const part = isFree ? joined : `${joined}-${mark(name)}`;
    taken.add(part);
    parts.set(name, part);
  }
  return parts;
}

function mark(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 12);
}

/** Projects that are asked side by side. */
const AT_ONCE = 4;
/** Donor projects that are looked at; nobody has more of them for one project. */
const DONOR_LIMIT = 50;

export interface WaitingQuestion {
  readonly project: Project;
  /** `host[:port]` of the registry. */
  readonly host: string;
  /** GitLab's records of the project's image paths. */
  readonly records: readonly ContainerRepository[];
  /** The donor of this plan, which is looked at itself. */
  readonly donor: DonorFacts;
  /** Full paths whose top-level groups may have the donor: where the project is, and where it moves to. */
  readonly near: readonly string[];
}

/**
 * Looks in other projects for images that an earlier transfer emptied these repositories of, as GitLab shows them: in
 * projects with the description of a donor, and in those near by that have the image path of a donor, `p<id>`. What the
 * token may not see is not found.
 */
export async function findWaiting(
  {project, host, records: own, donor, near}: WaitingQuestion,
  {gitlab}: Surroundings,
  call: Call,
): Promise<readonly WaitingImages[]> {
  const root = registryPathOf(project.fullPath);
  const names = [...new Set([root, ...own.map(({path}) => path)])].map((path) =>
    path.slice(root.length + 1),
  );
  const untagged = new Set(
    own.flatMap(({path, tagsCount}) => (tagsCount === 0 ? [path.slice(root.length + 1)] : [])),
  );
  if (untagged.size === 0) return [];
  const described = (await gitlab.projects.search(DONOR_DESCRIPTION, call).catch(notTold)) ?? [];
  const ids = new Set(
    described.flatMap(({id, description}) =>
      description?.includes(DONOR_DESCRIPTION) === true ? [id] : [],
    ),
  );
  const donorPath = new RegExp(`/p${project.id}(?:/|$)`);
  for (const top of new Set(near.map(topLevelOf))) {
    const group = await gitlab.groups.find(top, call).catch(notTold);
    const records = group && (await gitlab.repositories.ofGroup(group.id, call).catch(notTold));
    for (const {projectId, path} of records ?? []) if (donorPath.test(path)) ids.add(projectId);
  }
  const named = donor.donor.kind === 'project' ? donor.donor.id : undefined;
  const others = [...ids].filter((id) => id !== project.id && id !== named).slice(0, DONOR_LIMIT);
  const found = await mapAtOnce(others, AT_ONCE, async (id) => {
    const other = await gitlab.projects.find(id, call);
    const records = await gitlab.repositories.ofProject(id, call).catch(notTold);
    if (other === undefined || records === undefined) return [];
    const tags = new Map(records.map(({path, tagsCount = 0}) => [`${host}/${path}`, tagsCount]));
    const place = {kind: 'project', path: other.fullPath, namespaceId: other.namespace.id} as const;
    const places = donorNames(place, host, project, names);
    return [...places].flatMap(([name, at]): WaitingImages[] => {
      const count = tags.get(at) ?? 0;
      const from = `${host}/${name === '' ? root : `${root}/${name}`}`;
      return count === 0 || !untagged.has(name)
        ? []
        : [{donor: other.fullPath, from, at, tags: count}];
    });
  });
  return found.flat();
}

/** Some of it is shown to reporters only, and a registry may be switched off. */
function notTold(error: unknown): undefined {
  if (error instanceof TransshipError && (error.status === 403 || error.status === 404))
    return undefined;
  throw error;
}
