import {childBlobs, childManifests, type SeenManifest} from '../../model/manifest.ts';
import type {Digest} from '../../model/digest.ts';
import {type Check, PLAN_FORMAT, type Skip} from '../../model/plan.ts';
import type {Tag} from '../../model/reference.ts';
import type {
  CopySet,
  TransferPlan,
  TransferRepository,
  TransferTag,
} from '../../model/transfer-plan.ts';
import {planId} from '../plan-file.ts';
import {plannedManifest} from '../copy-plan.ts';
import {totalsOf, withEstimates} from '../totals.ts';
import {pausedBefore, transferChecks} from './checks.ts';
import {downtimeSeconds, hasContent, movesOf, transferSteps, wayOf} from './steps.ts';
import type {RepositoryFacts, TransferFacts} from './facts.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';
import {alikeTogether, blobActions} from '../blob-actions.ts';
import type {Candidate, Route} from '../candidate.ts';
import {Presence} from '../presence.ts';
import {candidatesOf} from '../route-candidates.ts';
import {copySteps} from '../steps.ts';

/**
 * Decides how a project moves with its images, from what was found out. Pure: the same facts give the same plan. What
 * stands against the move is among the checks; the steps are then what would be done without it.
 */
export function makeTransferPlan(facts: TransferFacts): TransferPlan {
  const {wish, project, target, donor} = facts;
  const way = wayOf(facts);
  const {moves} = movesOf(project, target);
  const tagged = facts.repositories.filter(hasContent);
  const allCopies = transferCopies(tagged);
  const {pull, push, manifests, skipped} = allCopies;
  const repositories = tagged.map((repository) => repositoryOf(repository, allCopies));
  const tags = repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
  const isStaged = way === 'staged' && moves.length > 0;
  const sets = isStaged ? [pull, push] : [];
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
      allCopies,
      donor.donor,
      policy,
      pausedBefore(facts) !== undefined,
    ),
    manifests: manifests.map((manifest) => plannedManifest(manifest, undefined)),
    skipped,
    checks: transferChecks(facts, way, allCopies),
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
    downtimeSeconds: isStaged ? downtimeSeconds(push, tags, moves.length) : 0,
  } as const;
  const {format, ...rest} = content;
  return {format, id: planId(content), ...rest};
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

/** The images on both of their ways. */
export interface TransferCopies {
  readonly pull: CopySet;
  readonly push: CopySet;
  /** What goes, by the repository's name at the old path, oldest first. */
  readonly going: ReadonlyMap<string, readonly Candidate[]>;
  /** Every manifest that travels, children first. */
  readonly manifests: readonly SeenManifest[];
  /** What does not travel, and so would be lost. */
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

/** What is copied from the old path to the donor, and from there to the new path. */
export function transferCopies(repositories: readonly RepositoryFacts[]): TransferCopies {
  const found = repositories.map((facts) => {
    const route = {source: facts.source, destination: facts.atDonor};
    const {candidates, skipped, checks} = candidatesOf(route, {});
    return {facts, route, candidates: oldestFirst(candidates, facts.tagTimes), skipped, checks};
  });
  const toDonor = found.flatMap(({candidates}) => candidates);
  // Where no image can be, none is planned to go; a check forbids the plan.
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
 * A registry with database dates a tag by its push, and cleanup policies go by the date: so the tags are pushed again
 * in the order of their dates. Those without a date come first, by name.
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
  const manifests = manifestsOf(candidates).map((one) => plannedManifest(one, undefined));
  return {copies: withEstimates(copySteps(toDo, presence), manifests, blobs), blobs};
}

/** What the donor has once the images are pulled. */
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

/** The new path: nothing is there before the project is. */
function emptyInventory(repository: string): Route['destination'] {
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
