import type {Check} from '../../model/plan.ts';
import type {ProjectMove} from '../../model/transfer-plan.ts';
import {whyInTheWay} from './donor-checks.ts';
import {forbid, warn} from './make-check.ts';
import type {GroupFacts, TransferFacts} from './facts.ts';
import {isBelow} from './group-move.ts';
import {betweenPaths} from './steps.ts';

/**
 * Conflicts between the projects and groups of one plan: moves that work alone, but not one after the other. Paths are
 * compared in lower case, because GitLab's paths are unique regardless of case.
 * @param moves the moves of the projects that have something to move
 */
export function conflictChecks(
  all: readonly (TransferFacts | GroupFacts)[],
  moves: readonly ProjectMove[],
): readonly Check[] {
  const facts = all.flatMap(projectsOf);
  const found = facts.flatMap((one, at) =>
    facts.flatMap((other, otherAt) => {
      if (otherAt === at) return [];
      const pair = {one, other, isFirst: at < otherAt};
      return [...targetConflicts(pair), ...donorConflicts(pair)];
    }),
  );
  return [...found, ...groupConflicts(all), ...placeConflicts(moves), ...roomChecks(facts, moves)];
}

/** The projects that move with a unit; for a group, those that were examined. */
export function projectsOf(facts: TransferFacts | GroupFacts): readonly TransferFacts[] {
  return 'group' in facts ? facts.projects : [facts];
}

/** A group moves with all of its content, so nothing in it can move separately in the same plan. */
function* groupConflicts(all: readonly (TransferFacts | GroupFacts)[]): Generator<Check> {
  for (const [at, one] of all.entries()) {
    if (!('group' in one)) continue;
    for (const [otherAt, other] of all.entries()) {
      if (otherAt === at) continue;
      const from = 'group' in other ? other.group.fullPath : other.project.fullPath;
      const inside = [from, other.target.fullPath].find((path) =>
        [one.group.fullPath, one.target.fullPath].some((group) => isBelow(path, group)),
      );
      if (inside === undefined) continue;
      yield conflict(
        from,
        `${inside} is below ${isBelow(inside, one.group.fullPath) ? one.group.fullPath : one.target.fullPath}, and this plan moves that group as well`,
        'make two plans, one after the other',
      );
    }
  }
}

interface Pair {
  readonly one: TransferFacts;
  readonly other: TransferFacts;
  /** Each pair is checked in both orders; symmetric conflicts are reported only for this one. */
  readonly isFirst: boolean;
}

function* targetConflicts({one, other, isFirst}: Pair): Generator<Check> {
  const project = one.project.fullPath;
  if (isFirst && one.project.id === other.project.id) {
    yield conflict(project, `${project} is in the plan twice`, 'name each project once');
    return;
  }
  const [target, otherTarget] = [one.target.fullPath, other.target.fullPath];
  const otherPath = other.project.fullPath;
  if (isFirst && isSame(target, otherTarget)) {
    yield conflict(
      project,
      `${otherPath} moves to ${target} as well`,
      'give one of them another path',
    );
    return;
  }
  const isNamesake =
    one.project.name !== undefined &&
    one.project.name === other.project.name &&
    one.target.namespace.id === other.target.namespace.id;
  if (isFirst && isNamesake) {
    yield conflict(
      project,
      `${otherPath} has the same name as the project (${one.project.name}), which GitLab does not allow in one namespace`,
      'rename one of the two in its settings',
    );
  }
  if (betweenPaths(one).some((path) => isSame(path, otherTarget))) {
    yield conflict(
      project,
      `${otherPath} moves to ${otherTarget}, where the project is between two changes of its path`,
      'make two plans, one after the other',
    );
  }
}

function* donorConflicts({one, other}: Pair): Generator<Check> {
  const {donor} = one.donor;
  if (donor.kind !== 'project' || one.project.id === other.project.id) return;
  const why =
    donor.id === other.project.id
      ? `the donor ${donor.path} is a project that this plan moves`
      : whyInTheWay({donor: one.donor, project: other.project, target: other.target});
  if (why === undefined) return;
  const hint = 'choose another project or a directory with --donor';
  yield {...forbid('DONOR_UNFIT', donor.path, why, hint), project: one.project.fullPath};
}

/** Two repositories cannot use the same place at the donor, because their tags may have the same names. */
function* placeConflicts(moves: readonly ProjectMove[]): Generator<Check> {
  const owners = new Map<string, ProjectMove>();
  for (const move of moves) {
    for (const {donor} of move.repositories) {
      const owner = owners.get(donor) ?? move;
      owners.set(donor, owner);
      if (owner.project.id === move.project.id) continue;
      const message = `the images of ${owner.project.from} wait at ${donor} as well`;
      const hint = 'choose another directory for one of the projects';
      yield {...forbid('DONOR_UNFIT', donor, message, hint), project: move.project.from};
    }
  }
}

/** Each directory has enough space for its own project, but several may be on one disk. */
function* roomChecks(
  facts: readonly TransferFacts[],
  moves: readonly ProjectMove[],
): Generator<Check> {
  const free = facts.flatMap(({donor}) => donor.freeBytes ?? []);
  if (free.length < 2) return;
  const bytes = moves
    .filter(({donor}) => donor.kind === 'directory')
    .flatMap(({steps}) => steps)
    .reduce((sum, step) => sum + (step.kind === 'pull' ? step.estimate.bytes : 0), 0);
  const least = Math.min(...free);
  if (bytes <= least) return;
  yield warn(
    'DONOR_TOO_SMALL',
    'donors',
    `the images of all projects need ${bytes} bytes, and one of the donor directories has ${least} bytes free`,
    'if the directories are on one disk, free some space, or apply with --remove-donor, which frees the directory of each project at its end',
  );
}

function conflict(project: string, message: string, hint: string): Check {
  return {...forbid('MOVES_CONFLICT', project, message, hint), project};
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
