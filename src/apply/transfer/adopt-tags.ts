import {isTag, type Tag} from '../../model/reference.ts';
import {PROBE_TAG} from '../../gitlab/preflight/probe-donor.ts';
import type {Digest} from '../../model/digest.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Call, RepositoryReader} from '../../model/port.ts';
import type {
  CopySet,
  ProbedManifest,
  ProjectMove,
  TransferRepository,
  TransferTag,
} from '../../model/transfer-plan.ts';
import type {SourceInventory} from '../../observe/inventory.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {observeDestinationTags} from '../../observe/observe-destination.ts';
import {OBSERVE_CONCURRENCY, observeSource} from '../../observe/observe-source.ts';
import {type TransferCopies, transferCopies} from '../../plan/transfer/project-move.ts';
import type {RepositoryFacts} from '../../plan/transfer/facts.ts';
import type {JournalEntry} from '../journal-file.ts';
import {isDonorThere} from './donor.ts';
import {oldName} from './delete-old.ts';
import type {TransferContext, TransferRun, ProjectLocation} from './transfer-run.ts';
import {plannedManifest} from '../../plan/copy-plan.ts';
import {uploadKey} from '../journal.ts';

/** A tag that was created or changed after planning and is included in the move, because the user asked for it. */
export interface AdoptedTag {
  /** The repository at the old path, `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
}

/**
 * The tags of a drift, if all of them can be included: tags at the old path that are new or point elsewhere, in
 * repositories of the plan. Undefined: some cannot, such as a deleted tag.
 */
export function adoptable(
  {repositories}: ProjectMove,
  drift: readonly Drift[],
): readonly AdoptedTag[] | undefined {
  const known = new Set(repositories.map(({from}) => from));
  const isAdoptable = ({side, repository, tag, actual}: Drift): boolean =>
    side === 'source' && actual !== null && known.has(repository) && isTag(tag);
  return drift.every(isAdoptable)
    ? drift.map(({repository, tag}) => ({repository, tag}))
    : undefined;
}

/** What is needed to look for tags, and the location of the project. */
export interface Lookout {
  /** Without `adoptNewTags`, tags at the old path are not included. */
  readonly context: Pick<TransferContext, 'repositories' | 'gitlab' | 'directoryOf'> &
    Partial<Pick<TransferContext, 'adoptNewTags'>>;
  readonly call: Call;
  readonly progress: {readonly where: ProjectLocation};
}

/**
 * The tags that earlier runs included, according to the journal that recorded the deletions. Without that journal, as
 * on another machine, also tags that only the donor has, because they would be left behind; with the journal, such tags
 * belong to somebody else.
 */
export async function adoptedBefore(
  move: ProjectMove,
  journal: readonly JournalEntry[],
  lookout: Lookout,
): Promise<readonly AdoptedTag[]> {
  if (move.way !== 'staged') return [];
  const own = journal.filter((entry) => 'project' in entry && entry.project === move.project.id);
  const adopted = own.filter((entry) => entry.type === 'adopt');
  if (own.some(({type}) => type === 'delete')) return adopted;
  const found = (await isDonorThere(move, lookout)) ? await onlyAtDonor(move, lookout) : [];
  const known = new Set(adopted.map(oldName));
  return [...adopted, ...found.filter((one) => !known.has(oldName(one)))];
}

/** The move with the tags that earlier runs included. This run's journal records them as well. */
export async function moveWithAdopted(move: ProjectMove, run: TransferRun): Promise<ProjectMove> {
  const {journal} = run.context;
  const tags = await adoptedBefore(move, journal.transfer, run);
  const known = new Set(journal.transfer.filter((entry) => entry.type === 'adopt').map(oldName));
  for (const {repository, tag} of tags)
    if (!known.has(oldName({repository, tag})))
      await journal.append({
        type: 'adopt',
        project: move.project.id,
        repository: run.journalName(repository),
        tag,
      });
  return moveWithTags(move, tags, run);
}

/** The number of tags that the plan does not contain, or contains with another image. */
export function countAdopted(move: ProjectMove, whole: ProjectMove): number {
  const names = new Set(
    move.repositories.flatMap(({from, tags}) =>
      tags.map(({name, digest}) => `${from}:${name}@${digest}`),
    ),
  );
  return whole.repositories
    .flatMap(({from, tags}) => tags.map(({name, digest}) => `${from}:${name}@${digest}`))
    .filter((name) => !names.has(name)).length;
}

/**
 * Tags of the donor that the old path does not have, and that the plan does not contain, or contains with another
 * image.
 */
async function onlyAtDonor(
  {repositories}: ProjectMove,
  {context, call, progress}: Lookout,
): Promise<readonly AdoptedTag[]> {
  const list = async (place: RepositoryReader) => (await place.listTags(call)) ?? [];
  const found = await mapAtOnce(
    repositories,
    OBSERVE_CONCURRENCY,
    async ({from, donor, tags}): Promise<readonly AdoptedTag[]> => {
      const place = context.repositories.destination(donor);
      const listed = (await list(place)).filter(isTag).filter((tag) => tag !== PROBE_TAG);
      if (listed.length === 0) return [];
      // Tags that are also at the old path were created after planning and not deleted: that is drift.
      const old = progress.where === 'before' ? await list(context.repositories.source(from)) : [];
      const there = new Set<string>(old);
      const gone = listed.filter((tag) => !there.has(tag));
      const planned = new Map(tags.map(({name, digest}) => [name, digest]));
      const asked = gone.filter((tag) => planned.has(tag));
      const now = (await observeDestinationTags(place, asked, call)).tags;
      return gone
        .filter((tag) => !planned.has(tag) || now.get(tag) !== planned.get(tag))
        .map((tag) => ({repository: from, tag}));
    },
  );
  return found.flat();
}

/**
 * The move with these tags in their current state: at the old path, or if they are gone there, at the donor. Tags at
 * neither are omitted. Tags at the old path are included only if this run was asked to: the journal may record that an
 * earlier run was, but that is not a permission. Tags that only the donor has must not be left there.
 */
export async function moveWithTags(
  move: ProjectMove,
  tags: readonly AdoptedTag[],
  run: Lookout,
): Promise<ProjectMove> {
  if (tags.length === 0) return move;
  const isThere = await isDonorThere(move, run);
  const facts: RepositoryFacts[] = [];
  for (const repository of move.repositories) {
    const names = tags.flatMap((one) => (one.repository === repository.from ? [one.tag] : []));
    if (names.length > 0) facts.push(...(await lookAt(repository, names, isThere, run)));
  }
  return withCopies(move, transferCopies(facts));
}

async function lookAt(
  repository: TransferRepository,
  names: readonly Tag[],
  canAskDonor: boolean,
  {context, call, progress}: Lookout,
): Promise<readonly RepositoryFacts[]> {
  const {from, to, donor} = repository;
  const {repositories, adoptNewTags} = context;
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
  return [...(adoptNewTags ? old : []), ...kept].map((source) => ({
    from,
    to,
    donor,
    source: {...source, repository: from},
    atDonor: {repository: donor, ...atDonor, present: new Set(atDonor.tags.values())},
    unknownMediaTypes: [],
  }));
}

/** The content below those of the tags that exist; empty if none does. */
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
    progress: () => undefined,
  };
  return [await observeSource(place, question, {signal})];
}

/** A move with additional copies. If both write a tag, the addition is used. */
function withCopies(move: ProjectMove, more: TransferCopies): ProjectMove {
  const atDonor = new Set(more.push.copies.map(({from, tag}) => `${from}:${tag ?? ''}`));
  const atTarget = new Set(more.push.copies.map(({to, tag}) => `${to}:${tag ?? ''}`));
  const known = new Set(move.manifests.map(({digest}) => digest));
  return {
    ...move,
    repositories: move.repositories.map((repository) => withTags(repository, more.push)),
    steps: move.steps.map((step) => {
      if (step.kind === 'pull') return {...step, ...joined(step, more.pull, atDonor)};
      if (step.kind === 'probe') return {...step, manifests: [...step.manifests, ...rootsOf(more)]};
      if (step.kind === 'push') return {...step, ...joined(step, more.push, atTarget)};
      return step;
    }),
    manifests: [
      ...move.manifests,
      ...more.manifests
        .filter(({descriptor}) => !known.has(descriptor.digest))
        .map((manifest) => plannedManifest(manifest)),
    ],
  };
}

/** Images that did not exist when planning have to be tried as well; all of them, because they are few. */
function rootsOf({pull}: TransferCopies): readonly ProbedManifest[] {
  return pull.copies.map(({from, digest}) => ({repository: from, digest}));
}

/** @param replaced the tags that the addition writes, as `repository:tag` */
function joined(
  before: CopySet,
  more: CopySet,
  replaced: ReadonlySet<string>,
): Pick<CopySet, 'copies' | 'blobs'> {
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

function withTags(repository: TransferRepository, {copies}: CopySet): TransferRepository {
  const added = copies.flatMap(({to, tag, digest}): TransferTag[] =>
    // Sizes are for reviews, which took place before.
    to === repository.to && tag !== undefined ? [{name: tag, digest, size: 0}] : [],
  );
  const names = new Set(added.map(({name}) => name));
  return {
    ...repository,
    tags: [...repository.tags.filter(({name}) => !names.has(name)), ...added],
  };
}
