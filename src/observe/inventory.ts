import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {type ErrorData, errorData} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
import type {Platform} from '../model/platform.ts';
import type {Tag} from '../model/reference.ts';
import type {ConversionFacts} from './convert-images.ts';

/** The content of one source repository: plain data, for the planner. */
export interface SourceInventory {
  /** `host/path`. */
  readonly repository: string;
  /** Requested images that were found, and their attachments, by tag or by digest. */
  readonly roots: readonly SourceRoot[];
  /** Listed items that were skipped or could not be read, with the reason. */
  readonly notRead: readonly NotRead[];
  /** Requested images and attachments whose content is not a valid manifest. */
  readonly unreadable?: readonly Unreadable[];
  /**
   * Every manifest that was read, by digest. If the destination's tag has the same digest, the manifest of a requested
   * root may be absent, unless platforms are selected.
   */
  readonly manifests: ReadonlyMap<Digest, SeenManifest>;
  /** Manifests that an index lists but the source does not have. */
  readonly missingManifests: ReadonlySet<Digest>;
  /** Names of files of its images that cannot be copied to other places. */
  readonly uncopied?: readonly string[];
  /** Why the digests of its images are new, as a clause; absent: the images were pushed with them. */
  readonly whyNewDigests?: string;
  /** Foreign layers that the source does not have. */
  readonly absentForeign: ReadonlySet<Digest>;
  /** The results of the requested conversions. */
  readonly converted?: ConversionFacts;
  /** Creation times (ISO 8601) by the digest of the root, as far as they were read. */
  readonly created?: ReadonlyMap<Digest, string>;
  /** The platforms of images from their configs, as far as those were read; an index may not name any. */
  readonly platformOf?: ReadonlyMap<Digest, Platform>;
}

/** A tag, or a referrer without one, whose manifest cannot be read, and why. */
export interface Unreadable {
  readonly tag?: Tag;
  readonly digest?: Digest;
  readonly error: ErrorData;
}

/**
 * The error of a manifest that cannot be read. One invalid tag must not prevent copying the others.
 * @throws all other errors: a refusal of the registry concerns all tags
 */
export function asUnreadable(error: unknown): ErrorData {
  if (!(error instanceof TransshipError) || !UNREADABLE.has(error.code)) throw error;
  return errorData(error);
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
  'MANIFEST_DIGEST_MISMATCH',
]);

/** A listed item that is skipped, and the reason. */
export interface NotRead {
  /** Absent: the item has no tag. */
  readonly tag?: string;
  readonly digest?: Digest;
  /**
   * `gone`: the source lists it but does not have its manifest. `unnamed`: an image in a layout without a name that is
   * a tag at the destination. `misnamed`: its new name is not a tag.
   */
  readonly reason: 'filtered' | 'invalid-name' | 'misnamed' | 'gone' | 'unnamed';
  readonly detail: string;
}

/** An image or attachment to copy. */
export type SourceRoot =
  | {
      readonly tag?: Tag;
      readonly digest: Digest;
      /**
       * `asked`: requested by the user. `referrer`: it has `subject`. `signature`: a cosign tag or a fallback tag of
       * `subject`, included although no filter selects it.
       */
      readonly as: 'asked';
      /** The tag at the destination, if it differs from `tag`. */
      readonly toTag?: Tag;
    }
  | {
      readonly tag?: Tag;
      readonly digest: Digest;
      readonly as: 'referrer' | 'signature';
      readonly subject: Digest;
    };

/** The content of one destination repository. */
export interface DestinationInventory {
  /** `host/path`. */
  readonly repository: string;
  /** False: the repository does not exist yet; nothing else was looked up. */
  readonly exists: boolean;
  /** The relevant tags that exist. */
  readonly tags: ReadonlyMap<Tag, Digest>;
  /** The relevant manifests and blobs that are known to exist. */
  readonly present: ReadonlySet<Digest>;
}
