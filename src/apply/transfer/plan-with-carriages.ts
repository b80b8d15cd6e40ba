import type {
  Carriage,
  ProbedManifest,
  TransferPlan,
  TransferRepository,
  TransferTag,
} from '../../model/transfer-plan.ts';
import {plannedManifest} from '../../plan/planned-manifest.ts';
import type {Carriages} from '../../plan/transfer/carriage.ts';
import {uploadKey} from '../journal.ts';

/** A plan that carries more than it did. Where both write a tag, the addition counts; the plan's id stays. */
export function withCarriages(plan: TransferPlan, more: Carriages): TransferPlan {
  const atDonor = new Set(more.push.copies.map(({from, tag}) => `${from}:${tag ?? ''}`));
  const atTarget = new Set(more.push.copies.map(({to, tag}) => `${to}:${tag ?? ''}`));
  const known = new Set(plan.manifests.map(({digest}) => digest));
  return {
    ...plan,
    repositories: plan.repositories.map((repository) => withTags(repository, more.push)),
    steps: plan.steps.map((step) => {
      if (step.kind === 'pull') return {...step, ...joined(step, more.pull, atDonor)};
      if (step.kind === 'probe') return {...step, manifests: [...step.manifests, ...rootsOf(more)]};
      if (step.kind === 'push') return {...step, ...joined(step, more.push, atTarget)};
      return step;
    }),
    manifests: [
      ...plan.manifests,
      ...more.manifests
        .filter(({descriptor}) => !known.has(descriptor.digest))
        .map((manifest) => plannedManifest(manifest, undefined)),
    ],
  };
}

/** What was not there when planning has to be tried, too: all of it, since it is little. */
function rootsOf({pull}: Carriages): readonly ProbedManifest[] {
  return pull.copies.map(({from, digest}) => ({repository: from, digest}));
}

/** @param replaced what the addition writes, as `repository:tag` */
function joined(
  before: Carriage,
  more: Carriage,
  replaced: ReadonlySet<string>,
): Pick<Carriage, 'copies' | 'blobs'> {
  const known = new Set(before.blobs.map(({digest, to}) => uploadKey(digest, to)));
  return {
    copies: [
      ...before.copies.filter(({to, tag}) => !replaced.has(`${to}:${tag ?? ''}`)),
      ...more.copies,
    ],
    blobs: [
      ...before.blobs,
      ...more.blobs.filter(({digest, to}) => !known.has(uploadKey(digest, to))),
    ],
  };
}

function withTags(repository: TransferRepository, {copies}: Carriage): TransferRepository {
  const added = copies.flatMap(({to, tag, digest}): TransferTag[] =>
    // Sizes are for reviews, and this is past them.
    to === repository.to && tag !== undefined ? [{name: tag, digest, size: 0}] : [],
  );
  const names = new Set(added.map(({name}) => name));
  return {
    ...repository,
    tags: [...repository.tags.filter(({name}) => !names.has(name)), ...added],
  };
}
