import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import type {ErrorData} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
import type {Platform} from '../model/platform.ts';
import type {Tag} from '../model/reference.ts';

/** What was seen at one source repository: plain data, for the planner. */
export interface SourceInventory {
  /** `host/path`. */
  readonly repository: string;
  /** What was asked for and found, by tag or by digest. Roots of referrers are in `attached`. */
  readonly roots: readonly SourceRoot[];
  /** What is listed and was left alone, or could not be had, with the reason. */
  readonly notRead: readonly NotRead[];
  /** What was asked for, or belongs to that, and holds something that is no manifest. */
  readonly unreadable?: readonly Unreadable[];
  /**
   * Every manifest that was read, by digest. The manifest of an asked root need not be there if the destination's tag
   * points to it already and no platforms are chosen: nothing of it is looked at then.
   */
  readonly manifests: ReadonlyMap<Digest, SeenManifest>;
  /** Manifests that some index lists and the source does not have. */
  readonly missingManifests: ReadonlySet<Digest>;
  /** Blobs that have `urls` and that the source itself does not have. */
  readonly absentForeign: ReadonlySet<Digest>;
  /** When what a root points to was created (ISO 8601), by the root's digest, as far as that was read. */
  readonly created?: ReadonlyMap<Digest, string>;
  /** The platforms of images by what their configs say, as far as those were read; an index may name none. */
  readonly platformOf?: ReadonlyMap<Digest, Platform>;
}

/** A tag, or a referrer without one, whose manifest cannot be read, and why. */
export interface Unreadable {
  readonly tag?: Tag;
  readonly digest?: Digest;
  readonly error: ErrorData;
}

/**
 * What is wrong with a manifest that cannot be read. One tag that holds nonsense must not keep the others back.
 * @throws all other errors: a registry that refuses does keep them back
 */
export function asUnreadable(error: unknown): ErrorData {
  if (!(error instanceof TransshipError) || !UNREADABLE.has(error.code)) throw error;
  const {code, side, message, hint} = error;
  return {code, side, message, hint};
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
  'MANIFEST_DIGEST_MISMATCH',
]);

/** A listed item that is skipped, and the reason. */
export interface NotRead {
  /** Absent: it is listed without a tag. */
  readonly tag?: string;
  readonly digest?: Digest;
  /**
   * `gone`: the source lists it and does not have its manifest. `unnamed`: an image in a layout without a name that is
   * a tag at the destination.
   */
  readonly reason: 'filtered' | 'invalid-name' | 'gone' | 'unnamed';
  readonly detail: string;
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
      /** The tag that it gets at the destination, where that is not `tag`. */
      readonly toTag?: Tag;
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
