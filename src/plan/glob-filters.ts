import picomatch from 'picomatch';
import {filterInvalid} from './filter-invalid.ts';
import type {TagFilter} from './filters.ts';

/** Only tags that one of these globs matches. @throws TransshipError FILTER_INVALID */
export function includingFilter(globs: readonly string[]): TagFilter {
  const includes = globs.map((glob) => globMatcher(glob, '--tag'));
  return (tag) =>
    includes.some((matches) => matches(tag))
      ? undefined
      : `--tag ${globs.join(', ')} does not match`;
}

/** No tags that one of these globs matches. @throws TransshipError FILTER_INVALID */
export function excludingFilter(globs: readonly string[]): TagFilter {
  const excludes = globs.map((glob) => ({glob, matches: globMatcher(glob, '--exclude-tag')}));
  return (tag) => {
    const exclude = excludes.find(({matches}) => matches(tag));
    return exclude && `--exclude-tag ${exclude.glob} matches`;
  };
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
