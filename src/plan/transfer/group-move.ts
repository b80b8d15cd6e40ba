import type {Check} from '../../model/plan.ts';
import type {GroupMove, ProjectMove} from '../../model/transfer-plan.ts';
import {tokenChecks} from './transfer-checks.ts';
import {moveSeconds, type UncostedGroupStep, withGroupEstimates, type Without} from './estimate.ts';
import {forbid, pass, warn} from './make-check.ts';
import type {GroupFacts} from './facts.ts';
import {accessChecks, visibilityChecks} from './project-checks.ts';
import {type PlannedMove, planMove} from './project-move.ts';
import {type GroupChange, groupChangesOf} from './steps.ts';

/** A group of a plan with its projects. */
export interface PlannedGroup {
  readonly group: GroupMove;
  /** Its projects with images, as moves without a change of path. */
  readonly planned: readonly PlannedMove[];
  /** Checks about the group itself. */
  readonly checks: readonly Check[];
}

/**
 * Plans the move of a group with all of its content. Pure. A project whose images cannot be moved forbids the move of
 * the whole group.
 * @param moves the number of projects in the plan, including those of this group
 * @param units the number of groups and projects in the plan; a group counts as one
 */
export function planGroup(facts: GroupFacts, moves: number, units: number): PlannedGroup {
  const {group, target, projects, others, records} = facts;
  const all = projects.map((one) => planMove(one, moves));
  const planned = all.filter(({move}) => move.steps.length > 0);
  const {changes} = groupChangesOf(facts);
  const paths = {id: group.id, from: group.fullPath, to: target.fullPath};
  const suffix = units === 1 ? '' : `:${group.fullPath}`;
  const isMoved = changes.length > 0;
  const hasRecords = records.length > 0 || planned.some(({move}) => move.way === 'staged');
  const moved = {
    group: paths,
    projects: planned.map(({move}) => move.project.id),
    withoutImages: [
      ...all.filter((one) => !planned.includes(one)).map(({move}) => move.project.from),
      ...others.map(({fullPath}) => fullPath),
    ],
    records,
    steps: isMoved ? groupSteps(changes, hasRecords, suffix) : [],
  };
  return {
    group: {...moved, steps: withGroupEstimates(moved.steps, records.length)},
    planned: isMoved ? withCommonDowntime(planned, changes.length) : planned,
    checks: [
      ...groupChecks(facts),
      ...(isMoved ? [...tokenChecks(facts, true), ...recordChecks(facts, planned)] : []),
      // Records of projects without images: an earlier transfer may have emptied them.
      ...all
        .filter((one) => !planned.includes(one))
        .flatMap(({checks, move}) =>
          checks
            .filter(({result}) => result !== 'pass')
            .map((check): Check => ({...check, project: move.project.from})),
        ),
    ],
  };
}

function groupSteps(
  changes: readonly GroupChange[],
  hasRecords: boolean,
  suffix: string,
): readonly UncostedGroupStep[] {
  const alone = changes.length === 1 ? '' : '; GitLab changes parent and path one after the other';
  const bare: readonly Without<UncostedGroupStep, 'needs'>[] = [
    ...(hasRecords
      ? [
          {
            id: 'delete-records',
            kind: 'delete-records',
            why: 'GitLab does not move a group with image repositories, be they empty or not',
          } as const,
        ]
      : []),
    ...changes.map((change) =>
      change.kind === 'parent'
        ? ({
            id: 'change-parent',
            kind: 'change-group',
            parentId: change.parentId,
            why: `the group moves with all below it${alone}`,
          } as const)
        : ({
            id: 'change-group-path',
            kind: 'change-group',
            path: change.path,
            why: `the group gets another path${alone}`,
          } as const),
    ),
  ];
  return bare.map((step, at) => {
    const before = bare[at - 1];
    const needs = before === undefined ? [] : [`${before.id}${suffix}`];
    return {...step, id: `${step.id}${suffix}`, needs};
  });
}

/** The images of all projects are unavailable at the same time, from the first deletion to the last push. */
function withCommonDowntime(
  planned: readonly PlannedMove[],
  calls: number,
): readonly PlannedMove[] {
  const downtimeSeconds = planned.reduce(
    (sum, {move}) => sum + move.downtimeSeconds,
    moveSeconds(calls),
  );
  return planned.map((one) => ({...one, move: withDowntime(one.move, downtimeSeconds)}));
}

function withDowntime(move: ProjectMove, downtimeSeconds: number): ProjectMove {
  return move.way === 'staged' ? {...move, downtimeSeconds} : move;
}

/** Whether the group can be moved to its new path. */
function* groupChecks(facts: GroupFacts): Generator<Check> {
  const {group, target, token} = facts;
  const {fullPath} = group;
  if (fullPath === target.fullPath) {
    yield warn(
      'ALREADY_THERE',
      fullPath,
      `the group is already at ${fullPath}`,
      'if an earlier plan of this transfer was not finished, apply that plan again: its images may still be at the donor',
    );
    return;
  }
  const problems = [
    ...(token.isAdmin ? [] : rightChecks(facts)),
    ...placeChecks(facts),
    ...groupDonorChecks(facts),
    ...groupRegistryChecks(facts),
    ...accessChecks(fullPath, facts.access),
    ...visibilityChecks(fullPath, group.visibility, target.visibility),
  ];
  yield* problems;
  if (problems.some(({result}) => result === 'forbid')) return;
  yield pass(
    'GROUP_READY',
    fullPath,
    `the group can move to ${target.fullPath}, which is free, with all projects below it`,
  );
}

function* rightChecks({group, target}: GroupFacts): Generator<Check> {
  const {isOwned, fullPath} = group;
  const hint = 'use the token of an owner of the group';
  if (isOwned === false)
    yield forbid(
      'ROLE_MISSING',
      fullPath,
      `the token is not that of an owner of ${fullPath}`,
      hint,
    );
  else if (isOwned === undefined)
    yield warn(
      'ROLE_MISSING',
      fullPath,
      `GitLab does not report the role of the token in ${fullPath}; it must be that of an owner`,
      hint,
    );
  if (group.parentId === target.parentId) return;
  const place = target.parentId === undefined ? 'the top level' : parentOf(target.fullPath);
  if (target.isAllowed === false)
    yield forbid(
      'TRANSFER_FORBIDDEN',
      place,
      `the token may not move groups to ${place}`,
      'use the token of a user with permission to create subgroups there',
    );
  else if (target.isAllowed === undefined)
    yield warn(
      'TRANSFER_FORBIDDEN',
      place,
      `GitLab does not report whether the token may move groups to ${place}`,
      'make sure that the owner of the token may create groups there',
    );
}

function* placeChecks(facts: GroupFacts): Generator<Check> {
  const {group, target} = facts;
  const {taken, fullPath} = target;
  const hint = 'choose another path with --to';
  if (isBelow(fullPath, group.fullPath))
    yield forbid('NAME_INVALID', fullPath, `${fullPath} is inside of the group that moves`, hint);
  if (target.whyNotPath !== undefined)
    yield forbid('NAME_INVALID', fullPath, target.whyNotPath, hint);
  if (taken.atTarget !== undefined) {
    yield forbid(
      'NAME_TAKEN',
      fullPath,
      `${taken.atTarget} already exists`,
      taken.isGroup === true
        ? `did you mean --to ${taken.atTarget}/? With a trailing / it names the group that this group moves to`
        : hint,
    );
    return;
  }
  const order = groupChangesOf(facts);
  if ('inTheWay' in order)
    yield forbid(
      'NAME_TAKEN',
      fullPath,
      `${order.inTheWay} conflicts with the move: GitLab changes parent and path one after the other, and both orders use a path that is taken`,
      'make two plans that move the group through a free path',
    );
}

/** A donor inside the group would change its path during the move, and its records would prevent the move. */
function* groupDonorChecks({wish, projects, group, target}: GroupFacts): Generator<Check> {
  const {kind, path: wished} = wish.donor;
  if (kind !== 'project') return;
  const path = projects[0]?.donor.donor.path ?? wished;
  const place = [group.fullPath, target.fullPath].find((at) => isBelow(path, at));
  if (place !== undefined)
    yield forbid(
      'DONOR_UNFIT',
      path,
      `the donor ${path} is below ${place}, and the group cannot move while one of its projects has images`,
      'choose a project outside of the group, or a directory, with --donor',
    );
}

function* groupRegistryChecks({deletions, others}: GroupFacts): Generator<Check> {
  for (const {path, status} of deletions) {
    if (status === 'delete_failed')
      yield warn(
        'DELETION_UNDER_WAY',
        path,
        `GitLab tried to delete ${path} and failed; the group does not move before it is deleted`,
        'ask an administrator to check that the registry may delete from its storage',
      );
    else
      yield forbid(
        'DELETION_UNDER_WAY',
        path,
        `GitLab is deleting ${path} (${status})`,
        'wait until it is deleted, then plan again',
      );
  }
  const hidden = others.filter(({isRegistryDisabled}) => isRegistryDisabled);
  const [first, ...more] = hidden;
  if (first === undefined) return;
  yield warn(
    'REGISTRY_DISABLED',
    first.fullPath,
    `the container registry of ${first.fullPath}${more.length === 0 ? '' : ` and ${more.length} more projects`} is disabled, which hides images that it may still have`,
    'such images remain at the old path, where they cannot be pulled; to move them, enable the registry and plan again',
  );
}

/** GitLab deletes a record in the background, with all tags that it has then. */
function* recordChecks(
  {group, records}: GroupFacts,
  planned: readonly PlannedMove[],
): Generator<Check> {
  const repositories = planned.flatMap(({move}) => move.repositories).length;
  const count = repositories + records.length;
  if (count === 0) return;
  yield warn(
    'RECORDS_DELETED',
    group.fullPath,
    `GitLab does not move a group with image repositories: ${count === 1 ? '1 of them is' : `${count} of them are`} deleted once empty (${records.length} ${records.length === 1 ? 'is' : 'are'} empty now), which GitLab does in the background, in minutes`,
    'a tag that is pushed during the move is deleted with its repository: pause pipelines of the group during the move, and plan with --freeze',
  );
}

/** Whether a full path is the group's or below it. */
export function isBelow(path: string, group: string): boolean {
  const [one, other] = [path.toLowerCase(), group.toLowerCase()];
  return one === other || one.startsWith(`${other}/`);
}

function parentOf(fullPath: string): string {
  return fullPath.slice(0, fullPath.lastIndexOf('/'));
}
