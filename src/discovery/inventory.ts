import type {ErrorData} from '../model/event.ts';

/** How much of each repository is read: only the list of tags, or manifests and configs as well. */
export type InventoryDepth = 'tags' | 'images';

/** The repositories of a host. Sizes are the stored, compressed sizes of configs and layers, in bytes. */
export interface Inventory {
  /** `host[:port]` of references. */
  readonly host: string;
  /** Only repositories at or below this path were read; empty: the whole host. */
  readonly prefix: string;
  readonly depth: InventoryDepth;
  /** In the order of their names. */
  readonly repositories: readonly RepositoryInventory[];
  /** Parts of the host whose repositories could not be listed. */
  readonly unlisted: readonly {readonly part: string; readonly error: ErrorData}[];
  readonly totals: InventoryTotals;
}

/** The content of one repository. */
export interface RepositoryInventory {
  /** The path without the host. */
  readonly repository: string;
  /** The time of its last change (ISO 8601), if the list of repositories contains it. */
  readonly updated?: string;
  /** Why it could not be read; all members below are then absent. */
  readonly error?: ErrorData;
  /** The number of listed tags, and of those that the filters select. */
  readonly tags?: number;
  readonly selected?: number;
  /** The images of the selected tags. Only at depth `images`. */
  readonly images?: ImagesInventory;
}

/** The images of one repository. */
export interface ImagesInventory {
  /** Distinct manifests that the selected tags point to. */
  readonly count: number;
  /** `os/architecture[/variant]`, sorted. */
  readonly platforms: readonly string[];
  /** The size of the repository's distinct blobs. */
  readonly bytes: number;
  /** The part of `bytes` in blobs that another repository of the inventory has, too. */
  readonly sharedBytes: number;
  /** The image with the latest creation time in its config. */
  readonly newest?: {readonly tag: string; readonly created: string};
  /** Selected tags that cannot be read. */
  readonly unreadable: readonly {readonly tag: string; readonly error: ErrorData}[];
}

/** Sums over all repositories. */
export interface InventoryTotals {
  readonly repositories: number;
  /** Repositories that could not be read, at all or in part, and parts of the host that could not be listed. */
  readonly failed: number;
  readonly tags: number;
  readonly selected: number;
  /** This member and all below are absent at depth `tags`. */
  readonly images?: number;
  /** The number of distinct blobs, and their size. */
  readonly blobs?: number;
  readonly bytes?: number;
  /** The sum of the sizes of the repositories, minus `bytes`. */
  readonly sharedBytes?: number;
}
