import {isTag, type Tag} from '../../model/reference.ts';
import type {Digest} from '../../model/digest.ts';
import type {Drift} from '../../model/outcome.ts';
import type {RepositoryReader} from '../../model/port.ts';
import type {TransferPlan, TransferRepository} from '../../model/transfer-plan.ts';
import type {SourceInventory} from '../../observe/inventory.ts';
import {observeDestinationTags} from '../../observe/observe-destination.ts';
import {observeSource} from '../../observe/observe-source.ts';
import {carriagesOf} from '../../plan/transfer/carriage.ts';
import type {RepositoryFacts} from '../../plan/transfer/facts.ts';
import {isDonorThere} from './donor.ts';
import {withCarriages} from './plan-with-carriages.ts';
import type {TransferRun} from './transfer-context.ts';

/** A tag that came or moved after planning and is taken along, because somebody asked for that. */
export interface AdoptedTag {
  /** At the old path, `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
}

/**
 * The tags of a drift, where all of it can be taken along: tags at the old path that are new or point elsewhere, in
 * repositories that the plan knows. Undefined: some of it cannot, such as a tag that is gone.
 */
export function adoptable(
  {repositories}: TransferPlan,
  drift: readonly Drift[],
): readonly AdoptedTag[] | undefined {
  const known = new Set(repositories.map(({from}) => from));
  const isAdoptable = ({side, repository, tag, actual}: Drift): boolean =>
    side === 'source' && actual !== null && known.has(repository) && isTag(tag);
  return drift.every(isAdoptable)
    ? drift.map(({repository, tag}) => ({repository, tag}))
    : undefined;
}

/**
 * The plan with these tags in it, as they are now: at the old path, or where they are gone from there, at the donor.
 * What is at neither is left out.
 */
export async function planWithTags(
  plan: TransferPlan,
  tags: readonly AdoptedTag[],
  run: TransferRun,
): Promise<TransferPlan> {
  if (tags.length === 0) return plan;
  const isThere = await isDonorThere(plan, run);
  const facts: RepositoryFacts[] = [];
  for (const repository of plan.repositories) {
    const names = tags.flatMap((one) => (one.repository === repository.from ? [one.tag] : []));
    if (names.length > 0) facts.push(...(await lookAt(repository, names, isThere, run)));
  }
  return withCarriages(plan, carriagesOf(facts));
}

async function lookAt(
  repository: TransferRepository,
  names: readonly Tag[],
  canAskDonor: boolean,
  {context, call, progress}: TransferRun,
): Promise<readonly RepositoryFacts[]> {
  const {from, to, donor} = repository;
  const {repositories} = context;
  const old =
    progress.where === 'before' ? await read(repositories.source(from), names, call.signal) : [];
  const there = new Set(old.flatMap(({roots}) => roots.map(({tag}) => tag)));
  const gone = names.filter((name) => !there.has(name));
  const atDonor = canAskDonor
    ? await observeDestinationTags(repositories.destination(donor), names, call)
    : {exists: false, tags: new Map<Tag, Digest>()};
  const kept =
    canAskDonor && gone.length > 0
      ? await read(repositories.destination(donor), gone, call.signal)
      : [];
  return [...old, ...kept].map((source) => ({
    from,
    to,
    donor,
    source: {...source, repository: from},
    atDonor: {repository: donor, ...atDonor, present: new Set(atDonor.tags.values())},
    unknownMediaTypes: [],
  }));
}

/** All below those of the tags that are there; nothing where none is. */
async function read(
  place: RepositoryReader,
  names: readonly Tag[],
  signal: AbortSignal,
): Promise<readonly SourceInventory[]> {
  const listed = new Set<string>((await place.listTags({signal})) ?? []);
  const selected = names.filter((name) => listed.has(name));
  if (selected.length === 0) return [];
  const question = {
    select: () => ({selected, notRead: []}),
    attachmentSubject: () => undefined,
    known: () => Promise.resolve(new Map()),
    configs: false,
    progress: () => undefined,
  };
  return [await observeSource(place, question, {signal})];
}
