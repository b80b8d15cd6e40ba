import {shortDigest} from '../model/digest.ts';
import {clipped, TransshipError} from '../model/error.ts';
import {globMatcher} from '../model/glob.ts';
import type {WishFilters} from '../model/plan.ts';
import {isLayoutName, isTag, splitLayoutName, type Tag} from '../model/reference.ts';
import type {NotRead} from '../observe/inventory.ts';
import {attachmentSubject} from './candidate.ts';
import {tagRenamer} from './tag-rename.ts';
import parseVersion from 'semver/functions/parse.js';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';

/** The selected tags, and the others with the reason, both in list order. */
export interface SelectedTags {
  readonly selected: readonly Tag[];
  /** The new names of renamed tags. */
  readonly toTags: ReadonlyMap<Tag, Tag>;
  readonly notRead: readonly NotRead[];
}

/** Why a tag is excluded; undefined: it is selected. */
export type TagFilter = (tag: Tag) => string | undefined;

/**
 * Which names are valid, and what they become: tags on both sides; names of a layout that are kept in another layout;
 * names of a layout that become tags in a registry.
 */
export type Naming = 'tags' | 'names' | 'names-to-tags';

/** Selects tags of a repository. */
export type TagSelector = (names: readonly string[]) => SelectedTags;

/**
 * Applies the filters that depend only on names. Filters by age and platform are applied when the plan is made.
 *
 * If a name is a whole reference, as in layouts, the filters apply to its tag.
 *
 * Cosign tags and fallback tags are not filtered: if there are any filters, including those by age and platform, such a
 * tag is not selected, but copied with the manifest that it is attached to. Without filters it is an ordinary tag. It
 * is never renamed, because clients find it by its name.
 * @throws TransshipError FILTER_INVALID
 */
export function tagSelector(filters: WishFilters, naming: Naming = 'tags'): TagSelector {
  const tagFilters = compile(filters);
  const isFiltered = hasFilters(filters);
  const rename = tagRenamer(filters.rename ?? []);
  return (names) => select(names, {tagFilters, isFiltered, rename}, naming);
}

/** Selects all tags. */
export const selectAllTags: TagSelector = tagSelector({});

/** The compiled filters of a selection. */
interface Choice {
  readonly tagFilters: readonly TagFilter[];
  /** Whether any filter is set. */
  readonly isFiltered: boolean;
  readonly rename: (tag: string) => string;
}

function select(
  names: readonly string[],
  {tagFilters, isFiltered, rename}: Choice,
  naming: Naming,
): SelectedTags {
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
      const name = subject === undefined && naming !== 'names' ? rename(toTag) : toTag;
      if (detail !== undefined) notRead.push({tag, reason: 'filtered', detail});
      else if (naming !== 'names' && !isTag(name)) {
        notRead.push({tag, reason: 'misnamed', detail: `"${clipped(name)}" is not a valid tag`});
      } else {
        selected.push(tag);
        if (name !== tag) toTags.set(tag, name as Tag);
      }
    }
  }
  return {selected, toTags, notRead};
}

/**
 * The repositories in these names. Images of one repository can be copied into another; those of several would be
 * mixed.
 */
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

/** Whether the filters may exclude anything of the source. */
function hasFilters({
  noClobber: _noClobber,
  allowEmpty: _allowEmpty,
  rename: _rename,
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

/** Selects tags that match one of the globs. @throws TransshipError FILTER_INVALID */
function includingFilter(globs: readonly string[]): TagFilter {
  const includes = globs.map((glob) => tagGlob(glob, '--tag'));
  return (tag) =>
    includes.some((matches) => matches(tag)) ? undefined : `matches none of ${globs.join(', ')}`;
}

/** Excludes tags that match one of the globs. @throws TransshipError FILTER_INVALID */
function excludingFilter(globs: readonly string[]): TagFilter {
  const excludes = globs.map((glob) => ({glob, matches: tagGlob(glob, '--exclude-tag')}));
  return (tag) => {
    const exclude = excludes.find(({matches}) => matches(tag));
    return exclude && `excluded by ${exclude.glob}`;
  };
}

/** @throws TransshipError FILTER_INVALID */
function tagGlob(glob: string, flag: string): (tag: string) => boolean {
  if (glob === '') throw filterInvalid(`${flag} is empty`, 'write a glob, for example "1.*"');
  if (glob.startsWith('!')) {
    throw filterInvalid(`${flag} "${glob}" starts with "!"`, 'use --exclude-tag to leave tags out');
  }
  if (glob.includes('/')) {
    throw filterInvalid(
      `${flag} "${glob}" has a "/", which no tag has`,
      'write the tag alone, without the repository',
    );
  }
  const matches = globMatcher(glob, 'tags');
  if (typeof matches !== 'string') return matches;
  throw filterInvalid(
    `${flag} "${glob}" ${matches}`,
    'close every bracket, and use --exclude-tag in place of "!("',
  );
}

/** One or two numbers, with an optional `v` and an optional suffix. */
const PARTIAL = /^v?(\d+)(?:\.(\d+))?((?:[-+].*)?)$/;

/**
 * A tag is a version if node-semver parses it: three numbers with an optional `v`. `_` stands for `+`, which tags
 * cannot contain (Helm writes 1.0.0+build as 1.0.0_build). As in node-semver, a pre-release is in a range only if the
 * range names a pre-release of the same three numbers.
 *
 * One or two numbers are versions as well: `1.35` is 1.35.0. A suffix after them (`1.35-amd64`) is not a pre-release by
 * semver's rules, and does not exclude the tag from a range (regclient: internal/semver/semver.go, `Check`).
 * @throws TransshipError FILTER_INVALID
 */
function semverFilter(range: string): TagFilter {
  const parsed = range.trim() === '' ? null : validRange(range);
  if (parsed === null) {
    throw filterInvalid(
      `--semver "${range}" is not a version range`,
      'write it as npm does, for example "^1.2" or ">=2.0.0 <3"',
    );
  }
  return (tag) => {
    const text = tag.replace('_', '+');
    const [, major, minor = '0', suffix = ''] = PARTIAL.exec(text) ?? [];
    const isPartial = major !== undefined;
    const version = parseVersion(isPartial ? `${major}.${minor}.0${suffix}` : text, {loose: true});
    if (version === null) return `not a version, and so not in ${range}`;
    if (satisfies(version, parsed, {includePrerelease: isPartial})) return undefined;
    const isOnlyEarly = satisfies(version, parsed, {includePrerelease: true});
    return isOnlyEarly ? `a pre-release, which ${range} does not name` : `not in ${range}`;
  };
}

/** The error for an invalid filter. */
export function filterInvalid(message: string, hint: string, cause?: unknown): TransshipError {
  return new TransshipError('FILTER_INVALID', message, {side: 'local', hint, cause});
}
