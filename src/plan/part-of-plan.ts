import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {
  type Check,
  copiesOf,
  type CopyPlan,
  type CopyStep,
  creationsOf,
  type Plan,
  type PlannedManifest,
} from '../model/plan.ts';
import type {
  ProjectMove,
  TransferPlan,
  TransferRepository,
  TransferStep,
} from '../model/transfer-plan.ts';
import {isInside} from './create-steps.ts';
import {repositoryGlob} from './migration/repository-glob.ts';
import {totalsOf} from './totals.ts';
import {copySetsOf, withStepEstimates} from './transfer/estimate.ts';

/**
 * The part of a plan that concerns some of its repositories, for display only. Do not apply it: it has the id of the
 * whole plan. Checks that forbid the plan are kept, whatever their subject.
 * @param globs as in migration files; selects a repository if a glob matches its source or its destination, with or
 *   without the host
 * @throws TransshipError FILTER_INVALID if a glob matches nothing
 */
export function partOfPlan(plan: Plan, globs: readonly string[]): Plan {
  return plan.kind === 'copy' ? partOfCopy(plan, globs) : partOfTransfer(plan, globs);
}

/** The repositories between which images are copied; those of a transfer have a donor, too. */
interface ImagePlaces {
  readonly from: string;
  readonly to: string;
  readonly donor?: string;
}

function partOfCopy(plan: CopyPlan, globs: readonly string[]): CopyPlan {
  const routes = chosenOf(plan.routes, globs);
  const pairs = new Set(routes.map(pairOf));
  const isChosen = (one: ImagePlaces): boolean => pairs.has(pairOf(one));
  const sources = new Set(routes.map(({from}) => from));
  const copies = copiesOf(plan).filter(isChosen);
  const creations = creationsOf(plan).filter((step) => routes.some(({to}) => isInside(to, step)));
  const blobs = plan.blobs.filter(isChosen);
  const skipped = plan.skipped.filter((skip) =>
    skip.reason === 'present' ? isChosen(skip) : sources.has(skip.from),
  );
  const present = skipped.flatMap((skip) => (skip.reason === 'present' ? [skip.digest] : []));
  return {
    ...plan,
    routes,
    steps: [...creations, ...copies],
    manifests: manifestsBelow(plan.manifests, [...putBy(copies), ...present]),
    blobs,
    skipped,
    checks: checksOf(plan, plan.routes, routes),
    totals: totalsOf(copies, blobs, skipped),
  };
}

function partOfTransfer(plan: TransferPlan, globs: readonly string[]): TransferPlan {
  const all = plan.moves.flatMap(({repositories}) => repositories);
  const repositories = chosenOf(all, globs);
  const places = placesOf(repositories);
  const moves = plan.moves.map((move) => partOfMove(move, new Set(repositories), places));
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const skipped = plan.skipped.filter(({from}) => places.has(from));
  return {
    ...plan,
    moves,
    skipped,
    checks: checksOf(plan, all, repositories),
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
  };
}

function partOfMove(
  move: ProjectMove,
  chosen: ReadonlySet<TransferRepository>,
  places: ReadonlySet<string>,
): ProjectMove {
  const repositories = move.repositories.filter((one) => chosen.has(one));
  const partOfWay = (steps: readonly TransferStep[]): readonly TransferStep[] =>
    steps.map((step) => stepAt(step, places));
  const steps = partOfWay(move.steps);
  const fallback = move.fallback && partOfWay(move.fallback.steps);
  const copies = copySetsOf([...steps, ...(fallback ?? [])]).flatMap((set) => set.copies);
  const tags = repositories.flatMap((repository) => repository.tags.map(({digest}) => digest));
  const manifests = manifestsBelow(move.manifests, [...putBy(copies), ...tags]);
  const part = {...move, repositories, manifests};
  return {
    ...part,
    steps: withStepEstimates(steps, part),
    ...(move.fallback &&
      fallback && {fallback: {...move.fallback, steps: withStepEstimates(fallback, part)}}),
  };
}

function stepAt(step: TransferStep, places: ReadonlySet<string>): TransferStep {
  const isAt = ({from, to}: ImagePlaces): boolean => places.has(from) && places.has(to);
  switch (step.kind) {
    case 'pull':
    case 'push':
      return {...step, copies: step.copies.filter(isAt), blobs: step.blobs.filter(isAt)};
    case 'probe':
      return {
        ...step,
        manifests: step.manifests.filter(({repository}) => places.has(repository)),
      };
    default:
      return step;
  }
}

function chosenOf<T extends ImagePlaces>(
  all: readonly T[],
  globs: readonly string[],
): readonly T[] {
  const chosen = new Set<T>();
  for (const glob of globs) {
    const pattern = repositoryGlob(glob);
    const matches = (name: string): boolean =>
      [name, name.slice(name.indexOf('/') + 1)].some((one) => pattern.match(one) !== undefined);
    const found = all.filter(({from, to}) => matches(from) || matches(to));
    if (found.length === 0) {
      throw new TransshipError('FILTER_INVALID', `no repository of the plan matches "${glob}"`, {
        side: 'local',
        hint: 'write the name of a repository as the review shows it; * matches within one part of it, ** any number of parts',
      });
    }
    for (const one of found) chosen.add(one);
  }
  return all.filter((one) => chosen.has(one));
}

/** All checks, except those about repositories that were not selected. */
function checksOf(
  {checks}: Plan,
  all: readonly ImagePlaces[],
  chosen: readonly ImagePlaces[],
): readonly Check[] {
  const others = placesOf(all);
  for (const place of placesOf(chosen)) others.delete(place);
  return checks.filter(
    ({result, subject}) =>
      result === 'forbid' || !namesIn(subject).some((name) => others.has(name)),
  );
}

/** The names in `repository`, `repository:tag` or `repository@digest` that may be the repository. */
function namesIn(subject: string): readonly string[] {
  const [beforeDigest = subject] = subject.split('@', 1);
  const colon = beforeDigest.lastIndexOf(':');
  return colon < 0 ? [beforeDigest] : [beforeDigest, beforeDigest.slice(0, colon)];
}

function placesOf(all: readonly ImagePlaces[]): Set<string> {
  return new Set(
    all.flatMap(({from, to, donor}) => (donor === undefined ? [from, to] : [from, donor, to])),
  );
}

function pairOf({from, to}: ImagePlaces): string {
  return `${from} ${to}`;
}

/** The digests of the images that are copied, and of the manifests that are pushed for them. */
export function putBy(steps: readonly CopyStep[]): readonly Digest[] {
  return steps.flatMap(({digest, manifests}) => [digest, ...manifests]);
}

/** The given manifests and all below them, in plan order. */
export function manifestsBelow(
  all: readonly PlannedManifest[],
  digests: readonly Digest[],
): readonly PlannedManifest[] {
  const planned = new Map(all.map((manifest) => [manifest.digest, manifest]));
  const reached = new Set<Digest>();
  const waiting = [...digests];
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (reached.has(digest)) continue;
    reached.add(digest);
    waiting.push(...(planned.get(digest)?.manifests ?? []));
  }
  return all.filter(({digest}) => reached.has(digest));
}
