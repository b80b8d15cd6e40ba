import {join} from 'node:path';
import {TransshipError} from '../../model/error.ts';
import {registryPathOf, whyNotGroupPath, whyNotImages} from '../../model/gitlab-naming.ts';
import type {Call} from '../../model/port.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import type {GroupWish, ProjectWish} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import type {GroupFacts, TransferFacts} from '../../plan/transfer/facts.ts';
import {hasContent} from '../../plan/transfer/steps.ts';
import type {ContainerRepository} from '../container-repositories.ts';
import {given, type Group, type Project} from '../entities.ts';
import {accessFacts} from './access.ts';
import type {DonorQuestion} from './donor.ts';
import {gatherTransferFacts, type TransferQuestion} from './gather-facts.ts';
import {tokenFacts} from './project.ts';
import type {Surroundings} from './surroundings.ts';
import {throwIfJobToken} from '../connection.ts';

/** Projects that are asked for tags side by side. */
const AT_ONCE = 8;

export interface GroupQuestion
  extends DonorQuestion,
    Pick<TransferQuestion, 'freeze' | 'platforms'> {
  readonly wish: GroupWish;
}

/**
 * Finds out all that the transfer of a group depends on: its place, its target, and of each project below it that has
 * images, or records of them, what `gatherTransferFacts` finds out. Changes nothing beyond that.
 * @throws TransshipError GROUP_NOT_FOUND, NAMESPACE_NOT_FOUND, TOKEN_SCOPE_MISSING, USAGE, and what GitLab and its
 *   registry answer
 */
export async function gatherGroupFacts(
  {wish, ...question}: GroupQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<GroupFacts> {
  const {gitlab} = surroundings;
  throwIfJobToken(surroundings.tokenKind);
  const group = await findGroup(wish.group, surroundings, call);
  const {username: _username, ...token} = await tokenFacts(surroundings, call);
  const target = await findGroupTarget(wish.to, group, token.isAdmin, surroundings, call);
  const isOwned = token.isAdmin || (await ownsGroup(group, surroundings, call));
  const {id, fullPath, path, parentId, visibility} = group;
  const base = {
    wish,
    now: surroundings.now(),
    token,
    group: {id, fullPath, path, ...given({parentId, visibility}), isOwned},
    target,
  };
  if (target.fullPath === fullPath)
    return {...base, projects: [], others: [], records: [], deletions: []};
  const below = await gitlab.groups.projects(id, call);
  const ends = {from: parentId, to: target.parentId, projects: below};
  const access = await accessFacts(ends, surroundings, call);
  const records = await gitlab.repositories.ofGroup(id, call);
  const tagged = await findTagged(below, records, surroundings, call);
  const projects: TransferFacts[] = [];
  for (const project of below.filter((one) => tagged.has(one.id))) {
    const own = projectWish(project, group, target.fullPath, wish.donor);
    const withGroup = {target: projectTarget(project, group, target.fullPath)};
    projects.push(
      await gatherTransferFacts(
        {wish: own, staged: true, withGroup, ...question},
        surroundings,
        call,
      ),
    );
  }
  const withTags = new Set(
    projects.flatMap(({repositories}) => repositories.filter(hasContent).map(({from}) => from)),
  );
  return {
    ...base,
    ...given({access}),
    projects,
    others: below
      .filter((one) => !tagged.has(one.id))
      .map((one) => ({
        fullPath: one.fullPath,
        isRegistryDisabled: one.registryAccess === 'disabled',
      })),
    records: records
      .map(({registryHost, path: name}) => `${registryHost}/${name}`)
      .filter((name) => !withTags.has(name))
      .toSorted(),
    deletions: records.flatMap(({path: name, status}) =>
      status === undefined ? [] : [{path: name, status}],
    ),
  };
}

/** A path that GitLab redirects is not the group's any more. @throws TransshipError GROUP_NOT_FOUND */
async function findGroup(name: string, {gitlab}: Surroundings, call: Call): Promise<Group> {
  const group = await gitlab.groups.find(name, call);
  if (group !== undefined) return group;
  if ((await gitlab.projects.find(name, call)) === undefined) return gitlab.groups.get(name, call);
  throw new TransshipError('GROUP_NOT_FOUND', `${name} is a project, not a group`, {
    side: 'gitlab',
    hint: `to move it, leave out --group: transship plan transfer ${name} --to …`,
  });
}

/**
 * The projects below the group that have tags, or had some: those with a record that has tags, and those whose own path
 * has tags without a record, which GitLab counts as well (GitLab: app/models/project.rb,
 * `has_root_container_repository_tags?`).
 */
async function findTagged(
  below: readonly Project[],
  records: readonly ContainerRepository[],
  {openRegistry}: Surroundings,
  call: Call,
): Promise<ReadonlySet<number>> {
  const withRecords = new Set(records.map(({projectId}) => projectId));
  const hosts = records.map(({registryHost}) => registryHost);
  const found = await mapAtOnce(below, AT_ONCE, async (project) => {
    if (withRecords.has(project.id)) return [project.id];
    const host = project.registryHost ?? hosts[0];
    const path = registryPathOf(project.fullPath);
    const isOff = project.registryAccess === 'disabled' || host === undefined || host === '';
    if (isOff || !isRepositoryPath(path)) return [];
    const tags = await openRegistry(host, 'source').repository(path).listTags(call).catch(notTold);
    return tags !== undefined && tags.length > 0 ? [project.id] : [];
  });
  return new Set(found.flat());
}

/** Each project has a directory of its own below that of the group. */
function projectWish(
  {fullPath}: Project,
  group: Group,
  to: string,
  donor: GroupWish['donor'],
): ProjectWish {
  const below = fullPath.slice(group.fullPath.length + 1);
  const dot = donor.path.startsWith('./') ? './' : '';
  const path = donor.kind === 'directory' ? `${dot}${join(donor.path, below)}` : donor.path;
  return {project: fullPath, to: `${to}/${below}`, donor: {...donor, path}};
}

/** Where the project is once its group has moved: nothing else can be there. */
function projectTarget(
  {fullPath, path, namespace}: Project,
  group: Group,
  to: string,
): TransferFacts['target'] {
  const moved = `${to}${fullPath.slice(group.fullPath.length)}`;
  return {
    fullPath: moved,
    path,
    namespace: {id: namespace.id, fullPath: moved.slice(0, moved.lastIndexOf('/'))},
    isAllowed: true,
    taken: {},
    ...given({whyNotImages: whyNotImages(moved)}),
  };
}

/** @throws TransshipError NAMESPACE_NOT_FOUND */
async function findGroupTarget(
  to: string,
  group: Group,
  isAdmin: boolean,
  surroundings: Surroundings,
  call: Call,
): Promise<GroupFacts['target']> {
  const slash = to.lastIndexOf('/');
  const path = to.slice(slash + 1) || group.path;
  const parent = slash < 0 ? undefined : await findParent(to.slice(0, slash), surroundings, call);
  const above = parent === undefined ? '' : `${parent.fullPath}/`;
  const fullPath = `${above}${path}`;
  const at = async (one: string): Promise<string | undefined> =>
    (await takenBy(one, group, surroundings, call))?.path;
  const taken = await takenBy(fullPath, group, surroundings, call);
  const isTransfer = parent?.id !== group.parentId;
  const isBoth = isTransfer && path !== group.path;
  const old = group.fullPath.slice(0, -group.path.length);
  return {
    fullPath,
    path,
    ...given({
      parentId: parent?.id,
      visibility: parent?.visibility,
      isAllowed: isTransfer ? await mayMoveTo(group, parent, isAdmin, surroundings, call) : true,
      whyNotPath: whyNotGroupPath(fullPath),
    }),
    taken: given({
      atTarget: taken?.path,
      isGroup: taken?.isGroup,
      oldPathInNew: isBoth ? await at(`${above}${group.path}`) : undefined,
      newPathInOld: isBoth ? await at(`${old}${path}`) : undefined,
    }),
  };
}

/** @throws TransshipError NAMESPACE_NOT_FOUND */
async function findParent(path: string, {gitlab}: Surroundings, call: Call): Promise<Group> {
  const parent = await gitlab.groups.find(path, call);
  if (parent !== undefined) return parent;
  throw new TransshipError('NAMESPACE_NOT_FOUND', `GitLab shows no group "${path}"`, {
    side: 'gitlab',
    hint: 'check the path, and that the owner of the token can see the group; create it first if it does not exist',
    status: 404,
  });
}

/** What is at this very path, if it is not the group itself. */
async function takenBy(
  fullPath: string,
  group: Group,
  {gitlab}: Surroundings,
  call: Call,
): Promise<{readonly path: string; readonly isGroup?: boolean} | undefined> {
  const isThere = (found: {readonly fullPath: string} | undefined): boolean =>
    found?.fullPath.toLowerCase() === fullPath.toLowerCase();
  const namespace = await gitlab.groups.findNamespace(fullPath, call);
  if (namespace && isThere(namespace))
    return namespace.id === group.id ? undefined : {path: namespace.fullPath, isGroup: true};
  const project = fullPath.includes('/') ? await gitlab.projects.find(fullPath, call) : undefined;
  return project && isThere(project) ? {path: project.fullPath} : undefined;
}

/**
 * GitLab lists to owners where a group may go, and to nobody else (GitLab: lib/api/groups.rb, `transfer_locations`).
 * Undefined: it does not tell. Whether users may create top-level groups is a setting that it does not show.
 */
async function mayMoveTo(
  group: Group,
  parent: Group | undefined,
  isAdmin: boolean,
  {gitlab}: Surroundings,
  call: Call,
): Promise<boolean | undefined> {
  if (isAdmin) return true;
  if (parent === undefined) return undefined;
  const locations = await gitlab.groups
    .transferLocations(group.id, parent.path, call)
    .catch(notTold);
  return locations?.some(({id}) => id === parent.id);
}

async function ownsGroup({id}: Group, {gitlab}: Surroundings, call: Call): Promise<boolean> {
  return (await gitlab.groups.transferLocations(id, undefined, call).catch(notTold)) !== undefined;
}

/** What is closed to the token's owner, or not there. */
function notTold(error: unknown): undefined {
  const closed = ['UNAUTHORIZED', 'FORBIDDEN', 'REPOSITORY_NOT_FOUND'];
  if (!(error instanceof TransshipError)) throw error;
  if (error.status === 403 || error.status === 404 || closed.includes(error.code)) return undefined;
  throw error;
}
