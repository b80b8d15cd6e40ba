import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {TransferWish} from '../../model/transfer-plan.ts';
import type {DonorFacts} from '../../plan/transfer/facts.ts';
import type {Project} from '../project.ts';
import {given} from '../given.ts';
import {whyNotImages, whyNotProjectPath} from '../naming.ts';
import type {Namespace} from '../namespace.ts';
import {findNamespace, namesake} from './find-target.ts';
import type {Surroundings} from './surroundings.ts';

/** The description of a donor project that a transfer creates begins with this; a mark of its plan follows. */
export const DONOR_DESCRIPTION = 'Images wait here during a transfer by transship';

/** What may be done for the donor's sake. */
export interface DonorQuestion {
  /** A donor project that is not there may be made when the plan is applied. */
  readonly createDonor: boolean;
  /** The donor's folder outlives the CI job. */
  readonly donorOnThisMachine: boolean;
}

/**
 * Looks at the place where the images are to wait.
 * @throws TransshipError DONOR_UNFIT for a project that cannot have images; NAMESPACE_NOT_FOUND for a project that could not be made either, PROJECT_NOT_FOUND for an id
 */
export async function findDonor(
  {kind, path}: TransferWish['donor'],
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

/** Why there cannot be a new project of this path, which is its name as well; undefined: there can, as far as GitLab tells. */
async function whyNotNew(
  fullPath: string,
  namespace: Namespace,
  {gitlab}: Surroundings,
  call: Call,
): Promise<DonorFacts['problem']> {
  const path = fullPath.slice(fullPath.lastIndexOf('/') + 1);
  const why = whyNotProjectPath(path);
  const hint = 'choose another project with --donor, or a folder';
  if (why !== undefined)
    return {code: 'NAME_INVALID', message: `there cannot be a project ${fullPath}: ${why}`, hint};
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
    return unfit(`${fullPath} cannot be its own donor`, 'name another project, or a folder');
  if (archived || deletionDate !== undefined) {
    return unfit(
      `${fullPath} is archived or marked for deletion, and takes no images`,
      'name another project, or a folder',
    );
  }
  if (registryAccess === 'disabled') {
    return unfit(
      `the container registry of ${fullPath} is disabled`,
      'enable it in the settings of the project',
    );
  }
  if (cleanupPolicy?.enabled === true) {
    return unfit(
      `the cleanup policy of ${fullPath} could delete images that wait there`,
      'switch it off in the settings of the project',
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
  throw new TransshipError('DONOR_UNFIT', `no images can wait at the project ${fullPath}: ${why}`, {
    side: 'gitlab',
    hint: 'choose another project with --donor, or a folder',
  });
}

function noSuchProject(id: string): TransshipError {
  return new TransshipError('PROJECT_NOT_FOUND', `GitLab shows no project with the id ${id}`, {
    side: 'gitlab',
    hint: `check the id in --donor, and whether the owner of the token may see it; a folder of that name is --donor ./${id}`,
  });
}
