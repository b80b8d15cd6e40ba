/** Orders by UTF-16 code units: the same on every machine, whatever its language. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Text in which numbers count as numbers: `service-9` before `service-10`. */
export function compareNatural(a: string, b: string): number {
  const [partsA, partsB] = [naturalParts(a), naturalParts(b)];
  for (const [at, part] of partsA.entries()) {
    const other = partsB[at];
    if (other === undefined) return 1;
    const order = comparePart(part, other);
    if (order !== 0) return order;
  }
  return partsA.length < partsB.length ? -1 : compareText(a, b);
}

/**
 * The items in the order of their tags: versions first, in their order (1.9 before 1.10, and by semver §11 1.0.0-rc.1 before
 * 1.0.0), then all other tags. Items without a tag come last.
 */
export function inTagOrder<T>(
  items: readonly T[],
  tagOf: (item: T) => string | undefined,
): readonly T[] {
  return items
    .map((item) => {
      const tag = tagOf(item);
      return {item, tag, version: tag === undefined ? undefined : versionOf(tag)};
    })
    .sort((a, b) => compareTags(a, b))
    .map(({item}) => item);
}

interface OrderedTag {
  readonly tag: string | undefined;
  readonly version: Version | undefined;
}

/** A tag that is read as a version; any count of numbers. */
interface Version {
  readonly numbers: readonly string[];
  /** What follows the numbers, such as `-rc.1`, `_build`. */
  readonly suffix: string;
}

const VERSION = /^v?(\d+(?:\.\d+)*)((?:[-+_].*)?)$/i;

function versionOf(tag: string): Version | undefined {
  const [, numbers, suffix = ''] = VERSION.exec(tag) ?? [];
  return numbers === undefined ? undefined : {numbers: numbers.split('.'), suffix};
}

function compareTags(a: OrderedTag, b: OrderedTag): number {
  if (a.tag === undefined || b.tag === undefined)
    return Number(a.tag === undefined) - Number(b.tag === undefined);
  if (a.version === undefined || b.version === undefined) {
    const kinds = Number(a.version === undefined) - Number(b.version === undefined);
    return kinds === 0 ? compareNatural(a.tag, b.tag) : kinds;
  }
  return compareVersions(a.version, b.version) || compareText(a.tag, b.tag);
}

/** An absent number is 0: 1.35 is 1.35.0. */
function compareVersions(a: Version, b: Version): number {
  const count = Math.max(a.numbers.length, b.numbers.length);
  for (let at = 0; at < count; at += 1) {
    const order = compareNumbers(a.numbers[at] ?? '0', b.numbers[at] ?? '0');
    if (order !== 0) return order;
  }
  return suffixRank(a.suffix) - suffixRank(b.suffix) || compareNatural(a.suffix, b.suffix);
}

/** `-` begins a pre-release, which comes before its version; anything else is a build of it. */
function suffixRank(suffix: string): number {
  if (suffix === '') return 1;
  return suffix.startsWith('-') ? 0 : 2;
}

const DIGITS = /^\d/;

function naturalParts(text: string): readonly string[] {
  return text.match(/\d+|\D+/g) ?? [];
}

function comparePart(a: string, b: string): number {
  return DIGITS.test(a) && DIGITS.test(b) ? compareNumbers(a, b) : compareText(a, b);
}

/** Of any length: a tag may hold more digits than a number keeps apart. */
function compareNumbers(a: string, b: string): number {
  const [one, two] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
  return one.length - two.length || compareText(one, two);
}
