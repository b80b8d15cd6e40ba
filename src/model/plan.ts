import type {DeleteWish} from './delete-wish.ts';
import type {Conversion} from './conversion.ts';
import type {Digest} from './digest.ts';
import type {ErrorCode} from './error-codes.ts';
import type {FilePosition} from './file-problem.ts';
import type {Tag} from './reference.ts';
import type {TransferPlan} from './transfer-plan.ts';

/** The format of plan files that this version writes and reads. */
export const PLAN_FORMAT = 2;

/** What somebody wants, in their words. */
export interface Wish {
  /** At least one, unless tags are only deleted. */
  readonly routes: readonly RouteWish[];
  /** Delete at the source what was verified at every destination. */
  readonly deleteSource?: boolean;
  /** Archives are written in parts of so many bytes. */
  readonly archiveSize?: number;
  /** Repositories whose tags are deleted by rules. */
  readonly deletes?: readonly DeleteWish[];
}

/** One source and one destination as they were given: a reference, or in a migration file a pattern for many. */
export interface RouteWish {
  readonly source: string;
  readonly destination: string;
  /** As they were given. */
  readonly filters: WishFilters;
  /** Where in a migration file it is written. */
  readonly at?: FilePosition & {readonly file: string};
}

/** A source repository and a destination repository that gets images from it: `host/path`, or a transport with a file. */
export interface PlannedRoute {
  readonly from: string;
  readonly to: string;
  /** The index of its `RouteWish`. */
  readonly wish: number;
}

export interface WishFilters {
  /** Globs; a tag must match one of them, if there are any. */
  readonly tags?: readonly string[];
  /** Globs; a tag must match none of them. */
  readonly excludeTags?: readonly string[];
  /** A range as node-semver reads it. */
  readonly semver?: string;
  /** Only the newest so many, by the time of creation in the image config. */
  readonly newest?: number;
  /** Only what was created after this time (ISO 8601). */
  readonly newerThan?: string;
  /** `os/architecture[/variant]`; none: all. */
  readonly platforms?: readonly string[];
  /** New names of tags: the first pattern that matches is used. */
  readonly rename?: readonly TagRename[];
  /** Leave tags alone that point to another image at the destination. */
  readonly noClobber?: boolean;
  /** Filters that leave nothing are no reason to forbid the plan. */
  readonly allowEmpty?: boolean;
  /** Copy images of Docker schema 1 as images of schema 2. */
  readonly convertSchema1?: boolean;
  /** Copy foreign layers too, from the source or from their URLs. */
  readonly includeForeign?: boolean;
  /** The same, and make ordinary layers of them. */
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
  /** Child manifests that travel with it, in the manifest's order. */
  readonly manifests: readonly Digest[];
  /** Blobs that it needs, in the manifest's order, each once. */
  readonly blobs: readonly Digest[];
  /**
   * Of an image, `os/architecture[/variant]`, as the index that lists it says, or else its config, if that was read. Absent:
   * not known. Attestations have BuildKit's `unknown/unknown`.
   */
  readonly platform?: string;
  /** The manifest it refers to. */
  readonly subject?: Digest;
  /**
   * Set where the bytes are not the source's: an index cut down to some of its manifests, on the user's request
   * (`--platform`). Made again from the source's bytes when the plan is applied.
   */
  readonly cutFrom?: {readonly digest: Digest; readonly keep: readonly Digest[]};
  /** Set where the bytes are another form of the source's, on the user's request. Made again in the same way. */
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
  /** The tag it gets; absent: pushed by digest only (a referrer). */
  readonly tag?: Tag;
  /** The tag it was found by at the source and what that pointed to, to notice drift; absent: found by digest. */
  readonly sourceTag?: {readonly name: Tag; readonly digest: Digest};
  /** What `tag` pointed to at the destination when planning; null: nothing. */
  readonly replaces: Digest | null;
  /**
   * Manifests in the order in which they are put; `digest` is the last. Those that are known to be at `to` are not among
   * them. Steps that share a manifest list it each, so that none of them depends on another for it.
   */
  readonly manifests: readonly Digest[];
  /** Steps that must be done before: the subject of a referrer. */
  readonly needs: readonly string[];
  /** Why this step is there, for people. */
  readonly why: string;
  readonly estimate: StepEstimate;
}

/** A GitLab group or project that has to be there before anything can be copied into it. */
export interface CreateStep {
  readonly kind: 'create-group' | 'create-project';
  /** Unique in the plan, the same in each plan of the same work. */
  readonly id: string;
  /** The address of the instance, without a slash at its end. */
  readonly gitlab: string;
  /** Its registry, `host[:port]`: copies into `registry/path` and below it wait for this step. */
  readonly registry: string;
  /** Full path. */
  readonly path: string;
  readonly visibility: 'private' | 'internal' | 'public';
  /** The group that it is in, if that is made as well. */
  readonly needs: readonly string[];
  /** Why this step is there, for people. */
  readonly why: string;
  readonly estimate: StepEstimate;
}

/**
 * Why a tag is deleted. `moved`: its image was copied, and the source is to lose it. `pruned`: an earlier plan brought it,
 * and the source no longer has it. `rule`: the rules of `plan delete` choose it.
 */
export const DELETE_REASONS = ['moved', 'pruned', 'rule'] as const;

/**
 * A tag, or a referrer without one, that is deleted; only while it is what it was when planning, and only what it names: a
 * manifest that other tags or an index still need stays.
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
   * Where this very digest has to be verified in the run that deletes: every destination of a `moved` image, whether the
   * plan copies it there or found it there. Empty for the other reasons.
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
 * What a step costs if nothing fails. What several steps share counts for the first of them, so that the estimates of all
 * steps add up to what the plan costs.
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
   * `copy`: its bytes travel. `mount`: taken from `mountFrom` on the same registry. `present`: there already.
   * `foreign`: neither here nor there, the manifest names URLs for it.
   */
  readonly action: 'copy' | 'mount' | 'present' | 'foreign';
  /** In a shard also of what is copied: another shard may have brought it there, so that it can be mounted after all. */
  readonly mountFrom?: string;
  /** Of a foreign layer that is copied and that the source does not have: where it is read. At least one. */
  readonly urls?: readonly string[];
}

/** Something that is not done, and why. */
export type Skip =
  /** There already, with this very digest. Part of what `verify` compares. */
  | {
      readonly reason: 'present';
      readonly from: string;
      readonly to: string;
      readonly tag?: Tag;
      /** The tag at the source, where it has another name. */
      readonly sourceTag?: Tag;
      readonly digest: Digest;
    }
  /**
   * A tag that the filters leave out, or whose name no client can use; without a tag: an artifact whose subject is left
   * out.
   * `kept`: its tag points to another image at the destination and stays there, as was asked for. `earlier`: an earlier
   * plan brought it elsewhere, and only what changed since was asked for.
   */
  | {
      readonly reason: 'filtered' | 'invalid-name' | 'kept' | 'earlier';
      readonly from: string;
      readonly tag?: string;
      readonly digest?: Digest;
      readonly detail: string;
    }
  /** What nobody chose to leave out: a run of the plan ends with `incomplete`. */
  | {
      readonly reason: UnchosenReason;
      readonly from: string;
      readonly tag?: string;
      readonly digest?: Digest;
      readonly detail: string;
    };

/**
 * Why something is not copied though no filter excludes it. `unsupported`: schema 1 and the like. `incomplete`: the
 * source does not have all of it. `gone`: the source lists it and does not have it. `unnamed`: an image in a layout
 * without a name that is a tag at the destination.
 */
export const UNCHOSEN_REASONS = ['unsupported', 'incomplete', 'gone', 'unnamed'] as const;

export type UnchosenReason = (typeof UNCHOSEN_REASONS)[number];

/** What the plan leaves out though nobody chose so. */
export function unchosenSkips({skipped}: Pick<CopyPlan, 'skipped'>): readonly Skip[] {
  const unchosen: ReadonlySet<Skip['reason']> = new Set(UNCHOSEN_REASONS);
  return skipped.filter(({reason}) => unchosen.has(reason));
}

/** A finding that is no error when it stands alone. */
export type FindingCode =
  | 'INDEX_CUT'
  | 'IMAGE_CONVERTED'
  | 'DIGESTS_NEW'
  | 'NAME_REWRITTEN'
  | 'TAG_MOVES'
  | 'FOREIGN_LAYERS'
  | 'SKIPPED'
  | 'NOT_DELETED'
  | 'TOO_MANY_DELETES'
  | 'CLEANUP_DISABLED'
  | 'SIGNATURE_LOST'
  // Of policies.
  | 'POLICY_MAX_BYTES'
  | 'POLICY_MAX_DELETES'
  | 'POLICY_MAX_IMAGES'
  | 'POLICY_REGISTRY'
  | 'POLICY_PLATFORM'
  | 'POLICY_SIGNATURE'
  // Of transfers.
  | 'PROJECT_READY'
  | 'GROUP_READY'
  | 'ACCESS_CHANGES'
  | 'PATH_REDIRECTED'
  | 'RECORDS_DELETED'
  | 'TARGET_FREE'
  | 'ALREADY_THERE'
  | 'MOVES_CONFLICT'
  | 'PROJECT_NOT_MOVABLE'
  | 'ROLE_MISSING'
  | 'TOKEN_READY'
  | 'TOKEN_ENDS_SOON'
  | 'NAME_INVALID'
  | 'REGISTRY_READY'
  | 'UPLOAD_READY'
  | 'UPLOAD_REFUSED'
  | 'MANIFEST_REFUSED'
  | 'DELETE_READY'
  | 'DELETE_UNPROVED'
  | 'DELETION_UNDER_WAY'
  | 'CLOCK_SKEW'
  | 'RULES_READY'
  | 'RULES_NOT_SEEN'
  | 'RULE_KEEPS_OLD_PATH'
  | 'RULE_MOVES'
  | 'POLICY_PAUSED'
  | 'POLICY_RUNS_SOON'
  | 'POLICY_PAUSED_BEFORE'
  | 'REPOSITORY_EMPTY'
  | 'MEDIA_TYPE_UNKNOWN'
  | 'UNTAGGED_NOT_SEEN'
  | 'TAG_NAME_INVALID'
  | 'DONOR_READY'
  | 'DONOR_OCCUPIED'
  | 'DONOR_MISSING'
  | 'DONOR_TOO_SMALL'
  | 'DONOR_IN_CI_JOB'
  | 'PIPELINES_RUNNING'
  | 'NATIVE_WAY';

/** A finding about the plan. `forbid` ends `plan` and `apply` with exit 3; `pass` says what was proved. */
export interface Check {
  readonly code: ErrorCode | FindingCode;
  /** Plans of copies have no `pass`. */
  readonly result: 'pass' | 'warn' | 'forbid';
  readonly subject: string;
  /** In a plan of several transfers: the full path of the project or group that it is about; absent: all of them. */
  readonly project?: string;
  readonly message: string;
  readonly hint: string;
}

export interface PlanTotals {
  /** Images and artifacts to be copied. */
  readonly steps: number;
  /** Of those, the ones whose tag points to another image at the destination, and will move. */
  readonly moves: number;
  /** Images that are there already. */
  readonly present: number;
  /** What is skipped for any other reason. */
  readonly skipped: number;
  /** Manifests to be put, each once for each destination repository. */
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
  /** Bytes that need not travel: mounted or present. */
  readonly bytesSaved: number;
  /** An estimate of the requests that applying takes. */
  readonly requests: {readonly source: number; readonly destination: number};
}

/** What copies from registry to registry do. */
export interface CopyPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The digest of all the rest of its file in canonical form; a plan that was edited by hand no longer matches. */
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

/** What will be done: digest-pinned, without clock, secrets and randomness. */
export type Plan = CopyPlan | TransferPlan;
