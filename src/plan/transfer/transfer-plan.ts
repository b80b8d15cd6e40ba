import {type Check, PLAN_FORMAT} from '../../model/plan.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {planId} from '../plan-file.ts';
import {totalsOf} from '../totals.ts';
import {conflictChecks} from './conflicts.ts';
import {copySetsOf} from './estimate.ts';
import type {TransferFacts} from './facts.ts';
import {type PlannedMove, planMove} from './project-move.ts';

/**
 * Plans the moves of some projects of one instance, in the order of their facts. Pure: the same facts give the same plan.
 * @param gitlab the address of the instance
 * @param facts of each project, at least one
 */
export function makeTransferPlan(gitlab: string, facts: readonly TransferFacts[]): TransferPlan {
  const planned = facts.map((one) => planMove(one, facts.length));
  const moves = planned.map(({move}) => move);
  const skipped = planned.flatMap((one) => one.skipped);
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const content = {
    format: PLAN_FORMAT,
    kind: 'transfer',
    wish: {gitlab, moves: facts.map(({wish}) => wish)},
    moves,
    skipped,
    checks: [...checksOf(planned), ...conflictChecks(facts, moves)],
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
  } as const;
  const {format, ...rest} = content;
  return {format, id: planId(content), ...rest};
}

/** The findings about each project, with its path. What all projects have in common is listed once, without one. */
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

/** Findings with the same key say the same. */
function keyOf({code, result, subject, message}: Check): string {
  return JSON.stringify([code, result, subject, message]);
}
