import type {Phase} from '../model/outcome.ts';
import {type CopyPlan, creationsOf, deletionsOf} from '../model/plan.ts';
import {totalsOf} from './totals.ts';

/**
 * The part of a copy plan that one phase carries out; it has the id of the whole plan. The caller ensures the order of
 * the phases. A deletion in the phase `delete` still verifies the copies that it depends on.
 */
export function phaseOfPlan(plan: CopyPlan, phase: Phase): CopyPlan {
  switch (phase) {
    case 'create':
      return {
        ...plan,
        steps: creationsOf(plan),
        manifests: [],
        blobs: [],
        skipped: [],
        totals: totalsOf([], [], []),
      };
    case 'copy':
      return {...plan, steps: plan.steps.filter(({kind}) => kind !== 'delete')};
    case 'delete': {
      // The phase `copy` reports what cannot be copied.
      const skipped = plan.skipped.filter(({reason}) => reason === 'present');
      return {...plan, steps: deletionsOf(plan), skipped, totals: totalsOf([], [], skipped)};
    }
  }
}
