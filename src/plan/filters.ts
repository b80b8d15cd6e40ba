import {shortDigest} from '../model/digest.ts';
import {clipped} from '../model/error.ts';
import type {WishFilters} from '../model/plan.ts';
import {isLayoutName, isTag, splitLayoutName, type Tag} from '../model/reference.ts';
import type {NotRead} from '../observe/inventory.ts';
import {attachmentSubject} from './attachment.ts';
import {excludingFilter, includingFilter} from './glob-filters.ts';
import {semverFilter} from './semver-filter.ts';

/** The tags that are asked for, and the others with the reason; both in the order in which they were listed. */
export interface TagSelection {
  readonly selected: readonly Tag[];
  /** The tags that they get at the destination, of those that are called otherwise there. */
  readonly toTags: ReadonlyMap<Tag, Tag>;
  readonly notRead: readonly NotRead[];
}

/** Says why a tag is left out; undefined: it is not. */
export type TagFilter = (tag: Tag) => string | undefined;

/**
 * What names may be, and become: tags at both sides; names of a layout that stay as they are in another; names of a
 * layout that have to become tags in a registry.
 */
export type Naming = 'tags' | 'names' | 'names-to-tags';

/** Chooses among the tags of a repository. */
export type TagSelector = (names: readonly string[]) => TagSelection;

/**
 * Applies the filters that need nothing but names. Those by age and by platform are applied when the plan is made,
 * but count as filters here.
 *
 * Of a name that is a whole reference, as layouts have them, the filters look at the tag.
 *
 * No filter is asked about cosign's tags and fallback tags: where there are filters, such a tag is not selected, and
 * goes or stays with the manifest that it is attached to. Without filters it is a tag like any other.
 * @throws TransshipError FILTER_INVALID
 */
export function tagSelector(filters: WishFilters, naming: Naming = 'tags'): TagSelector {
  const tagFilters = compile(filters);
  const isFiltered = hasFilters(filters);
  return (names) => select(names, tagFilters, isFiltered, naming);
}

/** Where there are no filters. */
export const selectAllTags: TagSelector = (names) => select(names, [], false, 'tags');

function select(
  names: readonly string[],
  tagFilters: readonly TagFilter[],
  isFiltered: boolean,
  naming: Naming,
): TagSelection {
  const selected: Tag[] = [];
  const toTags = new Map<Tag, Tag>();
  const notRead: NotRead[] = [];
  const isName = naming === 'tags' ? isTag : isLayoutName;
  const isMixed = naming === 'names-to-tags' && repositoriesIn(names).size > 1;
  for (const tag of new Set(names)) {
    const subject = attachmentSubject(tag);
    const toTag = naming === 'names-to-tags' ? splitLayoutName(tag).tag : (tag as Tag);
    if (!isName(tag)) {
      notRead.push({
        tag: clipped(tag),
        reason: 'invalid-name',
        detail: 'the name is not a valid tag',
      });
    } else if (toTag === undefined || (isMixed && toTag !== tag)) {
      notRead.push({tag, reason: 'unnamed', detail: whyNoTag(toTag)});
    } else if (subject !== undefined && isFiltered) {
      const detail = `it belongs to ${shortDigest(subject)}, which is not copied`;
      notRead.push({tag, reason: 'filtered', detail});
    } else {
      const detail = firstReason(tagFilters, splitLayoutName(tag).tag ?? tag);
      if (detail === undefined) selected.push(tag);
      else notRead.push({tag, reason: 'filtered', detail});
      if (detail === undefined && toTag !== tag) toTags.set(tag, toTag);
    }
  }
  return {selected, toTags, notRead};
}

/** Images of one repository can lie beside one another in another one; those of several would be mixed up there. */
function repositoriesIn(names: readonly string[]): ReadonlySet<string> {
  const split = names.map(splitLayoutName);
  return new Set(
    split.flatMap(({repository, tag}) =>
      repository === '' || tag === undefined ? [] : [repository],
    ),
  );
}

function whyNoTag(tag: Tag | undefined): string {
  const why =
    tag === undefined ? 'its name has no tag' : 'the names here are those of several repositories';
  return `${why}: copy it by its name`;
}

/** Whether less than everything of the source is wanted. */
function hasFilters({
  noClobber: _noClobber,
  allowEmpty: _allowEmpty,
  ...filters
}: WishFilters): boolean {
  return Object.values(filters).some((value) =>
    Array.isArray(value) ? value.length > 0 : value !== undefined,
  );
}

function firstReason(filters: readonly TagFilter[], tag: Tag): string | undefined {
  for (const filter of filters) {
    const reason = filter(tag);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function compile(filters: WishFilters): readonly TagFilter[] {
  const {tags = [], excludeTags = [], semver: range} = filters;
  const compiled: TagFilter[] = [];
  if (tags.length > 0) compiled.push(includingFilter(tags));
  if (excludeTags.length > 0) compiled.push(excludingFilter(excludeTags));
  if (range !== undefined) compiled.push(semverFilter(range));
  return compiled;
}
