import {type Command, InvalidArgumentError, Option} from 'commander';
import {parseAge} from '../plan/age.ts';
import {parseByteSize} from '../plan/byte-size.ts';
import type {WishFilters} from '../model/plan.ts';
import {COLOR_CHOICES, PROGRESS_KINDS, type ProgressFlags} from './reporters/choose.ts';
import {repeatable} from './variables.ts';

/** Flags of all commands that access registries. */
export interface HostFlags {
  readonly authfile?: string;
  readonly plainHttp?: readonly string[];
  readonly caFile?: string;
  readonly insecure?: readonly string[];
  readonly allowUnsafeRedirects?: readonly string[];
  readonly archiveParts?: readonly string[];
  /** Whether content of sources is cached for later runs. Only commands with this flag do that. */
  readonly cache?: boolean;
}

export interface ChoiceFlags {
  readonly tag?: readonly string[];
  readonly excludeTag?: readonly string[];
  readonly semver?: string;
  readonly newest?: number;
  readonly newerThan?: string;
  readonly platform?: readonly string[];
}

export interface FilterFlags extends ChoiceFlags {
  readonly deleteSource?: boolean;
  readonly convertSchema1?: boolean;
  readonly includeForeign?: boolean;
  readonly convertForeign?: boolean;
  /** False: existing tags are kept. This is how commander represents `--no-clobber`. */
  readonly clobber: boolean;
  readonly allowEmpty?: boolean;
}

export interface ArchiveFlags {
  /** The size of each part of an archive, in bytes. */
  readonly archiveSize?: number;
}

export interface RunFlags extends ProgressFlags {
  readonly journal?: string;
  readonly onFailure: 'continue' | 'stop';
  readonly jobs?: number;
  readonly chunkSize?: number;
  /** In bytes per second. */
  readonly limitRate?: number;
}

/** Where the data to restore deleted tags is stored. */
export interface UndoFlags {
  /** A file; false: nothing is stored; absent: the file beside the plan. */
  readonly undo?: string | false;
}

/** Limits that end a run early. */
export interface LimitFlags {
  /** Bytes that are sent for blobs. */
  readonly maxBytes?: number;
  /** In ms from the beginning of the run. */
  readonly maxDuration?: number;
  /** Tags that a copy plan deletes. */
  readonly maxDeletes?: number;
}

/** Parses flags that may be repeated. */
export const collect = repeatable((value: string, before: readonly string[] = []) => [
  ...before,
  value,
]);

export function addHostFlags(command: Command): Command {
  return command
    .option('--authfile <file>', 'credentials file, in the format of docker config.json')
    .option('--plain-http <host>', 'use HTTP without TLS for this host (repeatable)', collect)
    .option('--ca-file <file>', 'also trust the CA certificates in this PEM file')
    .option(
      '--insecure <host>',
      'do not verify the TLS certificate of this host (repeatable)',
      collect,
    )
    .option(
      '--allow-unsafe-redirects <host>',
      'follow redirects of this host from https to http and to private addresses (repeatable)',
      collect,
    )
    .option(
      '--archive-parts <dir>',
      'also look for parts of archives in this directory (repeatable)',
      collect,
    );
}

/**
 * The minimum size of a part, in bytes: smaller ones would contain few layers, and an archive has at most 999 parts.
 */
const SMALLEST_PART = 64 * 1024;

/** For commands that make plans whose destination may be an archive. */
export function addArchiveSizeFlag(command: Command): Command {
  return command.option(
    '--archive-size <size>',
    'write archives in numbered parts of this size, such as 4GiB',
    (text) => {
      const bytes = byteSize(text);
      if (bytes >= SMALLEST_PART) return bytes;
      throw new InvalidArgumentError('write a size of at least 64KiB');
    },
  );
}

/** For copies: sources may have quotas, and destinations may have the blobs in other repositories. */
export function addCacheFlag(command: Command): Command {
  return command.option('--no-cache', 'do not use the cache of manifests and blob locations');
}

export function addFilterFlags(command: Command): Command {
  return addChoiceFlags(command)
    .option('--no-clobber', 'do not move tags that point to another image at the destination')
    .option('--allow-empty', 'exit 0 if the filters match nothing')
    .option('--convert-schema1', 'copy images of Docker schema 1 as images of schema 2')
    .option('--include-foreign', 'copy foreign layers as well, from the source or their URLs')
    .option('--convert-foreign', 'copy foreign layers and make ordinary layers of them')
    .option(
      '--delete-source',
      'delete each tag at the source once its image is verified at the destination',
    );
}

/** The filters that depend only on the source. */
export function addChoiceFlags(command: Command): Command {
  return command
    .option('--tag <glob>', 'only tags that match (repeatable)', collect)
    .option('--exclude-tag <glob>', 'no tags that match (repeatable)', collect)
    .option('--semver <range>', 'only tags that are versions in this range')
    .option('--newest <n>', 'only the n newest images', wholeNumber)
    .option('--newer-than <age>', 'only images newer than 12h, 90d, 2w or a date')
    .option(
      '--platform <os/arch>',
      'only these platforms of each image (repeatable; default: all)',
      collect,
    );
}

export function addRunFlags(command: Command): Command {
  return addProgressFlag(command)
    .option('--journal <file>', 'record progress in this file')
    .addOption(
      new Option('--on-failure <policy>', 'what to do with the other images when one fails')
        .choices(['continue', 'stop'])
        .default('continue'),
    )
    .option('--jobs <n>', 'blobs to copy at once (default: automatic)', wholeNumber)
    .option('--chunk-size <size>', 'size of upload chunks, such as 32MiB', chunkSize)
    .option('--limit-rate <rate>', 'bytes per second in total, such as 10MiB', byteSize);
}

/** For commands that can be ended at any point. */
export function addLimitFlags(command: Command): Command {
  return command
    .option('--max-bytes <size>', 'stop when so many bytes were sent, such as 100GiB', byteSize)
    .option('--max-duration <time>', 'stop after this time, such as 90m, 4h or 2d', duration)
    .option('--max-deletes <n>', 'stop before more tags are deleted (copies only)', wholeNumber);
}

export function addProgressFlag(command: Command): Command {
  return command
    .addOption(
      new Option('--progress <kind>', 'how to show progress, on stderr')
        .choices(PROGRESS_KINDS)
        .default('auto'),
    )
    .addOption(
      new Option('--color <when>', 'colors in the progress on a terminal').choices(COLOR_CHOICES),
    )
    .option('--verbose', 'in progress by lines, a line for each finished image');
}

/** @param formats the first one is the default */
export function addFormatFlag(command: Command, formats: readonly string[]): Command {
  const [first = 'text'] = formats;
  return command.addOption(
    new Option('--format <format>', 'output format, on stdout').choices(formats).default(first),
  );
}

/** The filters that were given. @throws TransshipError FILTER_INVALID */
export function wishFilters(flags: FilterFlags, now: Date): WishFilters {
  const {tag, excludeTag, semver, newest, newerThan, platform, clobber, allowEmpty} = flags;
  return {
    ...(tag === undefined ? {} : {tags: tag}),
    ...(excludeTag === undefined ? {} : {excludeTags: excludeTag}),
    ...(semver === undefined ? {} : {semver}),
    ...(newest === undefined ? {} : {newest}),
    ...(newerThan === undefined ? {} : {newerThan: parseAge(newerThan, now)}),
    ...(platform === undefined ? {} : {platforms: platform}),
    ...(clobber ? {} : {noClobber: true}),
    ...(allowEmpty === true ? {allowEmpty} : {}),
    ...(flags.convertSchema1 === true ? {convertSchema1: true} : {}),
    ...(flags.includeForeign === true ? {includeForeign: true} : {}),
    ...(flags.convertForeign === true ? {convertForeign: true} : {}),
  };
}

export function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('write a whole number, 1 or more');
}

/** The minimum chunk size, in bytes: a smaller one is a mistake, because each chunk is a request. */
const SMALLEST_CHUNK = 4096;

function chunkSize(text: string): number {
  const bytes = byteSize(text);
  if (bytes >= SMALLEST_CHUNK) return bytes;
  throw new InvalidArgumentError('write a size of at least 4KiB');
}

/** Parses a size such as 32MiB, in bytes. */
export function byteSize(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError('write a size such as 32MiB');
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Parses a duration, in ms. */
function duration(text: string): number {
  const match = /^([1-9]\d{0,5})([smhdw])$/.exec(text);
  const ms = Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN);
  if (!Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError('write a time such as 90m, 4h or 2d');
}
