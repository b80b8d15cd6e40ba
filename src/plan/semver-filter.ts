import parseVersion from 'semver/functions/parse.js';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';
import {filterInvalid} from './filter-invalid.ts';
import type {TagFilter} from './filters.ts';

/**
 * A tag counts as a version if node-semver reads it as one, with three numbers and perhaps a `v` before them; `_`
 * stands for `+`, which tags cannot have (Helm writes 1.0.0+build as 1.0.0_build). As everywhere with node-semver, a
 * prerelease is in a range only if the range names a prerelease of the same three numbers.
 * @throws TransshipError FILTER_INVALID
 */
export function semverFilter(range: string): TagFilter {
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
