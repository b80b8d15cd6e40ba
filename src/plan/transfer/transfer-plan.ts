import {type Check, PLAN_FORMAT} from '../../model/plan.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {planId} from '../plan-file.ts';
import {totalsOf} from '../totals.ts';
import {conflictChecks, projectsOf} from './conflicts.ts';
import {copySetsOf} from './estimate.ts';
import type {GroupFacts, TransferFacts} from './facts.ts';
import {type PlannedGroup, planGroup} from './group-move.ts';
import {type PlannedMove, planMove} from './project-move.ts';

/** The facts about a project or a group that moves. */
export type MoveFacts = TransferFacts | GroupFacts;

/**
 * Plans the moves of projects and groups of one instance, in the order of the facts. Pure: the same facts give the same
 * plan.
 * @param gitlab the URL of the instance
 * @param facts the facts about each project or group, at least one
 */
export function makeTransferPlan(gitlab: string, facts: readonly MoveFacts[]): TransferPlan {
  const projects = facts.flatMap(projectsOf);
  const units = facts.map((one) => plannedUnit(one, projects.length, facts.length));
  const planned = units.flatMap((unit) => unit.planned);
  const groups = units.flatMap(({group}) => (group === undefined ? [] : [group]));
  const moves = planned.map(({move}) => move);
  const skipped = planned.flatMap((one) => one.skipped);
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const content = {
    format: PLAN_FORMAT,
    kind: 'transfer',
    wish: {gitlab, moves: facts.map(({wish}) => wish)},
    moves,
    ...(groups.length === 0 ? {} : {groups}),
    skipped,
    checks: [
      ...units.flatMap((unit) => unit.checks),
      ...checksOf(planned),
      ...conflictChecks(facts, moves),
    ],
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
  } as const;
  const {format, ...rest} = content;
  return {format, id: planId(content), ...rest};
}

function plannedUnit(
  facts: MoveFacts,
  moves: number,
  units: number,
): Pick<PlannedGroup, 'planned' | 'checks'> & Partial<Pick<PlannedGroup, 'group'>> {
  if (!('group' in facts)) return {planned: [planMove(facts, moves)], checks: []};
  const unit = planGroup(facts, moves, units);
  const {from} = unit.group.group;
  return {...unit, checks: unit.checks.map((check): Check => ({project: from, ...check}))};
}

/** The checks of each project, with its path. Checks that all projects share are listed once, without a project. */
function checksOf(planned: readonly PlannedMove[]): readonly Check[] {
  const count = new Map<string, number>();
  for (const {checks} of planned)
    for (const key of new Set(checks.map(keyOf))) count.set(key, (count.get(key) ?? 0) + 1);
  const isCommon = (check: Check): boolean => count.get(keyOf(check)) === planned.length;
  return planned.flatMap(({move, checks}, at) =>
    checks.flatMap((check): Check[] => {
      if (!isCommon(check)) return [{...check, project: move.project.from}];
      return at === 0 ? [check] : [];
    }),
  );
}

/** Checks with the same key are the same. */
function keyOf({code, result, subject, message}: Check): string {
  return JSON.stringify([code, result, subject, message]);
}
