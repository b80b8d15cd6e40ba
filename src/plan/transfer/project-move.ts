import {childBlobs, childManifests, type SeenManifest} from '../../model/manifest.ts';
import type {Digest} from '../../model/digest.ts';
import type {Check, Skip} from '../../model/plan.ts';
import type {Tag} from '../../model/reference.ts';
import {
  type CopySet,
  type FallbackWay,
  type ProjectMove,
  stepId,
  type TransferRepository,
  type TransferTag,
} from '../../model/transfer-plan.ts';
import {plannedManifest} from '../copy-plan.ts';
import {withEstimates} from '../totals.ts';
import {fallbackChecks, pausedBefore, transferChecks} from './transfer-checks.ts';
import {downtimeSeconds, goesByDates, type UncostedStep, withStepEstimates} from './estimate.ts';
import {type BareStep, hasContent, pathChangesOf, transferSteps, wayOf} from './steps.ts';
import type {RepositoryFacts, TransferFacts} from './facts.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';
import {alikeTogether, blobActions} from '../blob-actions.ts';
import type {Candidate, ObservedRoute} from '../candidate.ts';
import {namedPlatforms} from '../platforms.ts';
import {Presence} from '../presence.ts';
import {candidatesOf} from '../route-candidates.ts';
import {copySteps} from '../copy-steps.ts';

/** A project of a plan: its move, its skipped images and its checks. */
export interface PlannedMove {
  readonly move: ProjectMove;
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

/**
 * Plans the move of a project with its images. Pure: the same facts give the same move. If a check forbids the move,
 * the steps are those of the move without that problem.
 * @param moves the number of projects in the plan
 */
export function planMove(facts: TransferFacts, moves: number): PlannedMove {
  const {target, donor} = facts;
  const project = {id: facts.project.id, from: facts.project.fullPath, to: target.fullPath};
  const way = wayOf(facts);
  const {changes} = pathChangesOf(facts.project, target);
  const tagged = facts.repositories.filter(hasContent);
  const copies = transferCopies(tagged);
  const repositories = tagged.map((repository) => repositoryOf(repository, copies));
  const platforms = namedPlatforms(tagged.map(({source}) => source));
  const tags = repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
  const before = pausedBefore(facts);
  const policy = facts.project.policy?.['enabled'] === true ? facts.project.policy : before;
  const isOrdered = goesByDates(policy) && facts.registry?.database === true;
  const content = {
    project,
    donor: donor.donor,
    repositories,
    manifests: copies.manifests.map((manifest) =>
      plannedManifest(manifest, {platform: platforms.get(manifest.descriptor.digest)}),
    ),
  };
  const by = (one: ProjectMove['way']): FallbackWay => {
    const bare = transferSteps(facts, one, tagged, copies, policy, before !== undefined);
    const steps = inOrder(bare, (name) => stepId(name, project, moves));
    const isAway = one === 'staged' && bare.length > 0;
    return {
      steps: withStepEstimates(steps, content),
      downtimeSeconds: isAway ? downtimeSeconds(copies.push, tags, changes.length, isOrdered) : 0,
    };
  };
  const hasFallback =
    way === 'native' &&
    changes.length > 0 &&
    fallbackChecks(facts, copies).every(({result}) => result !== 'forbid');
  return {
    move: {
      ...content,
      way,
      ...by(way),
      ...(hasFallback ? {fallback: by('staged')} : {}),
    },
    skipped: copies.skipped,
    checks: transferChecks(facts, way, copies),
  };
}

/** Makes each step need the previous one. */
function inOrder(
  steps: readonly BareStep[],
  idOf: (name: string) => string,
): readonly UncostedStep[] {
  return steps.map((step, at) => {
    const before = steps[at - 1];
    return {...step, id: idOf(step.id), needs: before === undefined ? [] : [idOf(before.id)]};
  });
}

function repositoryOf(
  {from, to, donor, source}: RepositoryFacts,
  {going}: TransferCopies,
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

/** The images, copied to the donor and from the donor. */
export interface TransferCopies {
  readonly pull: CopySet;
  readonly push: CopySet;
  /** The images to move, by repository name at the old path, oldest first. */
  readonly going: ReadonlyMap<string, readonly Candidate[]>;
  /** All manifests that are copied, children first. */
  readonly manifests: readonly SeenManifest[];
  /** Images that are not copied and would be lost. */
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

/** The copies from the old path to the donor, and from there to the new path. */
export function transferCopies(repositories: readonly RepositoryFacts[]): TransferCopies {
  const found = repositories.map((facts) => {
    const route = {source: facts.source, destination: facts.atDonor};
    const {candidates, skipped, checks} = candidatesOf(route, {});
    return {facts, route, candidates: oldestFirst(candidates, facts.tagTimes), skipped, checks};
  });
  const toDonor = found.flatMap(({candidates}) => candidates);
  // Nothing is planned for an invalid path; a check forbids the plan.
  const toTarget = found.flatMap(({facts, candidates}) => {
    if (facts.whyNotTo !== undefined) return [];
    const source = donorInventory(facts, candidates);
    const destination = emptyInventory(facts.to);
    return candidates.map((candidate) => ({...candidate, source, destination}));
  });
  return {
    pull: copySet(
      toDonor,
      found.map(({route}) => route.destination),
    ),
    push: copySet(
      toTarget,
      found.map(({facts}) => emptyInventory(facts.to)),
    ),
    going: new Map(found.map(({facts, candidates}) => [facts.from, candidates])),
    manifests: manifestsOf(toDonor),
    skipped: found.flatMap(({skipped}) => skipped),
    checks: found.flatMap(({checks}) => checks),
  };
}

/**
 * A registry with a metadata database dates a tag by its push, and cleanup policies use these dates, so tags are pushed
 * again in the order of their dates. Tags without a date come first, by name.
 */
function oldestFirst(
  candidates: readonly Candidate[],
  times: RepositoryFacts['tagTimes'],
): readonly Candidate[] {
  if (times === undefined) return candidates;
  const timeOf = ({tag}: Candidate) => times.get(tag ?? '') ?? -Infinity;
  return candidates.toSorted((a, b) => {
    const [timeA, timeB] = [timeOf(a), timeOf(b)];
    return timeA === timeB ? 0 : timeA - timeB;
  });
}

function copySet(
  candidates: readonly Candidate[],
  destinations: readonly DestinationInventory[],
): CopySet {
  const presence = new Presence(destinations);
  for (const candidate of candidates) presence.follow(candidate);
  const toDo = candidates.filter((candidate) => !presence.isDone(candidate));
  const blobs = alikeTogether(blobActions(candidates, presence));
  const manifests = manifestsOf(candidates).map((one) => plannedManifest(one));
  return {copies: withEstimates(copySteps(toDo, presence), manifests, blobs), blobs};
}

/** The content of the donor after the pull. */
function donorInventory(
  {donor, source}: RepositoryFacts,
  candidates: readonly Candidate[],
): SourceInventory {
  return {
    repository: donor,
    roots: candidates.map(({root}) => root),
    notRead: [],
    manifests: source.manifests,
    missingManifests: new Set(),
    absentForeign: source.absentForeign,
  };
}

/** The new path, which is empty until the project is there. */
function emptyInventory(repository: string): ObservedRoute['destination'] {
  return {repository, exists: false, tags: new Map(), present: new Set()};
}

function manifestsOf(candidates: readonly Candidate[]): readonly SeenManifest[] {
  const manifests = new Map<Digest, SeenManifest>();
  for (const {graph} of candidates) {
    for (const manifest of graph?.manifests ?? [])
      manifests.set(manifest.descriptor.digest, manifest);
  }
  return [...manifests.values()];
}
