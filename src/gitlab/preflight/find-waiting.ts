import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {DonorFacts, WaitingImages} from '../../plan/transfer/facts.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {registryPathOf} from '../naming.ts';
import {rootOf} from '../namespace.ts';
import type {Project} from '../project.ts';
import {donorNames} from './donor-names.ts';
import {DONOR_DESCRIPTION} from './find-donor.ts';
import type {ContainerRepository} from '../container-repository.ts';
import type {Surroundings} from './surroundings.ts';

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
  const mark = new RegExp(`/p${project.id}(?:/|$)`);
  for (const top of new Set(near.map(rootOf))) {
    const group = await gitlab.groups.find(top, call).catch(notTold);
    const records = group && (await gitlab.repositories.ofGroup(group.id, call).catch(notTold));
    for (const {projectId, path} of records ?? []) if (mark.test(path)) ids.add(projectId);
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
