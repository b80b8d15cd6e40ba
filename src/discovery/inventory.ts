import type {ErrorData} from '../model/event.ts';

/** What is read of repositories: only the lists of tags, or manifests and configs as well. */
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

export interface RepositoryInventory {
  /** The path without the host. */
  readonly repository: string;
  /** When something in it changed last (ISO 8601), where the list of repositories says so. */
  readonly updated?: string;
  /** Why it could not be read; the other members are absent then. */
  readonly error?: ErrorData;
  /** Tags that are listed, and those that the filters leave. */
  readonly tags?: number;
  readonly selected?: number;
  /** What the selected tags point to. Only at depth `images`. */
  readonly images?: ImagesInventory;
}

export interface ImagesInventory {
  /** Distinct manifests that the selected tags point to. */
  readonly count: number;
  /** `os/architecture[/variant]`, sorted. */
  readonly platforms: readonly string[];
  /** Of the repository's distinct blobs. */
  readonly bytes: number;
  /** Of those, the ones that another repository of the inventory has, too. */
  readonly sharedBytes: number;
  /** The image whose config has the latest time of creation. */
  readonly newest?: {readonly tag: string; readonly created: string};
  /** Selected tags that cannot be read. */
  readonly unreadable: readonly {readonly tag: string; readonly error: ErrorData}[];
}

export interface InventoryTotals {
  readonly repositories: number;
  /** Repositories that could not be read, at all or in part, and parts of the host that could not be listed. */
  readonly failed: number;
  readonly tags: number;
  readonly selected: number;
  /** Absent at depth `tags`, as all below. */
  readonly images?: number;
  /** Distinct blobs, and their bytes: each once, however many repositories have it. */
  readonly blobs?: number;
  readonly bytes?: number;
  /** The sum of the sizes of the repositories, less `bytes`. */
  readonly sharedBytes?: number;
}
