/** Orders by UTF-16 code units, and so in the same way on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Orders text with embedded numbers by their value: `service-9` before `service-10`. */
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
 * Sorts items by their tags: versions first, in their order (1.9 before 1.10; by semver §11, 1.0.0-rc.1 before 1.0.0),
 * then all other tags. Items without a tag come last.
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

/** A tag read as a version, with any number of components. */
interface Version {
  readonly numbers: readonly string[];
  /** The text after the numbers, such as `-rc.1` or `_build`. */
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

/** A missing number counts as 0: 1.35 equals 1.35.0. */
function compareVersions(a: Version, b: Version): number {
  const count = Math.max(a.numbers.length, b.numbers.length);
  for (let at = 0; at < count; at += 1) {
    const order = compareNumbers(a.numbers[at] ?? '0', b.numbers[at] ?? '0');
    if (order !== 0) return order;
  }
  return suffixRank(a.suffix) - suffixRank(b.suffix) || compareNatural(a.suffix, b.suffix);
}

/** A suffix with `-` is a pre-release, which precedes its version; any other suffix is a build. */
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

/** Compares numbers of any length: a tag may have more digits than a JavaScript number is precise for. */
function compareNumbers(a: string, b: string): number {
  const [one, two] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
  return one.length - two.length || compareText(one, two);
}
