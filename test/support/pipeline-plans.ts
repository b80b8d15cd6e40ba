import type {CopyPlan, CreateStep, DeleteStep} from '../../src/model/plan.ts';
import type {TransferPlan} from '../../src/model/transfer-plan.ts';
import {largePlan, largeRoutes, TARGET} from './large-plan.ts';
import {transferFacts, transferPlan} from './transfer-facts.ts';

const REGISTRY = TARGET.split('/')[0] ?? '';
const NOTHING = {bytes: 0, requests: 2};

/** A plan of each kind that becomes another pipeline. */
export function plansOfAllKinds(): {
  readonly 'a copy': CopyPlan;
  readonly 'a copy that creates and deletes': CopyPlan;
  readonly 'only deletions': CopyPlan;
  readonly 'a transfer': TransferPlan;
} {
  const copy = largePlan(largeRoutes(8, 2, () => ({})));
  const group: CreateStep = {
    kind: 'create-group',
    id: 'create-group:acme',
    gitlab: 'https://gitlab.acme.example',
    registry: REGISTRY,
    path: 'acme',
    visibility: 'private',
    needs: [],
    why: 'it does not exist',
    estimate: NOTHING,
  };
  const [first] = copy.steps;
  if (first?.kind !== 'copy') throw new Error('a plan without copies');
  const {tag} = first;
  const deletion: DeleteStep = {
    kind: 'delete',
    id: `delete:${first.from}:${tag ?? ''}`,
    repository: first.from,
    ...(tag === undefined ? {} : {tag}),
    digest: first.digest,
    reason: 'moved',
    verified: [{to: first.to, ...(tag === undefined ? {} : {tag})}],
    needs: [],
    why: 'it was copied',
    estimate: NOTHING,
  };
  return {
    'a copy': copy,
    'a copy that creates and deletes': {...copy, steps: [group, ...copy.steps, deletion]},
    'only deletions': {
      ...copy,
      steps: [{...deletion, reason: 'rule', verified: []}],
    },
    'a transfer': transferPlan(transferFacts()),
  };
}
