import type {Phase} from '../model/outcome.ts';
import {type CopyPlan, creationsOf, deletionsOf} from '../model/plan.ts';
import {totalsOf} from './totals.ts';

/**
 * What one phase does of a plan of copies. A part has the id of the whole plan. Whoever runs the phases sees to their
 * order; `delete` goes on with nothing that the copies before it did not bring to their destinations.
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
      // That something cannot be copied was for the phase before to say.
      const skipped = plan.skipped.filter(({reason}) => reason === 'present');
      return {...plan, steps: deletionsOf(plan), skipped, totals: totalsOf([], [], skipped)};
    }
  }
}
