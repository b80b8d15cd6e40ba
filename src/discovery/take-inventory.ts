import PQueue from 'p-queue';
import {isInterrupted, TransshipError} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {WishFilters} from '../model/plan.ts';
import type {Call, ListedRepository, RepositoryReader, UnlistedPart} from '../model/port.ts';
import {isRepositoryPath, type RepositoryPath} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {tagSelector} from '../plan/filters.ts';
import {BlobTable} from './blob-table.ts';
import type {Inventory, InventoryDepth, InventoryTotals, RepositoryInventory} from './inventory.ts';
import {notARepository} from './list-all.ts';
import {readImages, type RepositoryImages, type SharedReading} from './repository-images.ts';

/** Which repositories to read, and at which depth. */
export interface InventoryQuestion {
  readonly host: string;
  readonly prefix: string;
  readonly depth: InventoryDepth;
  readonly filters: WishFilters;
  readonly repositories: readonly ListedRepository[];
  readonly unlisted: readonly UnlistedPart[];
  readonly open: (path: RepositoryPath) => RepositoryReader;
  readonly progress: (done: number, total: number) => void;
}

/**
 * Repositories that are read concurrently, by depth. At `tags`, each takes one request; at `images`, the manifests of
 * each are in memory, and a few repositories have enough tags to use all connections.
 */
const REPOSITORIES_AT_ONCE = {tags: OBSERVE_CONCURRENCY, images: 8} as const;

/** A repository that was read; `inside` is absent at depth `tags`. */
interface ReadRepository extends Omit<RepositoryInventory, 'images'> {
  readonly inside?: RepositoryImages;
}

/**
 * Reads repositories. One that cannot be read is part of the result, with its error.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERRUPTED
 */
export async function takeInventory(question: InventoryQuestion, call: Call): Promise<Inventory> {
  const {host, prefix, depth, repositories, unlisted} = question;
  const select = tagSelector(question.filters);
  const table = new BlobTable();
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  const shared: SharedReading = {table, queue, unreadable: 0};

  const look = async (path: RepositoryPath): Promise<Omit<ReadRepository, 'repository'>> => {
    const source = question.open(path);
    const names = await source.listTags(call);
    if (names === undefined) throw notFound(source);
    const {selected} = select(names);
    const tags = new Set(names).size;
    if (depth === 'tags') return {tags, selected: selected.length};
    const inside = await readImages(source, selected, question.filters, shared, call);
    return {tags, selected: inside.selected, inside};
  };
  const lookOrTell = async (listed: ListedRepository): Promise<ReadRepository> => {
    const {repository} = listed;
    try {
      if (!isRepositoryPath(repository)) throw notARepository(repository);
      return {...listed, ...(await look(repository))};
    } catch (error) {
      call.signal.throwIfAborted();
      if (isInterrupted(error) || !(error instanceof TransshipError)) throw error;
      return {...listed, error: errorData(error)};
    }
  };

  let done = 0;
  const seen = await mapAtOnce(repositories, REPOSITORIES_AT_ONCE[depth], async (listed) => {
    const one = await lookOrTell(listed);
    question.progress((done += 1), repositories.length);
    return one;
  });
  const found = seen.map(({inside, ...row}): RepositoryInventory => {
    if (inside === undefined) return row;
    const {unreadable, newest, ...images} = inside.images;
    const sharedBytes = table.sharedBytes(inside.blobs);
    return {...row, images: {...images, sharedBytes, ...(newest ? {newest} : {}), unreadable}};
  });
  return {
    host,
    prefix,
    depth,
    repositories: found,
    unlisted: unlisted.map(({part, error}) => ({part, error: errorData(error)})),
    totals: totalsOf(found, unlisted.length, depth === 'tags' ? undefined : table),
  };
}

/** Whether a repository could not be read, at all or in part. */
function isFailed({error, images}: RepositoryInventory): boolean {
  return error !== undefined || (images?.unreadable.length ?? 0) > 0;
}

/** @param table undefined: no blobs were read */
function totalsOf(
  repositories: readonly RepositoryInventory[],
  unlisted: number,
  table: BlobTable | undefined,
): InventoryTotals {
  const sum = (of: (one: RepositoryInventory) => number | undefined): number =>
    repositories.reduce((total, one) => total + (of(one) ?? 0), 0);
  return {
    repositories: repositories.length,
    failed: repositories.filter(isFailed).length + unlisted,
    tags: sum(({tags}) => tags),
    selected: sum(({selected}) => selected),
    ...(table && {
      images: sum(({images}) => images?.count),
      blobs: table.count,
      bytes: table.bytes,
      sharedBytes: sum(({images}) => images?.bytes) - table.bytes,
    }),
  };
}

function notFound({name}: RepositoryReader): TransshipError {
  return new TransshipError('REPOSITORY_NOT_FOUND', `${name} does not exist`, {
    side: 'source',
    hint: 'check the name; some registries also respond this way if the login has no access to the repository',
  });
}
