import {childBlobs, childManifests, type SeenManifest} from '../../model/manifest.ts';
import {type Digest} from '../../model/digest.ts';
import {PLAN_FORMAT} from '../../model/plan.ts';
import type {Tag} from '../../model/reference.ts';
import type {TransferPlan, TransferRepository, TransferTag} from '../../model/transfer-plan.ts';
import {planId} from '../plan-id.ts';
import {plannedManifest} from '../planned-manifest.ts';
import {totalsOf} from '../totals.ts';
import {type Carriages, carriagesOf} from './carriage.ts';
import {transferChecks} from './checks.ts';
import {downtimeSeconds} from './downtime.ts';
import {pausedBefore} from './earlier-checks.ts';
import type {RepositoryFacts, TransferFacts} from './facts.ts';
import {movesOf} from './moves.ts';
import {transferSteps} from './steps.ts';
import {hasContent, wayOf} from './way.ts';

/**
 * Decides how a project moves with its images, from what was found out. Pure: the same facts give the same plan. What
 * stands against the move is among the checks; the steps are then what would be done without it.
 */
export function makeTransferPlan(facts: TransferFacts): TransferPlan {
  const {wish, project, target, donor} = facts;
  const way = wayOf(facts);
  const {moves} = movesOf(project, target);
  const tagged = facts.repositories.filter(hasContent);
  const carriages = carriagesOf(tagged);
  const {pull, push, manifests, skipped} = carriages;
  const repositories = tagged.map((repository) => repositoryOf(repository, carriages));
  const tags = repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
  const isStaged = way === 'staged' && moves.length > 0;
  const carried = isStaged ? [pull, push] : [];
  const policy = project.policy?.['enabled'] === true ? project.policy : pausedBefore(facts);
  const content = {
    format: PLAN_FORMAT,
    kind: 'transfer',
    wish,
    project: {id: project.id, from: project.fullPath, to: target.fullPath},
    way,
    donor: donor.donor,
    repositories,
    steps: transferSteps(
      way,
      moves,
      tagged,
      carriages,
      donor.donor,
      policy,
      pausedBefore(facts) !== undefined,
    ),
    manifests: manifests.map((manifest) => plannedManifest(manifest, undefined)),
    skipped,
    checks: transferChecks(facts, way, carriages),
    totals: totalsOf(
      carried.flatMap(({copies}) => copies),
      carried.flatMap(({blobs}) => blobs),
      skipped,
    ),
    downtimeSeconds: isStaged ? downtimeSeconds(push, tags, moves.length) : 0,
  } as const;
  return {...content, id: planId(content)};
}

function repositoryOf(
  {from, to, donor, source}: RepositoryFacts,
  {going}: Carriages,
): TransferRepository {
  const tags = (going.get(from) ?? []).flatMap(({tag, digest}) =>
    tag === undefined ? [] : [transferTag(tag, digest, source.manifests)],
  );
  return {from, donor, to, tags};
}

function transferTag(
  name: Tag,
  digest: Digest,
  manifests: ReadonlyMap<Digest, SeenManifest>,
): TransferTag {
  const sizes = new Map<Digest, number>();
  const visit = (one: Digest): void => {
    const manifest = manifests.get(one);
    if (manifest === undefined || sizes.has(one)) return;
    sizes.set(one, manifest.descriptor.size);
    for (const blob of childBlobs(manifest.view)) sizes.set(blob.digest, blob.size);
    for (const child of childManifests(manifest.view)) visit(child.digest);
  };
  visit(digest);
  return {name, digest, size: [...sizes.values()].reduce((sum, size) => sum + size, 0)};
}
