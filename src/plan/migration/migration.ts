import type {FilePosition} from '../../model/file-problem.ts';
import type {TagRename, WishFilters} from '../../model/plan.ts';
import {parseAge} from '../age.ts';

/** A text in a migration file, with its position. */
export interface PlacedText {
  readonly text: string;
  readonly at: FilePosition;
}

/** The tags to select, as in the file: ages are relative to the time of planning. */
export interface TagRules {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly semver?: string;
  readonly newest?: number;
  readonly newerThan?: string;
}

/** A registry, with an optional path that all repositories are below. */
export interface RegistryRoot {
  /** As `canonicalRegistry` writes it. */
  readonly registry: string;
  /** Empty: the whole registry. */
  readonly prefix: string;
}

/** A route, with its defaults applied. */
export interface Route {
  readonly at: FilePosition;
  readonly source: RegistryRoot;
  /** A glob for paths below `source`. */
  readonly from: PlacedText;
  /** Globs for the same paths. */
  readonly exclude: readonly string[];
  /** Templates for paths below the root. */
  readonly to: readonly (PlacedText & {readonly root: RegistryRoot})[];
  /** A template like those of `to`, below the same root. */
  readonly project?: string;
  readonly tags: TagRules;
  readonly rename: readonly TagRename[];
  /** Empty: all platforms. */
  readonly platforms: readonly string[];
  readonly schema1: 'refuse' | 'convert';
  readonly foreignLayers: 'leave' | 'include' | 'convert';
  /** A file that lists the source's repositories, as given; `-` is stdin. Undefined: the source lists them. */
  readonly repositoriesFile?: string;
}

export interface CopyMigration {
  readonly kind: 'copy';
  readonly file: string;
  readonly routes: readonly Route[];
  /** Undefined: the file has no settings for GitLab. */
  readonly gitlab?: {
    readonly projects: 'require' | 'create';
    readonly groups: 'require' | 'create';
    readonly visibility: 'private' | 'internal' | 'public';
  };
  readonly deleteSource: 'never' | 'afterVerify';
  readonly prune: false | {readonly maxDeletes: number};
}

/** A project or a group that moves within a GitLab instance. */
export interface TransferMove {
  readonly at: FilePosition;
  readonly kind: 'project' | 'group';
  /** The full path. */
  readonly from: string;
  /** The new full path, or a namespace followed by `/`. */
  readonly to: string;
  /** As for `plan transfer --donor`; undefined: the default. */
  readonly donor?: string;
}

export interface TransferMigration {
  readonly kind: 'transfer';
  readonly file: string;
  /** The URL of the instance. */
  readonly gitlab: string;
  readonly createDonor: boolean;
  readonly moves: readonly TransferMove[];
}

export type Migration = CopyMigration | TransferMigration;

/** The filters of a route as a plan contains them. @param now the time from which ages are counted */
export function routeFilters(
  {tags, platforms, rename, schema1, foreignLayers}: Route,
  now: Date,
): WishFilters {
  const {include, exclude, semver, newest, newerThan} = tags;
  return {
    ...(include === undefined ? {} : {tags: include}),
    ...(exclude === undefined ? {} : {excludeTags: exclude}),
    ...(semver === undefined ? {} : {semver}),
    ...(newest === undefined ? {} : {newest}),
    ...(newerThan === undefined ? {} : {newerThan: parseAge(newerThan, now)}),
    ...(platforms.length === 0 ? {} : {platforms}),
    ...(schema1 === 'convert' ? {convertSchema1: true} : {}),
    ...(foreignLayers === 'include' ? {includeForeign: true} : {}),
    ...(foreignLayers === 'convert' ? {convertForeign: true} : {}),
    ...(rename.length === 0 ? {} : {rename}),
  };
}
