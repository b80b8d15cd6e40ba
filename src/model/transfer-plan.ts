import type {Digest} from './digest.ts';
import type {FilePosition} from './file-problem.ts';
import type {
  BlobAction,
  Check,
  CopyStep,
  PLAN_FORMAT,
  PlannedManifest,
  PlanTotals,
  Skip,
  StepEstimate,
} from './plan.ts';
import type {Tag} from './reference.ts';

/** What the user asked for: projects and groups of a GitLab instance at other paths. */
export interface TransferWish {
  /** The instance, as `https://host[/path]`. */
  readonly gitlab: string;
  /** At least one, in the order in which they are carried out. */
  readonly moves: readonly MoveWish[];
}

/** One project or group to move, as written. */
export type MoveWish = ProjectWish | GroupWish;

/** One project to move, as written. */
export interface ProjectWish extends WishedPlaces {
  /** Full path or ID of the project. */
  readonly project: string;
}

/** One group to move, with all projects and subgroups below it, as written. */
export interface GroupWish extends WishedPlaces {
  /** Full path or ID of the group. */
  readonly group: string;
}

interface WishedPlaces {
  /**
   * The new full path; with a trailing `/`, a namespace in which it keeps the last part of its path. A group becomes a
   * top-level group if this has only one part.
   */
  readonly to: string;
  /**
   * The donor as written: a directory (see `Donor`), or a project of the same instance. For a group, each project has a
   * separate directory below it.
   */
  readonly donor: {readonly kind: 'directory' | 'project'; readonly path: string};
  /** Its position in a migration file. */
  readonly at?: FilePosition & {readonly file: string};
}

/** The donor: the place where the images are while neither path of their project has them. */
export type Donor =
  /** A directory with an OCI layout for each repository. */
  | {
      readonly kind: 'directory';
      /** Absolute, or relative to the directory of the plan's file, so that both can be moved together. */
      readonly path: string;
      /** The user confirmed that the directory outlives the CI job that applies the plan. */
      readonly onThisMachine?: true;
    }
  /** A project of the same instance: blobs are mounted there and back, so no bytes are copied. */
  | {
      readonly kind: 'project';
      readonly path: string;
      /** Absent: it is created when the plan is applied. */
      readonly id?: number;
      /** The namespace that it is created in. */
      readonly namespaceId: number;
    };

/** One image repository of the project, and its three locations. */
export interface TransferRepository {
  /** `host/path` before. */
  readonly from: string;
  /** At the donor: `host/path`, or `oci:DIR`. */
  readonly donor: string;
  /** `host/path` after. */
  readonly to: string;
  /** Its tags, oldest first: a metadata database dates a tag by its push, and cleanup policies use that date. */
  readonly tags: readonly TransferTag[];
}

/** A tag of the project. */
export interface TransferTag {
  readonly name: Tag;
  readonly digest: Digest;
  /** Bytes of the whole image: its manifests and blobs, each once. */
  readonly size: number;
}

/** The copies in one direction, with an action for each blob. */
export interface CopySet {
  readonly copies: readonly CopyStep[];
  readonly blobs: readonly BlobAction[];
}

/** The settings of a cleanup policy, under the API's names, so that they can be restored. */
export type PolicyState = Readonly<Record<string, string | number | boolean | null>>;

interface StepBase {
  /** Unique in the plan, the same in each plan of the same work: see `stepId`. */
  readonly id: string;
  /** Steps of the same project that must be done first. */
  readonly needs: readonly string[];
  readonly why: string;
  /** A rough estimate: the duration of GitLab's background work is unknown. */
  readonly estimate: StepEstimate;
}

/**
 * The steps of a transfer, in the order of GitLab's manual procedure (doc/user/packages/container_registry:
 * "Move or rename container registry repositories"): pull, retag, delete, transfer or rename, push.
 */
export type TransferStep =
  /** Creates the private donor project, and disables its cleanup policy. */
  | (StepBase & {
      readonly kind: 'create-donor';
      readonly path: string;
      readonly namespaceId: number;
    })
  /** Disables the project's cleanup policy, which could delete tags during the move. */
  | (StepBase & {readonly kind: 'pause'; readonly policy: PolicyState})
  /** Allows only owners to push to the old path, by adding protection rules. */
  | (StepBase & {readonly kind: 'freeze'; readonly patterns: readonly string[]})
  /** Copies from the old path to the donor. */
  | (StepBase & {readonly kind: 'pull'} & CopySet)
  /** Compares a place with the plan, digest by digest, including blobs. */
  | (StepBase & {readonly kind: 'verify'; readonly at: 'donor' | 'target'})
  /**
   * Verifies that the registry accepts uploads and these kinds of manifests, since images in a directory have to be
   * pushed again after the deletion. Done at the old path, where it leaves nothing behind.
   */
  | (StepBase & {readonly kind: 'probe'; readonly uploadsTo: string} & {
      readonly manifests: readonly ProbedManifest[];
    })
  /**
   * Deletes the tags at the old path, each only if it still has the planned digest, and waits until GitLab reports
   * none.
   */
  | (StepBase & {readonly kind: 'delete-old'})
  /** Moves the project. Absent members: no change. */
  | (StepBase & {
      readonly kind: 'change-path';
      readonly namespaceId?: number;
      readonly path?: string;
    })
  /** Gives the images at the donor their names at the new path. */
  | (StepBase & {readonly kind: 'retag'})
  /** Copies from the donor to the new path. */
  | (StepBase & {readonly kind: 'push'} & CopySet)
  /** Removes the rules of `freeze`. */
  | (StepBase & {readonly kind: 'unfreeze'; readonly patterns: readonly string[]})
  /** Changes protection rules that name the old path to the new one, which GitLab does not do when a project moves. */
  | (StepBase & {readonly kind: 'move-rules'; readonly rules: readonly MovedRule[]})
  /** Restores the cleanup policy. */
  | (StepBase & {readonly kind: 'resume'; readonly policy: PolicyState})
  /** Removes from the donor what this plan copied there, but only if `apply` is told to. */
  | (StepBase & {readonly kind: 'remove-donor'});

/** A protection rule for repositories, with its pattern before and after the move. */
export interface MovedRule {
  /** GitLab's ID. */
  readonly id: number;
  readonly from: string;
  readonly to: string;
}

/** A manifest that is pushed again by its digest, as an example of its kind. */
export interface ProbedManifest {
  /** `host/path`. */
  readonly repository: string;
  readonly digest: Digest;
}

/**
 * The move of one project: a complete and safe sequence of steps, with all data to carry them out.
 */
export interface ProjectMove {
  readonly project: {
    /** GitLab's ID; unique in the plan. */
    readonly id: number;
    /** Full paths. */
    readonly from: string;
    readonly to: string;
  };
  /**
   * `native`: GitLab moves the images itself. `staged`: they are moved by way of the donor. `empty`: there are none.
   */
  readonly way: 'native' | 'staged' | 'empty';
  readonly donor: Donor;
  readonly repositories: readonly TransferRepository[];
  readonly steps: readonly TransferStep[];
  /**
   * Of a `native` move: the way by the donor, which is taken if GitLab refuses to move the images, or moves the project
   * without them. A step with the id of one of `steps` has the same effect. Absent: the move ends there.
   */
  readonly fallback?: FallbackWay;
  /** The manifests of its images, children first. An image that projects share is listed in each. */
  readonly manifests: readonly PlannedManifest[];
  /** An estimate of how long neither path has the images, in seconds. */
  readonly downtimeSeconds: number;
}

/** What takes the place of the same members of a `ProjectMove`. */
export interface FallbackWay {
  readonly steps: readonly TransferStep[];
  readonly downtimeSeconds: number;
}

/** A native move by way of its donor; undefined: the plan has no such way. */
export function byDonor({fallback, ...move}: ProjectMove): ProjectMove | undefined {
  return fallback === undefined ? undefined : {...move, ...fallback, way: 'staged'};
}

/** Every step of a move that may be carried out: of a native one also those by way of the donor. */
export function possibleSteps({
  steps,
  fallback,
}: Pick<ProjectMove, 'steps' | 'fallback'>): readonly TransferStep[] {
  return fallback === undefined ? steps : [...steps, ...fallback.steps];
}

/**
 * The steps of a group, besides those of its projects. GitLab does not move a group below which it has a record of an
 * image path, with or without tags (GitLab: app/services/groups/transfer_service.rb,
 * app/models/container_repository.rb).
 */
export type GroupStep =
  /**
   * Deletes GitLab's records of image paths below the group that have no tags, and waits until they no longer exist.
   */
  | (StepBase & {readonly kind: 'delete-records'})
  /** Moves the group with everything below it. `parentId`: the new parent group; null: it becomes a top-level group. */
  | (StepBase & {
      readonly kind: 'change-group';
      readonly parentId?: number | null;
      readonly path?: string;
    });

/**
 * The move of a group: its projects with images are moves of the plan without a `change-path` of their own. First all
 * of them are pulled and verified, then emptied; then the steps of the group; then all are pushed.
 */
export interface GroupMove {
  readonly group: {
    /** GitLab's ID; unique in the plan. */
    readonly id: number;
    /** Full paths. */
    readonly from: string;
    readonly to: string;
  };
  /** IDs of the projects of the plan that move with it. */
  readonly projects: readonly number[];
  /** Full paths of the projects below it without images, which GitLab moves with the group. */
  readonly withoutImages: readonly string[];
  /** GitLab's records below it without tags, as `host/path`, which are deleted. */
  readonly records: readonly string[];
  readonly steps: readonly GroupStep[];
}

/** A plan of transfers within one GitLab instance: projects and groups move one after the other. */
export interface TransferPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The digest of the rest of its file in canonical form, which reveals edits by hand. */
  readonly id: Digest;
  /** A signature of the id: ed25519, base64. */
  readonly signature?: string;
  readonly kind: 'transfer';
  readonly wish: TransferWish;
  /** The requested projects, and the projects with images of requested groups, in the order of the wish. */
  readonly moves: readonly ProjectMove[];
  /** The groups that move with their projects, in the order of the wish. Absent: none. */
  readonly groups?: readonly GroupMove[];
  readonly skipped: readonly Skip[];
  /** The checks of all projects. One `forbid` forbids the whole plan. */
  readonly checks: readonly Check[];
  /** Of all projects together. */
  readonly totals: PlanTotals;
}

/**
 * The id of a step of a project: its name, such as `delete-old`; if several projects move, followed by the path of the
 * project: `delete-old:org/app`.
 * @param moves how many projects the plan moves
 */
export function stepId(name: string, {from}: {readonly from: string}, moves: number): string {
  return moves === 1 ? name : `${name}:${from}`;
}

/** A unit of execution: a project, or a group with its projects. Each unit is completed before the next one starts. */
export interface TransferUnit {
  /** Undefined: one project that moves by itself. */
  readonly group?: GroupMove;
  readonly moves: readonly ProjectMove[];
}

/** The units of a plan in the order in which they are carried out. */
export function unitsOf({
  moves,
  groups = [],
}: Pick<TransferPlan, 'moves' | 'groups'>): readonly TransferUnit[] {
  const units: TransferUnit[] = [];
  const known = new Set<GroupMove>();
  for (const move of moves) {
    const group = groupOf(move, groups);
    if (group === undefined) units.push({moves: [move]});
    if (group === undefined || known.has(group)) continue;
    known.add(group);
    units.push({group, moves: moves.filter((one) => groupOf(one, groups) === group)});
  }
  const empty = groups.filter((group) => !known.has(group));
  return [...units, ...empty.map((group) => ({group, moves: []}))];
}

/** The group that a project moves with; undefined: it moves by itself. */
export function groupOf(
  {project}: Pick<ProjectMove, 'project'>,
  groups: readonly GroupMove[] = [],
): GroupMove | undefined {
  return groups.find(({projects}) => projects.includes(project.id));
}

/**
 * The phase of a step if its project moves with a group: first all projects are pulled and verified at the donor, then
 * all are deleted, and after the group has moved, all are pushed.
 */
export function phaseOf(step: TransferStep): 'pull' | 'delete' | 'push' {
  switch (step.kind) {
    case 'create-donor':
    case 'pause':
    case 'freeze':
    case 'pull':
    case 'probe':
      return 'pull';
    case 'verify':
      return step.at === 'donor' ? 'pull' : 'push';
    case 'delete-old':
      return 'delete';
    case 'change-path':
    case 'retag':
    case 'push':
    case 'unfreeze':
    case 'move-rules':
    case 'resume':
    case 'remove-donor':
      return 'push';
  }
}

/** Every step of a plan: those of its projects, then those of its groups. */
export function allSteps({
  moves,
  groups = [],
}: Pick<TransferPlan, 'moves' | 'groups'>): readonly (TransferStep | GroupStep)[] {
  return [...moves.flatMap(({steps}) => steps), ...groups.flatMap(({steps}) => steps)];
}
