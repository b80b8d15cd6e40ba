import type {Digest} from '../../model/digest.ts';
import type {SeenManifest} from '../../model/manifest.ts';
import type {Check, Skip} from '../../model/plan.ts';
import type {Carriage} from '../../model/transfer-plan.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';
import {blobActions} from '../blob-actions.ts';
import type {Candidate, Route} from '../candidate.ts';
import {Presence} from '../presence.ts';
import {candidatesOf} from '../route-candidates.ts';
import {copySteps} from '../steps.ts';
import type {RepositoryFacts} from './facts.ts';

/** The images on both of their ways. */
export interface Carriages {
  readonly pull: Carriage;
  readonly push: Carriage;
  /** What goes, by the repository's name at the old path, oldest first. */
  readonly going: ReadonlyMap<string, readonly Candidate[]>;
  /** Every manifest that travels, children first. */
  readonly manifests: readonly SeenManifest[];
  /** What does not travel, and so would be lost. */
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

/** Computes what is carried from the old path to the donor, and from there to the new path. */
export function carriagesOf(repositories: readonly RepositoryFacts[]): Carriages {
  const found = repositories.map((facts) => {
    const route = {source: facts.source, destination: facts.atDonor};
    const {candidates, skipped, checks} = candidatesOf(route, {});
    return {facts, route, candidates: oldestFirst(candidates, facts.tagTimes), skipped, checks};
  });
  const inward = found.flatMap(({candidates}) => candidates);
  // Where no image can be, none is planned to go; a check forbids the plan.
  const outward = found.flatMap(({facts, candidates}) => {
    if (facts.whyNotTo !== undefined) return [];
    const source = donorInventory(facts, candidates);
    const destination = emptyInventory(facts.to);
    return candidates.map((candidate) => ({...candidate, source, destination}));
  });
  return {
    pull: carry(
      inward,
      found.map(({route}) => route.destination),
    ),
    push: carry(
      outward,
      found.map(({facts}) => emptyInventory(facts.to)),
    ),
    going: new Map(found.map(({facts, candidates}) => [facts.from, candidates])),
    manifests: manifestsOf(inward),
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

function carry(
  candidates: readonly Candidate[],
  destinations: readonly DestinationInventory[],
): Carriage {
  const presence = new Presence(destinations);
  for (const candidate of candidates) presence.follow(candidate);
  const toDo = candidates.filter((candidate) => !presence.isDone(candidate));
  return {copies: copySteps(toDo, presence), blobs: blobActions(candidates, presence)};
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
