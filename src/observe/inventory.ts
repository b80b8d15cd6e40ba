import type {Digest} from '../model/digest.ts';
import type {Manifest} from '../model/manifest.ts';
import type {Tag} from '../model/reference.ts';

/** What was seen at one source repository: plain data, for the planner. */
export interface SourceInventory {
  /** `host/path`. */
  readonly repository: string;
  /** What was asked for and found, by tag or by digest. Roots of referrers are in `attached`. */
  readonly roots: readonly SourceRoot[];
  /** Tags that were not read, with the reason. */
  readonly notRead: readonly {
    readonly tag: string;
    readonly reason: 'filtered' | 'invalid-name';
    readonly detail: string;
  }[];
  /** Every manifest that was read, by digest. */
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  /** Manifests that some index lists and the source does not have. */
  readonly missingManifests: ReadonlySet<Digest>;
  /** Blobs that have `urls` and that the source itself does not have. */
  readonly absentForeign: ReadonlySet<Digest>;
}

export type SourceRoot =
  | {
      readonly tag?: Tag;
      readonly digest: Digest;
      /**
       * `asked`: somebody asked for it. `referrer`: it has `subject`. `signature`: a cosign tag or a fallback tag
       * of `subject`, taken along though no filter names it.
       */
      readonly as: 'asked';
    }
  | {
      readonly tag?: Tag;
      readonly digest: Digest;
      readonly as: 'referrer' | 'signature';
      readonly subject: Digest;
    };

/** What was seen at one destination repository. */
export interface DestinationInventory {
  /** `host/path`. */
  readonly repository: string;
  /** False: there is no such repository yet, so nothing was asked about it. */
  readonly exists: boolean;
  /** Of the tags that matter, those that are there. */
  readonly tags: ReadonlyMap<Tag, Digest>;
  /** Of the manifests and blobs that matter, those that are known to be there. */
  readonly present: ReadonlySet<Digest>;
}
