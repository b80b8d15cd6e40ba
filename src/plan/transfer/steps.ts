import {registryPathOf, topLevelOf} from '../../model/gitlab-naming.ts';
import type {
  Donor,
  MovedRule,
  PolicyState,
  ProbedManifest,
  ProjectMove,
} from '../../model/transfer-plan.ts';
import type {UncostedStep, Without} from './estimate.ts';
import type {TransferCopies} from './project-move.ts';
import type {
  GroupFacts,
  ProjectFacts,
  RepositoryFacts,
  TargetFacts,
  TransferFacts,
} from './facts.ts';
import {childBlobs, childManifests, type SeenManifest} from '../../model/manifest.ts';

/** A step before it belongs to a plan: its ID is its name, and its cost is unknown. */
export type BareStep = Without<UncostedStep, 'needs'>;

/**
 * The steps of a transfer in order; each needs the previous one. The order is that of GitLab's manual for moving a
 * project with images (GitLab: doc/user/packages/container_registry/troubleshoot_container_registry.md): pull, delete,
 * move, push. Before everything that cannot be undone there is a proof.
 * @param repositories the repositories with images
 * @param policy a cleanup policy that is enabled, or was before an earlier transfer; undefined: there is none
 * @param isPaused whether an earlier transfer disabled it, so that it has to be restored in any case
 */
export function transferSteps(
  facts: TransferFacts,
  way: ProjectMove['way'],
  repositories: readonly RepositoryFacts[],
  {pull, push}: TransferCopies,
  policy: PolicyState | undefined,
  isPaused: boolean,
): readonly BareStep[] {
  const {
    project,
    target,
    donor: {donor},
    withGroup,
  } = facts;
  const {changes: calls} = pathChangesOf(project, target);
  // A project that moves with its group has no changes of its own.
  if (calls.length === 0 && withGroup !== true) return [];
  const frozen = facts.freeze === true ? [frozenPatterns(facts)] : [];
  const changes = calls.map((call) => changeStep(call, calls.length));
  const resumed = isPaused && policy !== undefined ? [resumeStep(policy)] : [];
  switch (way) {
    case 'empty':
      return [...changes, ...resumed];
    case 'native':
      return [
        ...changes,
        verifyTarget('GitLab does not check the result of its registry'),
        ...rulesStep(movedRules(facts)),
        ...resumed,
      ];
    case 'staged':
      return [
        ...(donor.kind === 'project' && donor.id === undefined ? [createStep(donor)] : []),
        ...(policy === undefined ? [] : [pauseStep(policy)]),
        ...frozen.map((patterns) => freezeStep(patterns)),
        {
          id: 'pull',
          kind: 'pull',
          why: 'the images need a location while their project moves',
          ...pull,
        },
        {
          id: 'verify-donor',
          kind: 'verify',
          at: 'donor',
          why: 'nothing is deleted before it is verified at the donor',
        },
        ...(donor.kind === 'directory' ? [probeStep(repositories)] : []),
        {
          id: 'delete-old',
          kind: 'delete-old',
          why: `GitLab does not move a ${withGroup === true ? 'group' : 'project'} that has tags in its registry`,
        },
        ...changes,
        {id: 'retag', kind: 'retag', why: 'the images are named after the path of their project'},
        {id: 'push', kind: 'push', why: 'the images follow their project', ...push},
        verifyTarget('the donor may be removed only after everything is at the new path'),
        ...frozen.map((patterns) => unfreezeStep(patterns)),
        ...rulesStep(movedRules(facts)),
        ...(policy === undefined ? [] : [resumeStep(policy)]),
        {
          id: 'remove-donor',
          kind: 'remove-donor',
          why: 'only with "apply --remove-donor"; until then the images stay at the donor as well',
        },
      ];
  }
}

function changeStep(change: PathChange, count: number): BareStep {
  const alone = count === 1 ? '' : '; GitLab changes namespace and path one after the other';
  return change.kind === 'namespace'
    ? {
        id: 'change-namespace',
        kind: 'change-path',
        namespaceId: change.namespaceId,
        why: `the project moves to another namespace${alone}`,
      }
    : {
        id: 'change-path',
        kind: 'change-path',
        path: change.path,
        why: `the project gets another path${alone}`,
      };
}

function verifyTarget(why: string): BareStep {
  return {id: 'verify-target', kind: 'verify', at: 'target', why};
}

function createStep({path, namespaceId}: Donor & {readonly kind: 'project'}): BareStep {
  return {
    id: 'create-donor',
    kind: 'create-donor',
    path,
    namespaceId,
    why: 'the donor project does not exist yet',
  };
}

/** Images at a donor project need no probe: the registry has already accepted them. */
function probeStep(repositories: readonly RepositoryFacts[]): BareStep {
  const manifests = probesOf(repositories).map(
    ({repository, digest}): ProbedManifest => ({repository, digest}),
  );
  return {
    id: 'probe',
    kind: 'probe',
    uploadsTo: repositories[0]?.from ?? '',
    manifests,
    why: 'nothing is deleted that the registry might refuse later',
  };
}

function pauseStep(policy: PolicyState): BareStep {
  return {
    id: 'pause',
    kind: 'pause',
    why: 'it could delete tags during the move',
    policy,
  };
}

/** Rules that name the old path, and their patterns with the new one. */
export function movedRules({
  project,
  target,
  rules,
}: Pick<TransferFacts, 'project' | 'target' | 'rules'>): readonly MovedRule[] {
  const [old, now] = [project.fullPath, target.fullPath].map(registryPathOf) as [string, string];
  return (rules.repositories ?? []).flatMap(({id, pattern}) => {
    const rest = pattern.slice(old.length);
    const isOld = pattern.toLowerCase().startsWith(old) && !/^[a-z0-9]/i.test(rest);
    return id !== undefined && isOld ? [{id, from: pattern, to: now + rest}] : [];
  });
}

/** Patterns for the project's own image path and those below it, unless a rule with that pattern exists. */
function frozenPatterns({
  project,
  rules,
}: Pick<TransferFacts, 'project' | 'rules'>): readonly string[] {
  const path = registryPathOf(project.fullPath);
  const known = new Set((rules.repositories ?? []).map(({pattern}) => pattern.toLowerCase()));
  return [path, `${path}/*`].filter((pattern) => !known.has(pattern));
}

function freezeStep(patterns: readonly string[]): BareStep {
  const why =
    'a tag that is pushed during the move would stop it; tokens for pushes last some minutes';
  return {id: 'freeze', kind: 'freeze', patterns, why};
}

function unfreezeStep(patterns: readonly string[]): BareStep {
  return {id: 'unfreeze', kind: 'unfreeze', patterns, why: 'the rules were for the move only'};
}

function rulesStep(rules: readonly MovedRule[]): readonly BareStep[] {
  const why = 'GitLab keeps the patterns of protection rules as they are';
  return rules.length === 0 ? [] : [{id: 'move-rules', kind: 'move-rules', rules, why}];
}

function resumeStep(policy: PolicyState): BareStep {
  const why = 'the cleanup policy was enabled before; its interval restarts';
  return {id: 'resume', kind: 'resume', why, policy};
}

/**
 * The maximum number of repositories that any version of GitLab's registry moves itself (GitLab container registry:
 * !2816; 1,000 before). It includes deleted ones, which the API does not show, so GitLab may refuse fewer.
 */
const NATIVE_LIMIT = 2000;

/**
 * How the images get to the new path. The registry moves them itself if it has a metadata database and the project
 * stays in its top-level group (GitLab: app/services/projects/transfer_service.rb). It also needs Redis, which cannot
 * be checked beforehand: without it, GitLab refuses and changes nothing.
 */
export function wayOf({
  project,
  target,
  registry,
  repositories,
  staged,
  withGroup,
}: TransferFacts): ProjectMove['way'] {
  const tagged = repositories.filter(hasContent);
  if (tagged.length === 0) return 'empty';
  const isNear = haveSameTopLevel(project.fullPath, target.fullPath);
  const isNative =
    registry?.database === true &&
    isNear &&
    repositories.length <= NATIVE_LIMIT &&
    !staged &&
    // GitLab moves no group with images, whatever its registry (GitLab: app/services/groups/transfer_service.rb).
    withGroup !== true;
  return isNative ? 'native' : 'staged';
}

/** Whether a repository has content that prevents its project from moving. */
export function hasContent({source}: TransferFacts['repositories'][number]): boolean {
  return (
    source.roots.length > 0 || source.notRead.length > 0 || (source.unreadable ?? []).length > 0
  );
}

/** Whether two full paths are below the same top-level group or user. GitLab's paths ignore case. */
export function haveSameTopLevel(one: string, other: string): boolean {
  return topLevelOf(one).toLowerCase() === topLevelOf(other).toLowerCase();
}

/** A call that moves the project: GitLab changes the namespace and the path separately. */
export type PathChange =
  | {readonly kind: 'namespace'; readonly namespaceId: number}
  | {readonly kind: 'path'; readonly path: string};

/**
 * The paths that the project may have between two changes, because GitLab changes namespace and path one after the
 * other; empty: one call moves it.
 */
export function betweenPaths({
  project,
  target,
}: Pick<TransferFacts, 'project' | 'target'>): readonly string[] {
  return pathChangesOf(project, target).changes.length < 2
    ? []
    : [
        `${target.namespace.fullPath}/${project.path}`,
        `${project.namespace.fullPath}/${target.path}`,
      ];
}

/** A call that moves a group. `parentId` null: it becomes a top-level group. */
export type GroupChange =
  | {readonly kind: 'parent'; readonly parentId: number | null}
  | {readonly kind: 'path'; readonly path: string};

/** The calls in an order that works, or the project or group that conflicts with both orders. */
export type PathChanges<Change = PathChange> =
  | {readonly changes: readonly Change[]}
  | {readonly changes: readonly []; readonly inTheWay: string};

export function pathChangesOf(project: ProjectFacts, target: TargetFacts): PathChanges {
  const transfer: PathChange | undefined =
    project.namespace.id === target.namespace.id
      ? undefined
      : {kind: 'namespace', namespaceId: target.namespace.id};
  const rename: PathChange | undefined =
    project.path === target.path ? undefined : {kind: 'path', path: target.path};
  return inOrderThatWorks<PathChange>(transfer, rename, target.taken);
}

export function groupChangesOf({
  group,
  target,
}: Pick<GroupFacts, 'group' | 'target'>): PathChanges<GroupChange> {
  const transfer: GroupChange | undefined =
    group.parentId === target.parentId
      ? undefined
      : {kind: 'parent', parentId: target.parentId ?? null};
  const rename: GroupChange | undefined =
    group.path === target.path ? undefined : {kind: 'path', path: target.path};
  return inOrderThatWorks<GroupChange>(transfer, rename, target.taken);
}

/**
 * The transfer comes before the change of path, because most refusals concern transfers and should come first; the
 * order is reversed if the old path is taken in the new namespace.
 */
function inOrderThatWorks<Change>(
  transfer: Change | undefined,
  rename: Change | undefined,
  {oldPathInNew, newPathInOld}: TargetFacts['taken'],
): PathChanges<Change> {
  if (transfer === undefined || rename === undefined)
    return {changes: [transfer, rename].filter((change) => change !== undefined)};
  if (oldPathInNew === undefined) return {changes: [transfer, rename]};
  if (newPathInOld === undefined) return {changes: [rename, transfer]};
  return {changes: [], inTheWay: oldPathInNew};
}

/** A manifest that is pushed again to check that the registry still accepts its kind. */
export interface Probe extends ProbedManifest {
  readonly manifest: SeenManifest;
}

/**
 * One manifest of each kind that a registry may treat differently: by its media types (GitLab container registry:
 * docs/supported-media-types.md), whether it has a subject, and whether it is an empty index. For foreign layers the
 * URLs matter, so each manifest with such layers is a kind of its own.
 */
export function probesOf(repositories: readonly RepositoryFacts[]): readonly Probe[] {
  const probes = new Map<string, Probe>();
  for (const {from, source} of repositories) {
    const manifests = [...source.manifests.values()].toSorted((a, b) =>
      a.descriptor.digest < b.descriptor.digest ? -1 : 1,
    );
    for (const manifest of manifests) {
      const {digest} = manifest.descriptor;
      const isForeign = childBlobs(manifest.view).some((blob) =>
        source.absentForeign.has(blob.digest),
      );
      const kind = isForeign ? digest : kindOf(manifest);
      if (kind !== undefined && !probes.has(kind))
        probes.set(kind, {repository: from, digest, manifest});
    }
  }
  return [...probes.values()];
}

/** Undefined: schema 1, which registries refuse and another check reports. */
function kindOf({descriptor, view}: SeenManifest): string | undefined {
  if (view.kind === 'schema1') return undefined;
  const config = view.kind === 'image' ? view.config.mediaType : '';
  const isEmpty = view.kind === 'index' && childManifests(view).length === 0;
  const refers = view.subject !== undefined;
  return JSON.stringify([descriptor.mediaType, config, view.artifactType ?? '', refers, isEmpty]);
}
