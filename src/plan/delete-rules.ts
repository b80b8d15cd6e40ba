import type {Digest} from '../model/digest.ts';
import {childBlobs} from '../model/manifest.ts';
import type {DeleteRules, Skip} from '../model/plan.ts';
import type {SourceInventory, SourceRoot} from '../observe/inventory.ts';
import type {TaggedContent} from '../observe/observe-tagged.ts';
import {attachmentSubject, graphOf, type ManifestGraph} from './candidate.ts';
import {compareText} from './compare.ts';
import type {WantedDeletion} from './delete-steps.ts';
import {tagSelector} from './filters.ts';

/** A repository whose tags are to be deleted by rules. */
export interface RuledRepository {
  readonly rules: DeleteRules;
  /** The tags that the filters among the rules select, with their manifests. */
  readonly inventory: SourceInventory;
  readonly content: TaggedContent;
  /** When a tag was pushed, or its image was created, in ms since 1970; undefined: not known. */
  readonly timeOf: (tag: string, digest: Digest) => number | undefined;
}

/** What the rules choose, and what they keep, with the reason. */
export interface ChosenTags {
  readonly wanted: readonly WantedDeletion[];
  readonly skipped: readonly Skip[];
}

interface TaggedRoot {
  readonly tag: NonNullable<SourceRoot['tag']>;
  readonly digest: Digest;
  readonly time: number | undefined;
}

/**
 * Applies the rules in this order: what `keep` matches stays, then the newest, then what is too young. What has no known
 * time stays wherever a rule asks for one. Signatures and referrers go with their images.
 * @throws TransshipError FILTER_INVALID
 */
export function chosenByRules({rules, inventory, content, timeOf}: RuledRepository): ChosenTags {
  const {repository, roots, notRead, unreadable = []} = inventory;
  const tagged = roots.flatMap(({tag, digest}) =>
    tag === undefined || attachmentSubject(tag) !== undefined
      ? []
      : [{tag, digest, time: timeOf(tag, digest)}],
  );
  const kept = keptByRules(tagged, rules);
  const graphs = new Map(tagged.map(({digest}) => [digest, graphIn(inventory, digest)]));
  const going = tagged
    .filter(({tag}) => !kept.has(tag))
    .toSorted((a, b) => compareText(a.tag, b.tag));
  const wanted: WantedDeletion[] = going.map((one) => ({
    repository,
    tag: one.tag,
    digest: one.digest,
    reason: 'rule',
    verified: [],
    why: whyOf(one, graphs.get(one.digest), content),
  }));
  const gone = new Set(going.flatMap(({digest}) => [digest, ...digestsIn(graphs.get(digest))]));
  const attached = attachedTo(gone, inventory);
  const attachedTags = new Set(attached.map(({tag}) => tag));
  return {
    wanted: [...wanted, ...attached],
    skipped: [
      ...tagged.flatMap(({tag, digest}): Skip[] => {
        const detail = kept.get(tag);
        return detail === undefined
          ? []
          : [{reason: 'filtered', from: repository, tag, digest, detail}];
      }),
      ...unreadable.map(({error, ...one}): Skip => {
        return {reason: 'filtered', from: repository, ...one, detail: error.message};
      }),
      ...notRead.flatMap(({tag, digest, detail}): Skip[] =>
        attachedTags.has(tag as WantedDeletion['tag'])
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
    ],
  };
}

function keptByRules(
  tagged: readonly TaggedRoot[],
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

/** Also what belongs to something that belongs to an image. */
function attachedTo(
  gone: Set<Digest>,
  {repository, roots}: SourceInventory,
): readonly WantedDeletion[] {
  const waiting = roots.flatMap((root) => {
    const subject = root.as === 'asked' ? attachmentSubject(root.tag ?? '') : root.subject;
    return subject === undefined ? [] : [{...root, subject}];
  });
  const found = new Map<string, WantedDeletion>();
  for (let before = -1; found.size > before; ) {
    before = found.size;
    for (const {tag, digest, subject} of waiting) {
      const key = `${tag ?? ''} ${digest}`;
      if (!gone.has(subject) || found.has(key)) continue;
      gone.add(digest);
      found.set(key, {
        repository,
        ...(tag === undefined ? {} : {tag}),
        digest,
        reason: 'rule',
        verified: [],
        why: 'belongs to an image that is deleted',
        subject,
      });
    }
  }
  return [...found.values()];
}

function graphIn({manifests}: SourceInventory, digest: Digest): ManifestGraph | undefined {
  const root = manifests.get(digest);
  return root && graphOf(root, (one) => manifests.get(one));
}

function digestsIn(graph: ManifestGraph | undefined): readonly Digest[] {
  return graph?.manifests.map(({descriptor}) => descriptor.digest) ?? [];
}

/** What a reviewer wants to know of a tag: its age, its size, and what else points there. */
function whyOf(
  {tag, digest, time}: TaggedRoot,
  graph: ManifestGraph | undefined,
  {tags}: TaggedContent,
): string {
  const blobs = new Map(
    (graph?.manifests ?? []).flatMap(({view}) =>
      childBlobs(view).map((blob) => [blob.digest, blob.size] as const),
    ),
  );
  const size = [...blobs.values()].reduce((sum, one) => sum + one, 0);
  const others = [...tags].flatMap(([name, one]) => (one === digest && name !== tag ? [name] : []));
  return [
    ...(time === undefined ? [] : [dateOf(time)]),
    `${size} bytes in ${blobs.size} blobs`,
    ...(others.length === 0 ? [] : [`same digest as ${others.toSorted(compareText).join(', ')}`]),
  ].join('; ');
}

function dateOf(time = 0): string {
  return `of ${new Date(time).toISOString().slice(0, 10)}`;
}
