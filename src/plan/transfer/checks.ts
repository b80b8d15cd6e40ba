import type {Check} from '../../model/plan.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {Carriages} from './carriage.ts';
import {donorChecks} from './donor-checks.ts';
import {earlierChecks} from './earlier-checks.ts';
import type {TransferFacts} from './facts.ts';
import {pass} from './finding.ts';
import {imageChecks} from './image-checks.ts';
import {movesOf} from './moves.ts';
import {projectChecks} from './project-checks.ts';
import {policyChecks} from './policy-checks.ts';
import {registryChecks} from './registry-checks.ts';
import {ruleChecks} from './rule-checks.ts';
import {tokenChecks} from './token-checks.ts';

/** Everything that was proved, that is worth a look, and that forbids the transfer. */
export function transferChecks(
  facts: TransferFacts,
  way: TransferPlan['way'],
  carriages: Carriages,
): readonly Check[] {
  const {project, target} = facts;
  const checks = projectChecks(facts);
  // A project that is where it is to be needs no rights.
  if (project.fullPath === target.fullPath) return checks;
  const {moves} = movesOf(project, target);
  return [
    ...checks,
    ...earlierChecks(facts),
    ...tokenChecks(facts, moves),
    ...(way === 'native' ? [nativeWay(project.fullPath)] : []),
    ...(way === 'staged'
      ? [
          ...registryChecks(facts),
          ...imageChecks(facts, carriages),
          ...ruleChecks(facts),
          ...donorChecks(facts, carriages),
          ...policyChecks(facts),
        ]
      : []),
  ];
}

function nativeWay(subject: string): Check {
  return pass(
    'NATIVE_WAY',
    subject,
    'the registry has a metadata database and the top-level group stays, so GitLab can move the images itself; if it refuses, nothing is changed: plan again with --staged',
  );
}
