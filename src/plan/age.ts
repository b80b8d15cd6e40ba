import type {Digest} from '../model/digest.ts';
import type {WishFilters} from '../model/plan.ts';
import {compareText} from './compare.ts';
import {filterInvalid} from './filters.ts';

const UNIT_MS = {h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000} as const;
const AGE = /^(\d{1,6})([hdw])$/;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/**
 * Parses `--newer-than`: an age before `now` (`12h`, `90d`, `2w`), or a time (`2026-01-31` for midnight UTC, or ISO
 * 8601 with a time zone).
 * @param flag the flag's name, for the message
 * @returns the time in ISO 8601, UTC
 * @throws TransshipError FILTER_INVALID
 */
export function parseAge(text: string, now: Date, flag = '--newer-than'): string {
  const age = AGE.exec(text);
  const unit = age?.[2] as keyof typeof UNIT_MS | undefined;
  const time = unit
    ? now.getTime() - Number(age?.[1]) * UNIT_MS[unit]
    : ISO_TIME.test(text)
      ? Date.parse(text)
      : Number.NaN;
  const date = new Date(time);
  if (!Number.isNaN(date.getTime())) return date.toISOString();
  throw filterInvalid(
    `${flag} "${text}" is neither an age nor a time`,
    'write 12h, 90d, 2w or a date such as 2026-01-31',
  );
}

/** A tag and its digest. */
export interface TaggedDigest {
  readonly tag: string;
  readonly digest: Digest;
}

/**
 * Applies `--newer-than`, then `--newest`, to the tags of one repository. Times are compared in ms; of two equal times,
 * the tag that sorts first counts as newer. An image without a known creation time counts as older than every other
 * one: `--newer-than` excludes it, `--newest` selects it last.
 * @param created creation times (ISO 8601) by the digest that a tag points to
 * @returns the excluded tags with the reason; all others are selected
 * @throws TransshipError FILTER_INVALID
 */
export function tagsTooOld(
  tags: readonly TaggedDigest[],
  created: ReadonlyMap<Digest, string>,
  {newest, newerThan}: Pick<WishFilters, 'newest' | 'newerThan'>,
): ReadonlyMap<string, string> {
  if (newest !== undefined && !(Number.isSafeInteger(newest) && newest > 0)) {
    throw filterInvalid(`--newest ${newest} is not a number of tags`, 'write 1 or more');
  }
  const limit = newerThan === undefined ? -Infinity : Date.parse(newerThan);
  if (Number.isNaN(limit)) {
    throw filterInvalid(`--newer-than "${newerThan}" is not a time`, 'write it in ISO 8601');
  }
  const leftOut = new Map<string, string>();
  const dated = tags.map(({tag, digest}) => ({tag, time: timeOf(digest, created)}));
  const young = dated
    .filter(({time}) => newerThan === undefined || time > limit)
    .sort((a, b) => (a.time === b.time ? compareText(a.tag, b.tag) : b.time - a.time));
  const kept = new Set(young.slice(0, newest).map(({tag}) => tag));
  const youngTags = new Set(young.map(({tag}) => tag));
  for (const {tag, time} of dated) {
    if (kept.has(tag)) continue;
    if (youngTags.has(tag)) leftOut.set(tag, `not among the newest ${newest}`);
    else leftOut.set(tag, `not newer than ${newerThan}: ${whenText(time)}`);
  }
  return leftOut;
}

/** In ms since the epoch; -Infinity: unknown. */
export function timeOf(digest: Digest, created: ReadonlyMap<Digest, string> | undefined): number {
  const time = Date.parse(created?.get(digest) ?? '');
  return Number.isNaN(time) ? -Infinity : time;
}

function whenText(time: number): string {
  return time === -Infinity
    ? 'the time of creation is not known'
    : `created ${new Date(time).toISOString()}`;
}
