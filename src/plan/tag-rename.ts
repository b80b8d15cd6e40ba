import type {TagRename} from '../model/plan.ts';

/*
 * Renaming of tags by JavaScript's regular expressions, from a file that others may have written.
 *
 * The engine backtracks, so that a pattern can take exponential time. Because a tag has at most 128 characters, it is
 * enough to accept only patterns whose number of ways to match can be computed and is small: without repeated groups,
 * lookaround and back references, and with a bound on the product of the ways of all parts.
 */

/** The maximum characters of a pattern. */
const PATTERN_LIMIT = 200;
const TAG_LIMIT = 128;
/** Accepts three `.*`, but not four: some 400,000 ways, which take at most a few milliseconds for one tag. */
const WAYS_LIMIT = 500_000;

/** Why a pattern is refused, as a clause; undefined: it is valid. */
export function whyNotRenamePattern(pattern: string): string | undefined {
  if (pattern === '') return 'the pattern is empty';
  if (pattern.length > PATTERN_LIMIT)
    return `the pattern has more than ${PATTERN_LIMIT} characters`;
  try {
    wholeTag(pattern);
  } catch {
    return 'it is not a regular expression';
  }
  let ways = 1;
  let unbounded = 0;
  let previous = '';
  for (const [token] of pattern.matchAll(
    /\\k<|\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|:|<[^>]*>|.)|\{\d+(?:,\d*)?\}|./gs,
  )) {
    if (/^\(\?<?[=!]$/.test(token)) return `lookaround "${token}" is not allowed`;
    if (/^\\(?:[1-9]|k<)/.test(token)) return `back reference "${token}" is not allowed`;
    const repeats = repeatsOf(token);
    if (token.startsWith('{') && token.match(/\d+/g)?.some((n) => Number(n) > TAG_LIMIT) === true) {
      return `"${token}" repeats more often than a tag has characters (${TAG_LIMIT})`;
    }
    if (repeats !== undefined && previous === ')' && token !== '?') {
      return `a group repeated by "${token}" is not allowed: repeat a character or a class instead`;
    }
    // A `?` after another quantifier only makes that one lazy.
    if (token === '|') ways *= 2;
    else if (repeats === Infinity) {
      unbounded += 1;
      ways *= (TAG_LIMIT + unbounded) / unbounded;
    } else if (repeats !== undefined && repeatsOf(previous) === undefined) ways *= repeats;
    previous = token;
  }
  return ways > WAYS_LIMIT
    ? 'it has too many wildcards and alternatives: at most three of "*", "+" or "{n,}", fewer with others'
    : undefined;
}

/** The number of lengths that a quantifier can match; undefined: the token is not a quantifier. */
function repeatsOf(token: string): number | undefined {
  if (token === '*' || token === '+') return Infinity;
  if (token === '?') return 2;
  const [, low, comma, high] = /^\{(\d+)(,?)(\d*)\}$/.exec(token) ?? [];
  if (low === undefined) return undefined;
  if (comma === '') return 1;
  return high === '' ? Infinity : Math.max(1, Number(high) - Number(low) + 1);
}

/** Why a replacement does not fit its pattern, as a clause; undefined: it fits. The pattern must be valid. */
export function whyNotReplacement({pattern, replacement}: TagRename): string | undefined {
  const groups = new RegExp(`${wholeTag(pattern).source}|`, 'v').exec('');
  const numbered = (groups?.length ?? 1) - 1;
  for (const [token, number, name] of replacement.matchAll(REPLACEMENT)) {
    if (number !== undefined && (number === '0' || Number(number) > numbered)) {
      return `"${token}" names a group that the pattern does not have: it has ${numbered}`;
    }
    if (name !== undefined && !(name in (groups?.groups ?? {}))) {
      return `"${token}" names a group that the pattern does not have`;
    }
  }
  const wrong = /[^\w.-]/u.exec(replacement.replaceAll(REPLACEMENT, ''))?.[0];
  return wrong === undefined ? undefined : `"${wrong}" is not allowed in a tag`;
}

const REPLACEMENT = /\$(?:(\d)|<([^>]*)>|&)/g;

/**
 * Applies the first rename whose pattern matches the whole tag.
 * @returns a function that returns the new name, which may not be a valid tag, or the tag itself if no pattern matches
 */
export function tagRenamer(renames: readonly TagRename[]): (tag: string) => string {
  const compiled = renames.map(({pattern, replacement}) => ({
    regex: wholeTag(pattern),
    replacement,
  }));
  return (tag) => {
    if (tag.length > TAG_LIMIT) return tag;
    for (const {regex, replacement} of compiled) {
      const found = regex.exec(tag);
      if (found === null) continue;
      return replacement.replaceAll(REPLACEMENT, (token, number?: string, name?: string) =>
        token === '$&'
          ? tag
          : ((number === undefined ? found.groups?.[name ?? ''] : found[Number(number)]) ?? ''),
      );
    }
    return tag;
  };
}

function wholeTag(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})$`, 'v');
}
