import {TransshipError} from '../model/error.ts';
import type {Digest} from '../model/digest.ts';
import type {DeleteWish} from '../model/delete-wish.ts';
import type {Check, CopyPlan, Skip} from '../model/plan.ts';
import {parseReference} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {observeSource} from '../observe/observe-source.ts';
import {observeTagged, type TaggedContent} from '../observe/observe-tagged.ts';
import {timeOf} from '../plan/age.ts';
import {attachmentSubject} from '../plan/candidate.ts';
import {compareText} from '../plan/compare.ts';
import {makeCopyPlan} from '../plan/copy-plan.ts';
import {chooseTags, type ChosenTags, type SeenRepository} from '../plan/delete-rules.ts';
import type {WantedDeletion} from '../plan/delete-steps.ts';
import {tagSelector} from '../plan/filters.ts';
import {deletionRefused} from '../library/plan-deletions.ts';
import type {Session} from '../library/session.ts';

/** Concurrently examined repositories. All tags of each one are read. */
const REPOSITORIES_AT_ONCE = 4;

/**
 * Plans the deletion of tags that rules select. If one of several repositories refuses deletions, the plan is
 * forbidden, but the others are still examined; repositories without tags are left out.
 * @param findings other findings about the wishes
 * @throws TransshipError the refusals of a registry; FILTER_INVALID
 */
export async function planDeletions(
  wishes: readonly DeleteWish[],
  findings: readonly Check[],
  session: Session,
): Promise<CopyPlan> {
  const checks: Check[] = [...findings];
  const skipped: Skip[] = [];
  const wanted: WantedDeletion[] = [];
  const contents = new Map<string, TaggedContent>();
  const isOne = wishes.length === 1;
  const chosen = await mapAtOnce(wishes, REPOSITORIES_AT_ONCE, async (wish) => {
    try {
      return await chooseIn(wish, session);
    } catch (error) {
      const isEmpty = error instanceof TransshipError && error.code === 'REPOSITORY_NOT_FOUND';
      if (isOne) throw error;
      if (!isEmpty) checks.push(deletionRefused(wish.repository, error));
      return undefined;
    }
  });
  for (const [at, one] of chosen.entries()) {
    const {repository} = wishes[at] ?? {};
    if (one === undefined || repository === undefined) continue;
    for (const each of one.wanted) wanted.push(each);
    for (const each of one.skipped) skipped.push(each);
    for (const each of one.checks) checks.push(each);
    contents.set(repository, one.content);
  }
  return makeCopyPlan({
    wish: {routes: [], deletes: wishes},
    routes: [],
    findings: {checks: checks.toSorted((a, b) => compareText(a.subject, b.subject)), skipped},
    deletions: {wanted, contents},
  });
}

async function chooseIn(
  wish: DeleteWish,
  session: Session,
): Promise<ChosenTags & {readonly content: TaggedContent}> {
  const seen = await look(wish, session);
  return {...chooseTags(wish, seen), content: seen.content};
}

async function look(wish: DeleteWish, session: Session): Promise<SeenRepository> {
  const {places, report, reading: call} = session;
  const {repository: name} = wish;
  const repository = places.writable(name, 'destination');
  const deletion = (await repository.tagDeletion?.(call)) ?? 'digest';
  const times = deletion === 'alone' ? await pushTimes(name, session) : undefined;
  const inventory = await observeSource(
    repository,
    {
      select: tagSelector('rules' in wish ? filtersOf(wish) : {}),
      // A policy treats signatures as ordinary tags.
      attachmentSubject: 'rules' in wish ? attachmentSubject : () => undefined,
      known: () => Promise.resolve(new Map()),
      ...(times === undefined && needsTimes(wish)
        ? {configs: {times: true, platforms: false}}
        : {}),
      progress: (done, total) => report({type: 'observing', what: name, done, total}),
    },
    call,
  );
  const content = await observeTagged(repository, deletion, inventory.manifests, call);
  return {
    inventory,
    content,
    hasPushTimes: times !== undefined,
    timeOf: (tag: string, digest: Digest) => {
      if (times !== undefined) return times.get(tag);
      const created = timeOf(digest, inventory.created);
      return Number.isFinite(created) ? created : undefined;
    },
  };
}

function filtersOf({rules: {tags, excludeTags, semver}}: Extract<DeleteWish, {rules: unknown}>) {
  return {
    ...(tags === undefined ? {} : {tags}),
    ...(excludeTags === undefined ? {} : {excludeTags}),
    ...(semver === undefined ? {} : {semver}),
  };
}

function needsTimes(wish: DeleteWish): boolean {
  if ('policy' in wish) return true;
  return wish.rules.keepNewest !== undefined || wish.rules.olderThan !== undefined;
}

/** Undefined: the registry does not record push times, or does not report them to this login. */
async function pushTimes(
  name: string,
  {places, reading}: Session,
): Promise<ReadonlyMap<string, number> | undefined> {
  const {registry, path} = parseReference(name);
  try {
    return await places.registry(registry, 'destination').tagTimes(path, reading);
  } catch (error) {
    reading.signal.throwIfAborted();
    if (error instanceof TransshipError && error.status !== undefined) return undefined;
    throw error;
  }
}
