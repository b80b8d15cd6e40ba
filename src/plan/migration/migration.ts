import type {FilePosition} from '../../model/file-problem.ts';
import type {TagRename, WishFilters} from '../../model/plan.ts';
import {parseAge} from '../age.ts';

/** A text of a migration file and where it stands. */
export interface PlacedText {
  readonly text: string;
  readonly at: FilePosition;
}

/** Which tags, as in the file: ages are relative to the time at which a plan is made. */
export interface TagRules {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly semver?: string;
  readonly newest?: number;
  readonly newerThan?: string;
}

/** A registry and perhaps a path that everything is below. */
export interface RegistryRoot {
  /** As `canonicalRegistry` writes it. */
  readonly registry: string;
  /** Empty: the whole registry. */
  readonly prefix: string;
}

/** A route with its defaults merged in. */
export interface Route {
  readonly at: FilePosition;
  readonly source: RegistryRoot;
  /** A glob over the paths below `source`. */
  readonly from: PlacedText;
  /** Globs over the same paths. */
  readonly exclude: readonly string[];
  /** Templates of paths below the root. */
  readonly to: readonly (PlacedText & {readonly root: RegistryRoot})[];
  /** A template like those of `to`, below the same root. */
  readonly project?: string;
  readonly tags: TagRules;
  readonly rename: readonly TagRename[];
  /** None: all. */
  readonly platforms: readonly string[];
  readonly schema1: 'refuse' | 'convert';
  readonly foreignLayers: 'leave' | 'include' | 'convert';
  /** The file with the source's repositories, as written; `-` is stdin. Undefined: the source is asked. */
  readonly repositoriesFile?: string;
}

export interface CopyMigration {
  readonly kind: 'copy';
  readonly file: string;
  readonly routes: readonly Route[];
  /** Undefined: the file does not say anything about GitLab. */
  readonly gitlab?: {
    readonly projects: 'require' | 'create';
    readonly groups: 'require' | 'create';
    readonly visibility: 'private' | 'internal' | 'public';
  };
  readonly deleteSource: 'never' | 'afterVerify';
  readonly prune: false | {readonly maxDeletes: number};
}

/** A project or a group moves inside one GitLab instance. */
export interface TransferMove {
  readonly at: FilePosition;
  readonly kind: 'project' | 'group';
  /** Full path. */
  readonly from: string;
  /** The new full path, or a namespace followed by `/`. */
  readonly to: string;
  /** As `plan transfer --donor` takes it; undefined: its default. */
  readonly donor?: string;
}

export interface TransferMigration {
  readonly kind: 'transfer';
  readonly file: string;
  /** The address of the instance. */
  readonly gitlab: string;
  readonly createDonor: boolean;
  readonly moves: readonly TransferMove[];
}

export type Migration = CopyMigration | TransferMigration;

/** The filters of a route, as a plan has them. @param now ages are counted back from it */
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
