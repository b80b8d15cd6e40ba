import {type Digest, shortDigest} from '../model/digest.ts';
import {LIMIT_FLAGS, type LimitCode} from '../model/outcome.ts';
import {printableJsonText} from '../model/json.ts';
import {nameOf} from '../model/place.ts';
import {UNPRINTABLE_CLASS} from '../model/reference.ts';

const UNPRINTABLE = new RegExp(`[${UNPRINTABLE_CLASS}]`, 'gu');

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `1 image`, `2 images`, `2 repositories`. */
export function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}

/** `: 297 new, 3 tags move`, to be put behind a number of images; empty where no tag moves. */
export function newAndMoving(images: number, moving: number, one: string, many: string): string {
  if (moving === 0) return '';
  return `: ${images - moving} new, ${counted(moving, 'tag')} ${moving === 1 ? one : many}`;
}

/** `host/path:tag`, without a tag `host/path@sha256:abcdef012345`. */
export function imageName(
  repository: string,
  tag: string | undefined,
  digest: Digest | undefined,
): string {
  return nameOf(repository, tag, digest && shortDigest(digest));
}

/**
 * JSON that is as harmless to a terminal and to the eye as `printable` text, and the same JSON to a parser.
 * @param space as of `JSON.stringify`
 */
export function printableJson(value: unknown, space?: number): string {
  return printableJsonText(JSON.stringify(value, null, space));
}

/**
 * Text from outside on one line, harmless to a terminal and to the eye: what would move the cursor, change colours or
 * hide other text is written as `\u{1b}`.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}}`,
  );
}

/** Platforms that a cell names. */
const PLATFORMS_SHOWN = 3;

/** `linux/amd64 linux/arm64 linux/arm/v7 +2`; none: `-`. */
export function platformsText(platforms: readonly string[]): string {
  const more = platforms.length - PLATFORMS_SHOWN;
  const shown = platforms.slice(0, PLATFORMS_SHOWN).join(' ');
  return platforms.length === 0 ? '-' : more > 0 ? `${shown} +${more}` : shown;
}

/** How the summary of an interrupted run begins. @param limit what ended it; undefined: a signal */
export function interruptedWord(limit: LimitCode | undefined): string {
  return limit === undefined ? 'Interrupted' : `Stopped by ${LIMIT_FLAGS[limit]}`;
}

/** Bytes for people, in IEC units with one decimal: `1023 B`, `1.0 KiB`, `3.4 MiB`. Fractions of a byte are rounded. */
export function formatBytes(bytes: number): string {
  if (Math.round(bytes) < 1024) return `${Math.round(bytes)} B`;
  let size = bytes / 1024;
  let unit = 0;
  // 1023.95 would be printed as 1024.0.
  while (size >= 1023.95 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size.toFixed(1)} ${UNITS[unit]}`;
}

/** A time for people, rounded up: `26 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
