import picomatch from 'picomatch';
// The whole package has several times as many files to load.
import parseVersion from 'semver/functions/parse.js';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';
import {shortDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {WishFilters} from '../model/plan.ts';
import {isTag, type Tag} from '../model/reference.ts';
import type {NotRead} from '../observe/inventory.ts';
import {attachmentSubject} from './attachment.ts';

/** The tags that are asked for, and the others with the reason; both in the order in which they were listed. */
export interface TagSelection {
  readonly selected: readonly Tag[];
  readonly notRead: readonly NotRead[];
}

/** Says why a tag is left out; undefined: it is not. */
type TagFilter = (tag: Tag) => string | undefined;

/**
 * Applies the filters that need nothing but names. Those by age and by platform are applied when the plan is made,
 * but count as filters here.
 *
 * No filter is asked about cosign's tags and fallback tags: where there are filters, such a tag is not selected, and
 * goes or stays with the manifest that it is attached to. Without filters it is a tag like any other.
 * @throws TransshipError FILTER_INVALID
 */
export function selectTags(names: readonly string[], filters: WishFilters): TagSelection {
  const tagFilters = compile(filters);
  const selected: Tag[] = [];
  const notRead: NotRead[] = [];
  for (const tag of new Set(names)) {
    const subject = attachmentSubject(tag);
    if (!isTag(tag)) {
      notRead.push({
        tag,
        reason: 'invalid-name',
        detail: 'no client can ask for a tag of this name',
      });
    } else if (subject !== undefined && hasFilters(filters)) {
      const detail = `it belongs to ${shortDigest(subject)}, which is not copied`;
      notRead.push({tag, reason: 'filtered', detail});
    } else {
      const detail = firstReason(tagFilters, tag);
      if (detail === undefined) selected.push(tag);
      else notRead.push({tag, reason: 'filtered', detail});
    }
  }
  return {selected, notRead};
}

/** Whether less than everything is wanted. */
function hasFilters(filters: WishFilters): boolean {
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
  const compiled: TagFilter[] = [];
  const {tags = [], excludeTags = [], semver: range} = filters;
  const excludes = excludeTags.map((glob) => ({glob, matches: globMatcher(glob, '--exclude-tag')}));
  if (tags.length > 0) {
    const includes = tags.map((glob) => globMatcher(glob, '--tag'));
    compiled.push((tag) =>
      includes.some((matches) => matches(tag))
        ? undefined
        : `--tag ${tags.join(', ')} does not match`,
    );
  }
  compiled.push((tag) => {
    const exclude = excludes.find(({matches}) => matches(tag));
    return exclude && `--exclude-tag ${exclude.glob} matches`;
  });
  if (range !== undefined) compiled.push(semverFilter(range));
  return compiled;
}

/** Braces, classes and extended globs are as in bash; `*` takes any characters, a leading dot included. */
function globMatcher(glob: string, flag: string): (tag: string) => boolean {
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
  try {
    return picomatch(glob, {dot: true, nonegate: true, strictBrackets: true});
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw filterInvalid(`${flag} "${glob}" is not a glob: ${why}`, 'close every bracket', cause);
  }
}

/**
 * A tag counts as a version if node-semver reads it as one, with three numbers and perhaps a `v` before them; `_`
 * stands for `+`, which tags cannot have (Helm writes 1.0.0+build as 1.0.0_build). As everywhere with node-semver, a
 * prerelease is in a range only if the range names a prerelease of the same three numbers.
 */
function semverFilter(range: string): TagFilter {
  const parsed = range.trim() === '' ? null : validRange(range);
  if (parsed === null) {
    throw filterInvalid(
      `--semver "${range}" is not a range of versions`,
      'write it as npm does, for example "^1.2" or ">=2.0.0 <3"',
    );
  }
  return (tag) => {
    const version = parseVersion(tag.replace('_', '+'));
    if (version === null) return `--semver ${range}: not a version`;
    return satisfies(version, parsed) ? undefined : `--semver ${range}: not in the range`;
  };
}

export function filterInvalid(message: string, hint: string, cause?: unknown): TransshipError {
  return new TransshipError('FILTER_INVALID', message, {side: 'local', hint, cause});
}
