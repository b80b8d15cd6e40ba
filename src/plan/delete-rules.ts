import type {Digest} from '../model/digest.ts';
import {childBlobs, childManifests} from '../model/manifest.ts';
import type {CleanupRules, DeleteRules} from '../model/delete-wish.ts';
import type {Check, Skip} from '../model/plan.ts';
import type {SourceInventory} from '../observe/inventory.ts';
import type {TaggedContent} from '../observe/observe-tagged.ts';
import type {Tag} from '../model/reference.ts';
import {attachmentSubject, graphOf} from './candidate.ts';
import {keptByPolicy} from './cleanup-policy.ts';
import {compareText} from './compare.ts';
import type {WantedDeletion} from './delete-steps.ts';
import {tagSelector} from './filters.ts';

/** A repository to which rules apply. */
export interface SeenRepository {
  /** The tags that may be deleted, with their manifests. */
  readonly inventory: SourceInventory;
  readonly content: TaggedContent;
  /** The time of a tag's push, or of its image's creation, in ms since the epoch; undefined: unknown. */
  readonly timeOf: (tag: string, digest: Digest) => number | undefined;
  /** Whether the times are those of pushes. Only a metadata database has them. */
  readonly hasPushTimes: boolean;
}

/** The tags that rules select, and those that they keep, with the reason. */
export interface ChosenTags {
  readonly wanted: readonly WantedDeletion[];
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
}

/**
 * A tag with its digest, and the time of its push or of its image's creation in ms since the epoch; undefined: unknown.
 */
export interface DatedTag {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly time: number | undefined;
}

/**
 * Applies the rules in this order: tags that match `keep` are kept, then the newest, then those that are not old
 * enough. A tag without a known time is kept if any rule depends on times. Signatures and referrers are deleted with
 * their images.
 * @throws TransshipError FILTER_INVALID
 */
function chosenByRules(rules: DeleteRules, seen: SeenRepository): ChosenTags {
  const {inventory, content} = seen;
  const tagged = datedTags(seen).filter(({tag}) => attachmentSubject(tag) === undefined);
  const kept = keptByRules(tagged, rules);
  const going = goingOf(tagged, kept);
  const gone = digestsBelow(going, inventory);
  const attached = attachedTo(gone, inventory);
  const attachedTags = new Set(attached.map(({tag}) => tag));
  return {
    wanted: [...wantedByRule(going, inventory, content), ...attached],
    skipped: [...keptSkips(tagged, kept, inventory), ...notReadSkips(inventory, attachedTags)],
    checks: [],
  };
}

/**
 * The tags that GitLab would delete and keep if it ran the cleanup policy now. For GitLab a signature is an ordinary
 * tag: the policy counts and deletes it, whatever happens to its image.
 * @throws TransshipError FILTER_INVALID
 */
function chosenByPolicy(policy: CleanupRules, seen: SeenRepository): ChosenTags {
  const {inventory, content, hasPushTimes} = seen;
  // Without a metadata database GitLab reads the time from the config, which an index does not have.
  const tagged = datedTags(seen).map((one) => {
    const isIndex = inventory.manifests.get(one.digest)?.view.kind === 'index';
    return isIndex && !hasPushTimes ? {...one, time: undefined} : one;
  });
  const kept = keptByPolicy(tagged, policy, hasPushTimes);
  const going = goingOf(tagged, kept);
  return {
    wanted: wantedByRule(going, inventory, content),
    skipped: [...keptSkips(tagged, kept, inventory), ...notReadSkips(inventory, new Set())],
    checks: lostSignatures(going, kept, seen),
  };
}

/** Selects tags by rules, or as a cleanup policy would. @throws TransshipError FILTER_INVALID */
export function chooseTags(
  wish: {readonly rules: DeleteRules} | {readonly policy: CleanupRules},
  seen: SeenRepository,
): ChosenTags {
  return 'rules' in wish ? chosenByRules(wish.rules, seen) : chosenByPolicy(wish.policy, seen);
}

function datedTags({inventory, timeOf}: SeenRepository): readonly DatedTag[] {
  return inventory.roots.flatMap(({tag, digest}) =>
    tag === undefined ? [] : [{tag, digest, time: timeOf(tag, digest)}],
  );
}

function goingOf(
  tagged: readonly DatedTag[],
  kept: ReadonlyMap<string, string>,
): readonly DatedTag[] {
  return tagged.filter(({tag}) => !kept.has(tag)).toSorted((a, b) => compareText(a.tag, b.tag));
}

function wantedByRule(
  going: readonly DatedTag[],
  inventory: SourceInventory,
  {tags}: TaggedContent,
): readonly WantedDeletion[] {
  const {repository} = inventory;
  const alike = Map.groupBy(tags, ([, digest]) => digest);
  const sizes = new Map<Digest, string>();
  return going.map(({tag, digest, time}) => {
    const size = sizes.get(digest) ?? sizeOf(digest, inventory);
    sizes.set(digest, size);
    const why = [
      ...(time === undefined ? [] : [dateOf(time)]),
      size,
      ...sameDigest(tag, alike.get(digest) ?? [], tags.get(tag) === digest),
    ].join('; ');
    return {repository, tag, digest, reason: 'rule', verified: [], why};
  });
}

function keptSkips(
  tagged: readonly DatedTag[],
  kept: ReadonlyMap<string, string>,
  {repository}: SourceInventory,
): readonly Skip[] {
  return tagged.flatMap(({tag, digest}): Skip[] => {
    const detail = kept.get(tag);
    return detail === undefined
      ? []
      : [{reason: 'filtered', from: repository, tag, digest, detail}];
  });
}

/** @param attached tags that no rule selects, but that are deleted with their images */
function notReadSkips(
  {repository, notRead, unreadable = []}: SourceInventory,
  attached: ReadonlySet<Tag | undefined>,
): readonly Skip[] {
  return [
    ...unreadable.map(({error, ...one}): Skip => {
      return {reason: 'filtered', from: repository, ...one, detail: error.message};
    }),
    ...notRead.flatMap(({tag, digest, detail}): Skip[] =>
      attached.has(tag as Tag)
        ? []
        : [
            {
              reason: 'filtered',
              from: repository,
              ...(tag === undefined ? {} : {tag}),
              ...(digest === undefined ? {} : {digest}),
              detail,
            },
          ],
    ),
  ];
}

/** Signatures that are deleted although their images are kept. */
function lostSignatures(
  going: readonly DatedTag[],
  kept: ReadonlyMap<string, string>,
  {inventory}: SeenRepository,
): readonly Check[] {
  const staying = new Map<Digest, string>();
  for (const {tag, digest} of inventory.roots)
    if (tag !== undefined && kept.has(tag)) staying.set(digest, tag);
  return going.flatMap(({tag}): Check[] => {
    const image = staying.get(attachmentSubject(tag) ?? ('' as Digest));
    if (image === undefined) return [];
    const {repository} = inventory;
    return [
      {
        code: 'SIGNATURE_LOST',
        result: 'warn',
        subject: `${repository}:${tag}`,
        message: `the policy deletes ${repository}:${tag}, which belongs to ${image}; that image stays`,
        hint: 'let name_regex_keep match it, such as sha256-.*',
      },
    ];
  });
}

function keptByRules(
  tagged: readonly DatedTag[],
  {keep = [], keepNewest = 0, olderThan}: DeleteRules,
): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  if (keep.length > 0) {
    const {selected} = tagSelector({tags: keep})(tagged.map(({tag}) => tag));
    for (const tag of selected) kept.set(tag, `--keep ${keep.join(', ')}`);
  }
  const needsTime = keepNewest > 0 || olderThan !== undefined;
  const newestFirst = tagged
    .filter(({tag}) => !kept.has(tag))
    .toSorted((a, b) => (b.time ?? 0) - (a.time ?? 0) || compareText(a.tag, b.tag));
  const known = newestFirst.filter(({time}) => time !== undefined);
  const newest = new Set(known.slice(0, keepNewest).map(({tag}) => tag));
  for (const {tag, time} of newestFirst) {
    if (needsTime && time === undefined) kept.set(tag, 'its age is not known');
    else if (newest.has(tag)) kept.set(tag, `--keep-newest ${keepNewest}`);
    else if (olderThan !== undefined && (time ?? 0) >= Date.parse(olderThan))
      kept.set(tag, `--older-than: ${dateOf(time)}`);
  }
  return kept;
}

/** The digests of these tags, and of all manifests below them. */
function digestsBelow(tagged: readonly DatedTag[], {manifests}: SourceInventory): Set<Digest> {
  const found = new Set<Digest>();
  const waiting = tagged.map(({digest}) => digest);
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (found.has(digest)) continue;
    found.add(digest);
    const view = manifests.get(digest)?.view;
    for (const child of view === undefined ? [] : childManifests(view)) waiting.push(child.digest);
  }
  return found;
}

/** Includes attachments of attachments. */
function attachedTo(
  gone: ReadonlySet<Digest>,
  {repository, roots}: SourceInventory,
): readonly WantedDeletion[] {
  const attached = roots.flatMap((root) => {
    const subject = root.as === 'asked' ? attachmentSubject(root.tag ?? '') : root.subject;
    return subject === undefined ? [] : [{...root, subject}];
  });
  const bySubject = Map.groupBy(attached, ({subject}) => subject);
  const found = new Map<string, WantedDeletion>();
  const asked = new Set<Digest>();
  const waiting = [...gone];
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (asked.has(digest)) continue;
    asked.add(digest);
    for (const one of bySubject.get(digest) ?? []) {
      const {tag, subject} = one;
      found.set(`${tag ?? ''} ${one.digest}`, {
        repository,
        ...(tag === undefined ? {} : {tag}),
        digest: one.digest,
        reason: 'rule',
        verified: [],
        why: 'belongs to an image that is deleted',
        subject,
      });
      waiting.push(one.digest);
    }
  }
  return [...found.values()];
}

/** Size and number of the blobs below a manifest. */
function sizeOf(digest: Digest, {manifests}: SourceInventory): string {
  const root = manifests.get(digest);
  const graph = root && graphOf(root, (one) => manifests.get(one));
  const blobs = new Map(
    (graph?.manifests ?? []).flatMap(({view}) =>
      childBlobs(view).map((blob) => [blob.digest, blob.size] as const),
    ),
  );
  const size = [...blobs.values()].reduce((sum, one) => sum + one, 0);
  return `${size} bytes in ${blobs.size} blobs`;
}

/** Tags that are named of all that point to one manifest. */
const NAMES = 20;

/** Which other tags point there, as a reviewer wants to know. @param isListed whether `alike` contains the tag */
function sameDigest(
  tag: Tag,
  alike: readonly (readonly [Tag, Digest])[],
  isListed: boolean,
): readonly string[] {
  // Not all of 100,000 tags of one image, for each of them.
  const some = alike.slice(0, NAMES + 1).flatMap(([name]) => (name === tag ? [] : [name]));
  if (some.length === 0) return [];
  const named = some.slice(0, NAMES).toSorted(compareText);
  const more = alike.length - (isListed ? 1 : 0) - named.length;
  return [`same digest as ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`];
}

function dateOf(time = 0): string {
  return `of ${new Date(time).toISOString().slice(0, 10)}`;
}
