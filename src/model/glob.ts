import picomatch from 'picomatch';
import {re2} from './re2.ts';

/**
 * A glob over tags: braces, classes and extended globs are as in bash, and `*` takes any characters, a leading dot
 * included.
 */
const TAGS = {bash: true, dot: true, nonegate: true, posix: true, strictBrackets: true} as const;
/** A glob over paths, as in `.gitignore`. */
const PATHS = {dot: true, nonegate: true, noextglob: true} as const;

/** What picomatch writes for names that are neither empty nor `.` or `..`: no others are matched here. */
const NO_DOTS =
  /\(\?=\.\)|\(\?!(?:\(\?:(?:\^\|\\\/|\\\/\|\^)\)|\(\?:\^\|\\\/\))?\\\.\{1,2\}\(\?:\\\/\|\$\)\)/g;

/**
 * JavaScript tries all ways to match: with more wildcards than a few, a name that somebody else has chosen takes for
 * ever. RE2 takes linear time, but longer for what is simple, and it knows no lookahead, which `!(…)` needs. There, so
 * many wildcards take milliseconds.
 */
const LOOKAHEAD_WILDCARDS = 3;

/**
 * Whether names match a glob, in a time that is bounded whatever the name is.
 * @param kind paths have parts between `/`
 * @returns a clause: why it is no glob
 */
export function globMatcher(
  glob: string,
  kind: 'tags' | 'paths',
): ((name: string) => boolean) | string {
  let expression: string;
  try {
    expression = picomatch
      .makeRe(glob, kind === 'tags' ? TAGS : PATHS)
      .source.replaceAll(NO_DOTS, '');
  } catch (error) {
    return `is not a glob: ${error instanceof Error ? error.message : String(error)}`;
  }
  const matcher = new RegExp(expression);
  const wildcards = expression.match(/[*+]/g)?.length ?? 0;
  const isSimple = wildcards <= 2 && !/\)[*+]/.test(expression);
  const search = isSimple ? undefined : re2(expression);
  if (search !== undefined) return search;
  if (isSimple || wildcards <= LOOKAHEAD_WILDCARDS) return (name) => matcher.test(name);
  return 'has too many wildcards beside "!("';
}
