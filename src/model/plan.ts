import type {DeleteWish} from './delete-wish.ts';
import type {Conversion} from './conversion.ts';
import type {Digest} from './digest.ts';
import type {ErrorCode} from './error-codes.ts';
import type {FilePosition} from './file-problem.ts';
import type {FindingCode} from './finding-codes.ts';
import type {Tag} from './reference.ts';
import type {TransferPlan} from './transfer-plan.ts';

/** The format of plan files that this version writes and reads. */
export const PLAN_FORMAT = 2;

/** What the user asked for, as written. */
export interface Wish {
  /** At least one, unless tags are only deleted. */
  readonly routes: readonly RouteWish[];
  /** Delete at the source what was verified at every destination. */
  readonly deleteSource?: boolean;
  /** The size of the parts of archives, in bytes. Absent: archives are written as one file. */
  readonly archiveSize?: number;
  /** Repositories whose tags are deleted by rules. */
  readonly deletes?: readonly DeleteWish[];
}

/** One source and one destination as written: a reference, or, in a migration file, a pattern for many repositories. */
export interface RouteWish {
  readonly source: string;
  readonly destination: string;
  /** As written. */
  readonly filters: WishFilters;
  /** Its position in a migration file. */
  readonly at?: FilePosition & {readonly file: string};
}

/**
 * A source repository and a destination repository that receives its images: `host/path`, or a transport with a file.
 */
export interface PlannedRoute {
  readonly from: string;
  readonly to: string;
  /** The index of its `RouteWish`. */
  readonly wish: number;
}

/** Filters and options of a route. */
export interface WishFilters {
  /** Globs, one of which a tag must match. Absent: any tag. */
  readonly tags?: readonly string[];
  /** Globs that a tag must not match. */
  readonly excludeTags?: readonly string[];
  /** A range as in node-semver. */
  readonly semver?: string;
  /** How many of the newest images to copy, by the creation time in the image config. */
  readonly newest?: number;
  /** Copy only images created after this time (ISO 8601). */
  readonly newerThan?: string;
  /** `os/architecture[/variant]`. Absent: all platforms. */
  readonly platforms?: readonly string[];
  /** New names of tags: the first pattern that matches is used. */
  readonly rename?: readonly TagRename[];
  /** Do not change tags that point to another image at the destination. */
  readonly noClobber?: boolean;
  /** Allow filters that select nothing, which otherwise forbid the plan. */
  readonly allowEmpty?: boolean;
  /** Convert images of Docker schema 1 to schema 2. */
  readonly convertSchema1?: boolean;
  /** Copy foreign layers too, from the source or from their URLs. */
  readonly includeForeign?: boolean;
  /** The same, and change them to ordinary layers. */
  readonly convertForeign?: boolean;
}

/** Pattern and replacement; the pattern must match the whole tag (plan/tag-rename.ts). */
export interface TagRename {
  readonly pattern: string;
  readonly replacement: string;
}

/** A manifest of the plan's graph. Its bytes are read from `from` by digest when the plan is applied. */
export interface PlannedManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /** Child manifests that are copied with it, in the manifest's order. */
  readonly manifests: readonly Digest[];
  /** Blobs that it needs, in the manifest's order, each once. */
  readonly blobs: readonly Digest[];
  /**
   * Of an image, `os/architecture[/variant]`, as the index that lists it says, or else its config, if that was read.
   * Absent: not known. Attestations have BuildKit's `unknown/unknown`.
   */
  readonly platform?: string;
  /** The manifest it refers to. */
  readonly subject?: Digest;
  /**
   * Set if the bytes differ from the source's: an index reduced to some of its manifests, as requested by `--platform`.
   * It is created again from the source's bytes when the plan is applied.
   */
  readonly cutFrom?: {readonly digest: Digest; readonly keep: readonly Digest[]};
  /**
   * Set if the manifest is a conversion of the source's, as requested by the user. It is created again in the same way.
   */
  readonly convertedFrom?: Conversion;
}

/**
 * One image (or artifact) to be copied: its blobs, its manifests children first, then the tag.
 * `from` and `to` are repositories as `host/path`.
 */
export interface CopyStep {
  readonly kind: 'copy';
  /** Unique in the plan, the same in each plan of the same work. */
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** The manifest that is to be at `to`. */
  readonly digest: Digest;
  /** The tag at the destination; absent: it is pushed only by digest (a referrer). */
  readonly tag?: Tag;
  /** The tag at the source, and its digest when planning, to detect drift; absent: found by digest. */
  readonly sourceTag?: {readonly name: Tag; readonly digest: Digest};
  /** What `tag` pointed to at the destination when planning; null: nothing. */
  readonly replaces: Digest | null;
  /**
   * Manifests in the order in which they are pushed; `digest` is the last. Manifests that are known to be at `to` are
   * omitted. Each of several steps that share a manifest lists it, so that none of them depends on another.
   */
  readonly manifests: readonly Digest[];
  /** Steps that must be done first: the subject of a referrer. */
  readonly needs: readonly string[];
  /** Why this step is there, for people. */
  readonly why: string;
  readonly estimate: StepEstimate;
}

/** GitLab: lib/gitlab/visibility_level.rb. */
export type Visibility = 'private' | 'internal' | 'public';

/** A GitLab group or project to create before images are copied into it. */
export interface CreateStep {
  readonly kind: 'create-group' | 'create-project';
  /** Unique in the plan, the same in each plan of the same work. */
  readonly id: string;
  /** The URL of the instance, without a trailing slash. */
  readonly gitlab: string;
  /** Its registry, `host[:port]`: copies into `registry/path` and below it wait for this step. */
  readonly registry: string;
  /** Full path. */
  readonly path: string;
  readonly visibility: Visibility;
  /** The step that creates its parent group, if any. */
  readonly needs: readonly string[];
  /** Why this step is there, for people. */
  readonly why: string;
  readonly estimate: StepEstimate;
}

/**
 * Why a tag is deleted. `moved`: its image was copied, and is to be deleted at the source. `pruned`: an earlier plan
 * copied it, and the source no longer has it. `rule`: the rules of `plan delete` select it.
 */
export const DELETE_REASONS = ['moved', 'pruned', 'rule'] as const;

/**
 * A tag, or a referrer without one, to delete, provided that it has not changed since planning. Nothing else is
 * deleted: a manifest that other tags or an index still need is kept.
 */
export interface DeleteStep {
  readonly kind: 'delete';
  /** Unique in the plan, the same in each plan of the same work. */
  readonly id: string;
  /** `host/path`. */
  readonly repository: string;
  /** Absent: a referrer, which is deleted by its digest. */
  readonly tag?: Tag;
  /** What the tag pointed to when planning. */
  readonly digest: Digest;
  readonly reason: (typeof DELETE_REASONS)[number];
  /**
   * Where this very digest has to be verified in the run that deletes: every destination of a `moved` image, whether
   * the plan copies it there or found it there. Empty for the other reasons.
   */
  readonly verified: readonly {readonly to: string; readonly tag?: Tag}[];
  /** Deletions of the same repository that come before: of the subject of a signature, of an index that lists it. */
  readonly needs: readonly string[];
  /** Why this step is there, for people. */
  readonly why: string;
  readonly estimate: StepEstimate;
}

/** What a step of a plan of copies does. In a plan all of a kind stand together, in this order. */
export type PlanStep = CreateStep | CopyStep | DeleteStep;

/** The images that a plan copies. */
export function copiesOf({steps}: Pick<CopyPlan, 'steps'>): readonly CopyStep[] {
  return steps.filter((step) => step.kind === 'copy');
}

/** What a plan creates, parents first. */
export function creationsOf({steps}: Pick<CopyPlan, 'steps'>): readonly CreateStep[] {
  return steps.filter((step) => step.kind !== 'copy' && step.kind !== 'delete');
}

/** What a plan deletes, once all copies are done. */
export function deletionsOf({steps}: Pick<CopyPlan, 'steps'>): readonly DeleteStep[] {
  return steps.filter((step) => step.kind === 'delete');
}

/**
 * What a step costs if nothing fails. What several steps share counts for the first of them, so that the estimates of
 * all steps add up to what the plan costs.
 */
export interface StepEstimate {
  /** Bytes of blobs that have to be sent. */
  readonly bytes: number;
  /** Requests to both sides; see `PlanTotals.requests`. */
  readonly requests: number;
}

/** What happens to one blob at one destination repository. */
export interface BlobAction {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  readonly from: string;
  readonly to: string;
  /**
   * `copy`: its bytes are copied. `mount`: mounted from `mountFrom` on the same registry. `present`: the destination
   * has it. `foreign`: neither side has it; the manifest names URLs for it.
   */
  readonly action: 'copy' | 'mount' | 'present' | 'foreign';
  /** In a shard also for `copy`: another shard may have copied it there, so that it can be mounted. */
  readonly mountFrom?: string;
  /** For a foreign layer that is copied but that the source does not have: the URLs to read it from, at least one. */
  readonly urls?: readonly string[];
}

/** Something that is not copied, and why. */
export type Skip =
  /** The destination has it with this digest. `verify` compares it, too. */
  | {
      readonly reason: 'present';
      readonly from: string;
      readonly to: string;
      readonly tag?: Tag;
      /** The tag at the source, if it differs. */
      readonly sourceTag?: Tag;
      readonly digest: Digest;
    }
  /**
   * A tag that the filters exclude, or that has an invalid name; without a tag: an artifact whose subject is not
   * copied. `kept`: its tag points to another image at the destination, and the user asked to keep that. `earlier`: an
   * earlier plan copied it, and the user asked for changes since then.
   */
  | {
      readonly reason: 'filtered' | 'invalid-name' | 'kept' | 'earlier';
      readonly from: string;
      readonly tag?: string;
      readonly digest?: Digest;
      readonly detail: string;
    }
  /** Something that the user did not exclude: a run of the plan ends with `incomplete`. */
  | {
      readonly reason: UnchosenReason;
      readonly from: string;
      readonly tag?: string;
      readonly digest?: Digest;
      readonly detail: string;
    };

/**
 * Why something that no filter excludes is not copied. `unsupported`: such as Docker schema 1. `incomplete`: the source
 * does not have all of it. `gone`: the source lists it, but does not have it. `unnamed`: an image in a layout whose
 * name, if any, cannot be a tag at the destination.
 */
export const UNCHOSEN_REASONS = ['unsupported', 'incomplete', 'gone', 'unnamed'] as const;

export type UnchosenReason = (typeof UNCHOSEN_REASONS)[number];

/** What the plan leaves out although the user did not exclude it. */
export function unchosenSkips({skipped}: Pick<CopyPlan, 'skipped'>): readonly Skip[] {
  const unchosen: ReadonlySet<Skip['reason']> = new Set(UNCHOSEN_REASONS);
  return skipped.filter(({reason}) => unchosen.has(reason));
}

/** A finding about the plan. `forbid` ends `plan` and `apply` with exit code 3; `pass` states what was verified. */
export interface Check {
  readonly code: ErrorCode | FindingCode;
  /** Plans of copies have no `pass`. */
  readonly result: 'pass' | 'warn' | 'forbid';
  readonly subject: string;
  /** In a plan of several transfers: the full path of the project or group concerned; absent: all of them. */
  readonly project?: string;
  readonly message: string;
  readonly hint: string;
}

/** Counts of what a plan does. */
export interface PlanTotals {
  /** Images and artifacts to be copied. */
  readonly steps: number;
  /** Of those, the ones whose tag points to another image at the destination, and will move. */
  readonly moves: number;
  /** Images that the destination already has. */
  readonly present: number;
  /** What is skipped for any other reason. */
  readonly skipped: number;
  /** Manifests to be pushed, each once for each destination repository. */
  readonly manifests: number;
  /** Each blob once for each destination repository. */
  readonly blobs: {
    readonly copy: number;
    readonly mount: number;
    readonly present: number;
    readonly foreign: number;
  };
  /** Bytes of the blobs to be copied. */
  readonly bytes: number;
  /** Bytes that need not be copied: mounted or present. */
  readonly bytesSaved: number;
  /** An estimate of the requests that applying takes. */
  readonly requests: {readonly source: number; readonly destination: number};
}

/** A plan of copies between registries and other places. */
export interface CopyPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The digest of the rest of its file in canonical form, which reveals edits by hand. */
  readonly id: Digest;
  /** A signature of the id: ed25519, base64. */
  readonly signature?: string;
  readonly kind: 'copy';
  readonly wish: Wish;
  readonly routes: readonly PlannedRoute[];
  readonly steps: readonly PlanStep[];
  readonly manifests: readonly PlannedManifest[];
  readonly blobs: readonly BlobAction[];
  readonly skipped: readonly Skip[];
  readonly checks: readonly Check[];
  readonly totals: PlanTotals;
}

/** A plan: pinned to digests, and without times, secrets and randomness. */
export type Plan = CopyPlan | TransferPlan;
