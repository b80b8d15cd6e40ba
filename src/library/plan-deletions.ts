import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Check, CopyPlan, Wish} from '../model/plan.ts';
import type {Call, Repositories} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {headComparable} from '../observe/observe-destination.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {observeDeletable, type SeenSource, type TaggedContent} from '../observe/observe-tagged.ts';
import {attachmentSubject, type ObservedRoute} from '../plan/candidate.ts';
import {compareText} from '../plan/compare.ts';
import type {PlannedDeletions} from '../plan/copy-plan.ts';
import {type LeftThere, usualDeleteReason, type WantedDeletion} from '../plan/delete-steps.ts';
import {prunedTags} from '../plan/pruned-tags.ts';

/** Removes at the destination what an earlier plan brought and the source no longer has. */
export interface PruneWish {
  readonly earlier: CopyPlan;
  /** More forbid the plan. */
  readonly maxDeletes: number;
}

/** Repositories that are looked at at once. */
const REPOSITORIES_AT_ONCE = 16;

/** What the plan is to delete, besides what it moves, and what has to be known for that. */
export interface ObservedDeletions {
  readonly deletions: PlannedDeletions;
  readonly checks: readonly Check[];
}

/**
 * Looks at everything in which something is to be deleted. One repository that refuses deletions forbids the plan, and
 * the others are looked at all the same.
 * @param routes as they were observed
 */
export async function observeDeletions(
  {deleteSource = false}: Wish,
  prune: PruneWish | undefined,
  routes: readonly ObservedRoute[],
  repositories: Repositories,
  call: Call,
): Promise<ObservedDeletions> {
  const contents = new Map<string, TaggedContent>();
  const checks: Check[] = [];
  const look = async (
    side: 'source' | 'destination',
    seen: ReadonlyMap<string, readonly SeenSource[]>,
  ): Promise<void> => {
    await mapAtOnce(seen, REPOSITORIES_AT_ONCE, async ([name, sources]) => {
      try {
        const repository = repositories.writable(name, side);
        contents.set(name, await observeDeletable(repository, sources, attachmentSubject, call));
      } catch (error) {
        checks.push(deletionRefused(name, error));
      }
    });
  };
  if (deleteSource) {
    const sources = routes.map(({source}) => source);
    await look(
      'source',
      Map.groupBy(sources, ({repository}) => repository),
    );
  }
  const {wanted, left} = prune
    ? await prunedNow(prune, routes, repositories, call)
    : {wanted: [], left: []};
  await look('destination', seenAs(wanted));
  return {
    deletions: {
      wanted,
      left,
      contents,
      ...(prune === undefined ? {} : {maxPruned: prune.maxDeletes}),
    },
    checks: checks.toSorted((a, b) => compareText(a.subject, b.subject)),
  };
}

/** Only what still is as the earlier plan left it. */
async function prunedNow(
  {earlier}: PruneWish,
  routes: readonly ObservedRoute[],
  repositories: Repositories,
  call: Call,
): Promise<{readonly wanted: readonly WantedDeletion[]; readonly left: readonly LeftThere[]}> {
  const wanted: WantedDeletion[] = [];
  const left: LeftThere[] = [];
  const reason = 'pruned' as const;
  const found = await mapAtOnce(prunedTags(earlier, routes), OBSERVE_CONCURRENCY, async (one) => ({
    ...one,
    actual: await headComparable(repositories.destination(one.to), one.tag, one.digest, call),
  }));
  for (const {to: repository, tag, digest, actual} of found) {
    const subject = attachmentSubject(tag);
    const named = {repository, tag, digest};
    if (actual === digest) {
      wanted.push({
        ...named,
        reason,
        verified: [],
        why: usualDeleteReason({reason}),
        ...(subject === undefined ? {} : {subject}),
      });
    } else if (actual !== undefined) {
      left.push({...named, because: 'the source no longer has them, and they were changed here'});
    }
  }
  return {wanted, left};
}

function seenAs(wanted: readonly WantedDeletion[]): ReadonlyMap<string, readonly SeenSource[]> {
  const byRepository = Map.groupBy(wanted, ({repository}) => repository);
  return new Map(
    [...byRepository].map(([repository, own]) => {
      const roots = own.map(({tag, digest}) => ({
        ...(tag === undefined ? {} : {tag}),
        digest,
        as: 'asked' as const,
      }));
      return [repository, [{roots, manifests: new Map()}]];
    }),
  );
}

/**
 * Whether tags can be deleted after a copy from here to there.
 * @param from as it was given
 * @throws TransshipError USAGE
 */
export function throwUnlessDeletable(
  from: string,
  source: {readonly isLayout: boolean; readonly tag?: Tag; readonly digest?: Digest},
  destination: {readonly repository: string},
): void {
  const {isLayout, tag, digest} = source;
  const {repository} = destination;
  if (repository.startsWith('oci-archive:')) {
    throw notDeletable(
      `${repository} is written at the end of the run, too late to verify it before tags are deleted`,
      'copy to a layout (oci:DIR) or a registry, or delete the tags with "plan delete" afterwards',
    );
  }
  if (isLayout) {
    throw notDeletable(
      `nothing is deleted in ${from}, which is not a registry`,
      'leave --delete-source out, and remove the file or directory by hand after the copy',
    );
  }
  if (digest !== undefined && tag === undefined) {
    throw notDeletable(
      `${from} names a digest, and tags are deleted`,
      'name the tag to be deleted: HOST/REPOSITORY:TAG',
    );
  }
}

function notDeletable(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}

/** What forbids a plan of deletions in a repository that refuses them. @throws what is no refusal of the registry */
export function deletionRefused(repository: string, error: unknown): Check {
  const isRefusal =
    error instanceof TransshipError &&
    ['UNAUTHORIZED', 'FORBIDDEN', 'UNSUPPORTED_BY_REGISTRY', 'PROTECTED'].includes(error.code);
  if (!isRefusal) throw error;
  const {code, message, hint} = error;
  return {
    code,
    result: 'forbid',
    subject: repository,
    message: `nothing can be deleted in ${repository}: ${message}`,
    hint,
  };
}
