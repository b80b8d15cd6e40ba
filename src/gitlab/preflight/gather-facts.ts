import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {ProjectWish} from '../../model/transfer-plan.ts';
import type {
  AccessFacts,
  RegistryFacts,
  RuleFacts,
  TargetFacts,
  TransferFacts,
} from '../../plan/transfer/facts.ts';
import {hasContent, wayOf} from '../../plan/transfer/steps.ts';
import {given, type Project} from '../entities.ts';
import {accessFacts} from './access.ts';
import {type DonorQuestion, findDonor, findWaiting} from './donor.ts';
import {observeImages} from './images.ts';
import {proveDonor} from './probe-donor.ts';
import {findProject, findTarget, projectFacts, tokenFacts} from './project.ts';
import {clockFacts, proveRegistry, proveWrites} from './registry.ts';
import type {InstanceRegistry, Surroundings} from './surroundings.ts';

export interface TransferQuestion extends DonorQuestion {
  readonly wish: ProjectWish;
  /** Take the way by the donor even where GitLab could move the images itself. */
  readonly staged: boolean;
  /** Nobody but owners is to push to the old path during the move. */
  readonly freeze?: boolean;
  /** The platforms of all images are needed: takes the configs of those that no index lists. */
  readonly platforms?: boolean;
  /** The project moves with its group, which says where to. Default: by itself. */
  readonly withGroup?: {readonly target: TargetFacts};
}

/**
 * Finds out all that the transfer of one project depends on, and proves what can be proved. Nothing is changed, except
 * a probe tag, pushed to a donor project and deleted. With a directory as the donor, content of the old path is sent
 * there once more.
 * @throws TransshipError PROJECT_NOT_FOUND, NAMESPACE_NOT_FOUND, TOKEN_SCOPE_MISSING, and what GitLab and its registry
 *   answer
 */
export async function gatherTransferFacts(
  {wish, staged, withGroup, freeze, platforms = false, ...question}: TransferQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<TransferFacts> {
  const project = await findProject(wish.project, surroundings, call);
  const {username, ...token} = await tokenFacts(surroundings, call);
  const person = {isAdmin: token.isAdmin, ...given({username})};
  const target =
    withGroup?.target ?? (await findTarget(wish.to, project, person, surroundings, call));
  const donor = await findDonor(wish.donor, project, question, surroundings, call);
  const base = {
    wish,
    now: surroundings.now(),
    staged,
    ...(withGroup === undefined ? {} : {withGroup: true}),
    ...(freeze === true ? {freeze} : {}),
    project: await projectFacts(project, surroundings, call),
    target,
    token,
    donor,
    ...given({access: await namespaceAccess(project, target, surroundings, call)}),
  };
  const nothing = {...base, repositories: [], rules: {}};
  if (base.project.isRegistryDisabled || target.fullPath === project.fullPath) return nothing;
  const records = await surroundings.gitlab.repositories.ofProject(project.id, call);
  const host = project.registryHost ?? records[0]?.registryHost;
  if (host === undefined || host === '') return nothing;
  const opened = surroundings.openRegistry(host, 'source');
  const {now, gitlab} = surroundings;
  const [{version, deletesTags, database, registryAhead}, gitlabAhead] = await Promise.all([
    opened.traits(call).then(({clock, ...traits}) => ({
      ...traits,
      registryAhead: clock === undefined ? undefined : clock - now(),
    })),
    gitlab.account.clock(call).then((clock) => (clock === undefined ? undefined : clock - now())),
  ]);
  const images = {project, target, donor, records, registry: opened, database, platforms};
  const repositories = await observeImages(images, surroundings, call);
  const registry: RegistryFacts = {
    host,
    deletesTags,
    database,
    ...given({version}),
    ...clockFacts({registry: registryAhead, gitlab: gitlabAhead}),
  };
  const untagged = records.flatMap(({path, tagsCount}) => (tagsCount === 0 ? [path] : []));
  const near = [project.fullPath, target.fullPath];
  const waiting = await findWaiting({project, host, records, donor, near}, surroundings, call);
  const seen = {...base, registry, repositories, untagged, waiting, rules: {}};
  // Where GitLab can move the images, the way by the donor is the one that is left if it refuses.
  if (wayOf(seen) === 'empty') return seen;
  const writable = surroundings.openRegistry(host, 'destination');
  // What it grants is known only once it has asked for a token.
  await writable.traits(call);
  const proved = await proveRegistry(registry, repositories, writable, call);
  return {
    ...seen,
    registry: {
      ...registry,
      ...proved,
      ...given({writes: await writesIn(seen, proved, writable, call)}),
    },
    donor: await proveDonor(donor, repositories, writable, surroundings, call),
    rules: await readRules(project, surroundings, call),
  };
}

/**
 * Of users' own namespaces nothing is inherited but by the user. A project in a group that moves is told of with the
 * group.
 */
async function namespaceAccess(
  project: Project,
  target: TargetFacts,
  surroundings: Surroundings,
  call: Call,
): Promise<AccessFacts | undefined> {
  const {namespace} = project;
  if (namespace.kind === 'user' || namespace.id === target.namespace.id) return undefined;
  const {id, fullPath, isUser} = target.namespace;
  const to = isUser === true ? {to: undefined, owner: fullPath} : {to: id};
  return accessFacts({from: namespace.id, ...to, projects: [project]}, surroundings, call);
}

/** What waits in a donor project was taken by the registry; of a directory's images it has to be tried. */
async function writesIn(
  {donor: {donor, stranger}, repositories}: Pick<TransferFacts, 'donor' | 'repositories'>,
  {missingActions = [], deletion}: Pick<RegistryFacts, 'missingActions' | 'deletion'>,
  registry: InstanceRegistry,
  call: Call,
): Promise<RegistryFacts['writes']> {
  const isOpen = missingActions.length === 0 && typeof deletion !== 'object';
  if (donor.kind === 'project' || stranger !== undefined || !isOpen) return undefined;
  return proveWrites(repositories.filter(hasContent), registry, call);
}

async function readRules({id}: Project, {gitlab}: Surroundings, call: Call): Promise<RuleFacts> {
  const [repositories, tags] = await Promise.all([
    gitlab.protection.ofRepositories(id, call).catch(notTold),
    gitlab.protection.ofTags(id, call).catch(notTold),
  ]);
  return given({repositories, tags});
}

/** GitLab shows rules to maintainers only. Other users cannot delete either, which another check reports. */
function notTold(error: unknown): undefined {
  if (error instanceof TransshipError && error.code === 'FORBIDDEN') return undefined;
  throw error;
}
