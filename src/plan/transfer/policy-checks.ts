import type {Check} from '../../model/plan.ts';
import type {TransferFacts} from './facts.ts';
import {pass, warn} from './finding.ts';

const HOUR_MS = 3_600_000;

/** Whether a cleanup policy may delete tags before it is paused. */
export function policyChecks({project, now}: TransferFacts): readonly Check[] {
  const {policy, policyRunsAt, fullPath} = project;
  if (policy?.['enabled'] !== true) return [];
  const paused = pass(
    'POLICY_PAUSED',
    fullPath,
    'the cleanup policy is paused for the time of the move, and put back as it was',
  );
  if (policyRunsAt === undefined || policyRunsAt - now > HOUR_MS) return [paused];
  return [
    paused,
    warn(
      'POLICY_RUNS_SOON',
      fullPath,
      'the cleanup policy runs within the hour; tags that it deletes before it is paused are drift',
      'apply at once, or plan again after it ran',
    ),
  ];
}
