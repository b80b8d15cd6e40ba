import type {BlobAction} from '../../model/plan.ts';
import type {Carriage, TransferPlan} from '../../model/transfer-plan.ts';
import {type Expected, expectedBelow, type Root} from '../expected.ts';

/** Places of a transfer that can be compared with its plan. */
export type TransferPlace = 'old' | 'donor' | 'target';

/** What should be at a place: all tags of the plan, all that was carried without a tag, and everything below. */
export function expectedAt(plan: TransferPlan, place: TransferPlace): Expected {
  const {copies, blobs} = carriageOf(plan, 'push');
  const names = new Map(
    plan.repositories.map((repository) => [repository.to, nameAt(repository, place)]),
  );
  const at = (to: string): string => names.get(to) ?? to;
  const tagged = plan.repositories.flatMap(({to, tags}) =>
    tags.map(({name, digest}): Root => ({at: at(to), tag: name, digest})),
  );
  const untagged = copies
    .filter(({tag}) => tag === undefined)
    .map(({to, digest}): Root => ({at: at(to), digest}));
  const moved = blobs.map((blob): BlobAction => ({...blob, to: at(blob.to)}));
  return expectedBelow([...tagged, ...untagged], plan.manifests, moved);
}

/** What the plan carries in one direction; nothing, where GitLab moves the images itself. */
export function carriageOf({steps}: TransferPlan, kind: 'pull' | 'push'): Carriage {
  const found = steps.flatMap((step) => (step.kind === kind ? [step] : []));
  return {
    copies: found.flatMap(({copies}) => copies),
    blobs: found.flatMap(({blobs}) => blobs),
  };
}

function nameAt(
  {from, donor, to}: TransferPlan['repositories'][number],
  place: TransferPlace,
): string {
  switch (place) {
    case 'old':
      return from;
    case 'donor':
      return donor;
    case 'target':
      return to;
  }
}
