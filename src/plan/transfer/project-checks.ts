import type {Check, Visibility} from '../../model/plan.ts';
import {forbid, pass, shownNames, warn} from './make-check.ts';
import type {AccessFacts, ProjectFacts, TargetFacts, TransferFacts} from './facts.ts';
import {haveSameTopLevel, pathChangesOf} from './steps.ts';

/** GitLab's access levels (GitLab: lib/gitlab/access.rb). */
const MAINTAINER = 40;
const OWNER = 50;

/** Whether the project can be moved to its new path. */
export function projectChecks(facts: TransferFacts): readonly Check[] {
  const {project, target, token} = facts;
  if (project.fullPath === target.fullPath) return [alreadyThere(project)];
  const found = [
    ...redirectChecks(facts),
    ...stateChecks(facts),
    ...(token.isAdmin ? [] : roleChecks(facts)),
    ...targetChecks(project, target),
    ...accessChecks(project.fullPath, facts.access),
    ...visibilityChecks(project.fullPath, project.visibility, target.namespace.visibility),
  ];
  return [
    ...found,
    ...(found.some(({subject}) => subject === project.fullPath)
      ? []
      : [
          pass(
            'PROJECT_READY',
            project.fullPath,
            'the project is neither archived nor marked for deletion, and the role of the token is sufficient',
          ),
        ]),
    ...(found.some(({subject}) => subject === target.fullPath)
      ? []
      : [
          pass(
            'TARGET_FREE',
            target.fullPath,
            'the new path is free, and valid for a project and its images',
          ),
        ]),
  ];
}

/**
 * Roles in groups are inherited, a deploy token of a group is valid for all projects below it, and an allowlist entry
 * for a group covers the jobs of those projects.
 */
export function* accessChecks(subject: string, access: AccessFacts | undefined): Generator<Check> {
  if (access === undefined) return;
  const {lost, gained, deployTokens, allows, allowedBy, unseen} = access;
  const parts = [
    ...(lost.length > 0
      ? [`${shownNames(lost)} can no longer pull, unless as a member itself`]
      : []),
    ...(gained.length > 0 ? [`${shownNames(gained)} can pull`] : []),
  ];
  if (parts.length > 0) {
    yield warn(
      'ACCESS_CHANGES',
      `${subject} members`,
      `after the move, by roles in groups: ${parts.join('; ')}`,
      'add those who have to pull as members',
    );
  }
  if (deployTokens.length > 0) {
    const names = deployTokens.map(({group, name}) => `${name} of ${group}`);
    yield warn(
      'DEPLOY_TOKENS_END',
      `${subject} deploy tokens`,
      `deploy tokens of the old groups no longer open the images: ${shownNames(names)}`,
      'create deploy tokens in the project or in the new group, and replace these where they are used',
    );
  }
  if (allows.length > 0) {
    const names = allows.map(({project, group}) => `${group} (allowlist of ${project})`);
    yield warn(
      'JOB_TOKENS_CHANGE',
      `${subject} job tokens`,
      `CI jobs of groups that are left may still use the images: ${shownNames(names)}`,
      'after the move, take these groups off the job-token allowlist, and add the new ones whose jobs have to pull',
    );
  }
  if (allowedBy.length > 0) {
    const names = allowedBy.map(({project, group}) => `${project} (which allows ${group})`);
    yield warn(
      'JOB_TOKENS_END',
      `${subject} jobs`,
      `CI jobs of ${subject} can no longer use projects that allow the old groups: ${shownNames(names)}`,
      'add the moved projects, or the new group, to the job-token allowlists of these projects',
    );
  }
  if (unseen.length > 0) {
    yield warn(
      'ACCESS_NOT_SEEN',
      `${subject} access`,
      `who has access to the images is not known completely: this token may not see ${shownNames(unseen)}`,
      'look in the settings, or plan with the token of a maintainer of the old and the new group',
    );
  }
}

const WIDTHS = ['private', 'internal', 'public'] as const;

/**
 * GitLab reduces a visibility that exceeds that of the parent group (GitLab: app/services/projects/transfer_service.rb,
 * app/services/groups/transfer_service.rb).
 * @param group the visibility of the new parent group
 */
export function* visibilityChecks(
  subject: string,
  own: Visibility | undefined,
  group: Visibility | undefined,
): Generator<Check> {
  if (own === undefined || group === undefined) return;
  if (WIDTHS.indexOf(own) <= WIDTHS.indexOf(group)) return;
  yield warn(
    'VISIBILITY_NARROWS',
    `${subject} visibility`,
    `${subject} is ${own}, and the group that it moves to is ${group}: GitLab makes it ${group}, with all below it`,
    'who is not a member can no longer pull. GitLab does not widen it again when it is moved back: note what it is',
  );
}

/** GitLab redirects from old paths of a project (GitLab: doc/api/rest/_index.md, "Redirects"). */
function* redirectChecks({wish, project: {id, fullPath}}: TransferFacts) {
  const isPath = !/^\d+$/.test(wish.project);
  if (!isPath || wish.project.toLowerCase() === fullPath.toLowerCase()) return;
  yield warn(
    'PATH_REDIRECTED',
    wish.project,
    `${wish.project} is an old path of the project ${id}, which is at ${fullPath}`,
    'make sure that this is the project that you mean',
  );
}

function alreadyThere({fullPath}: ProjectFacts): Check {
  return warn(
    'ALREADY_THERE',
    fullPath,
    `the project is already at ${fullPath}`,
    'if an earlier plan of this transfer was not finished, apply that plan again: its images may still be at the donor',
  );
}

function* stateChecks({project, withGroup}: TransferFacts) {
  const {fullPath, archived, deletionDate} = project;
  if (archived) {
    yield forbid(
      'PROJECT_NOT_MOVABLE',
      fullPath,
      withGroup === true
        ? `${fullPath} is archived, so its images cannot be deleted or pushed`
        : `${fullPath} is archived, and GitLab does not transfer archived projects`,
      'unarchive it before the move, and archive it again afterwards',
    );
  }
  if (deletionDate !== undefined) {
    yield forbid(
      'PROJECT_NOT_MOVABLE',
      fullPath,
      `${fullPath} is marked for deletion on ${deletionDate}`,
      'restore the project first',
    );
  }
  if (project.isRegistryDisabled) {
    yield forbid(
      'REGISTRY_DISABLED',
      fullPath,
      `the container registry of ${fullPath} is disabled, which hides images that it may still have`,
      'enable it in the settings of the project, and plan again',
    );
  }
  if (project.hasRunningPipelines === true) {
    yield warn(
      'PIPELINES_RUNNING',
      `${fullPath} pipelines`,
      `pipelines of ${fullPath} are running; what they push after planning is drift`,
      'let them finish, and pause schedules during the move',
    );
  }
}

function* roleChecks({project, target, freeze}: TransferFacts) {
  const {fullPath, accessLevel} = project;
  const isTransfer = project.namespace.id !== target.namespace.id;
  const needed = isTransfer ? OWNER : MAINTAINER;
  const role = isTransfer ? 'an owner of the project' : 'a maintainer of the project';
  const hint = `use the token of ${role}`;
  if (accessLevel === 0) {
    yield warn(
      'ROLE_MISSING',
      fullPath,
      `GitLab does not report the role of the token in ${fullPath}; it must be that of ${role}`,
      hint,
    );
  } else if (accessLevel < needed) {
    yield forbid(
      'ROLE_MISSING',
      fullPath,
      `the token has access level ${accessLevel} in ${fullPath}, but ${needed} is required`,
      hint,
    );
  }
  if (freeze === true && accessLevel > 0 && accessLevel < OWNER)
    yield forbid(
      'ROLE_MISSING',
      fullPath,
      `--freeze lets owners push only, and the token has access level ${accessLevel} in ${fullPath}`,
      'use the token of an owner, or plan without --freeze',
    );
  if (!isTransfer) return;
  if (target.isAllowed === false) {
    yield forbid(
      'TRANSFER_FORBIDDEN',
      target.namespace.fullPath,
      `the token may not move projects to ${target.namespace.fullPath}`,
      'use the token of a user with permission to create projects there',
    );
  } else if (target.isAllowed === undefined) {
    yield warn(
      'TRANSFER_FORBIDDEN',
      target.namespace.fullPath,
      `GitLab does not report whether the token may move projects to ${target.namespace.fullPath}`,
      'make sure that the owner of the token may create projects there',
    );
  }
}

function* targetChecks(project: ProjectFacts, target: TargetFacts) {
  const {fullPath, taken, whyNotPath, whyNotImages} = target;
  const isNewPath = project.path !== target.path;
  const {scopedPackage} = project;
  if (scopedPackage !== undefined && !haveSameTopLevel(project.fullPath, fullPath)) {
    yield forbid(
      'TRANSFER_PACKAGES_PRESENT',
      project.fullPath,
      `the npm package ${scopedPackage} is named after the top-level group, which the project leaves`,
      'delete the npm packages of that scope first, or stay in the top-level group',
    );
  }
  if (isNewPath && whyNotPath !== undefined) {
    yield forbid('NAME_INVALID', fullPath, whyNotPath, 'choose another path with --to');
  }
  if (whyNotImages !== undefined) {
    yield forbid('NAME_INVALID', fullPath, whyNotImages, 'choose another path with --to');
  }
  if (taken.atTarget !== undefined) {
    yield forbid(
      'NAME_TAKEN',
      fullPath,
      taken.isGroup === true ? `${taken.atTarget} is a group` : `${taken.atTarget} already exists`,
      taken.isGroup === true
        ? `did you mean --to ${taken.atTarget}/? With a trailing / it names the namespace that the project moves to`
        : 'choose another path with --to, or move the project that uses this one',
    );
  } else {
    const order = pathChangesOf(project, target);
    if ('inTheWay' in order) {
      yield forbid(
        'NAME_TAKEN',
        fullPath,
        `${order.inTheWay} conflicts with the move: GitLab changes namespace and path one after the other, and both orders use a path that is taken`,
        'make two plans that move the project through a free path',
      );
    }
  }
  if (taken.name !== undefined && taken.name !== taken.atTarget) {
    yield forbid(
      'NAME_TAKEN',
      fullPath,
      `${taken.name} has the same name as the project, which GitLab does not allow in one namespace`,
      'rename one of the two in its settings',
    );
  }
}
