import parseVersion from 'semver/functions/parse.js';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';
import {filterInvalid} from './filter-invalid.ts';
import type {TagFilter} from './filters.ts';

/** One or two numbers, perhaps with a `v` before them and a suffix behind. */
const PARTIAL = /^v?(\d+)(?:\.(\d+))?((?:[-+].*)?)$/;

/**
 * A tag counts as a version if node-semver reads it as one, with three numbers and perhaps a `v` before them; `_`
 * stands for `+`, which tags cannot have (Helm writes 1.0.0+build as 1.0.0_build). As everywhere with node-semver, a
 * prerelease is in a range only if the range names a prerelease of the same three numbers.
 *
 * One or two numbers count as well: `1.35` is 1.35.0. What follows them (`1.35-amd64`) is no prerelease by semver's rules
 * and takes nothing out of a range (regclient: internal/semver/semver.go, `Check`).
 * @throws TransshipError FILTER_INVALID
 */
export function semverFilter(range: string): TagFilter {
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
    if (version === null) return `--semver ${range}: not a version`;
    if (satisfies(version, parsed, {includePrerelease: isPartial})) return undefined;
    const isOnlyEarly = satisfies(version, parsed, {includePrerelease: true});
    return `--semver ${range}: ${isOnlyEarly ? 'is a pre-release, which the range does not name' : 'not in the range'}`;
  };
}
