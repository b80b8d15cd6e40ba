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

/** What somebody wants of a GitLab instance: projects and groups at other paths. */
export interface TransferWish {
  /** The instance, as `https://host[/path]`. */
  readonly gitlab: string;
  /** At least one, in the order in which they are carried out. */
  readonly moves: readonly MoveWish[];
}

/** One project or group at another path, as it was asked for. */
export type MoveWish = ProjectWish | GroupWish;

/** One project at another path, as it was asked for. */
export interface ProjectWish extends WishedPlaces {
  /** Full path or ID of the project. */
  readonly project: string;
}

/** One group at another path, with all projects and subgroups below it. */
export interface GroupWish extends WishedPlaces {
  /** Full path or ID of the group. */
  readonly group: string;
}

interface WishedPlaces {
  /**
   * Full path that it is to have; with a `/` at its end, a namespace in which it keeps the last part of its path. One part
   * without a `/` makes a group a top-level group.
   */
  readonly to: string;
  /**
   * The donor that was asked for: a folder, as `Donor` has it, or a project of the same instance. Of a group, each project
   * has a folder of its own below it.
   */
  readonly donor: {readonly kind: 'directory' | 'project'; readonly path: string};
  /** Where in a migration file it is written. */
  readonly at?: FilePosition & {readonly file: string};
}

/** Where the images wait while their project has none. */
export type Donor =
  /** An OCI layout for each repository in this folder. */
  | {
      readonly kind: 'directory';
      /** Absolute, or relative to the folder of the plan's file: then both can go elsewhere together. */
      readonly path: string;
      /** Somebody said that the folder outlives the CI job that applies the plan. */
      readonly onThisMachine?: true;
    }
  /** A project of the same instance: blobs are mounted there and back, and no bytes travel. */
  | {
      readonly kind: 'project';
      readonly path: string;
      /** Absent: it is created when the plan is applied. */
      readonly id?: number;
      /** The namespace that it is created in. */
      readonly namespaceId: number;
    };

/** One image repository of the project, on its way. */
export interface TransferRepository {
  /** `host/path` before. */
  readonly from: string;
  /** At the donor: `host/path`, or `oci:DIR`. */
  readonly donor: string;
  /** `host/path` after. */
  readonly to: string;
  /** Its tags, oldest first: a registry with metadata database dates a tag by its push, and policies go by the date. */
  readonly tags: readonly TransferTag[];
}

/** A tag of the project, and what it points to. */
export interface TransferTag {
  readonly name: Tag;
  readonly digest: Digest;
  /** Bytes of the whole image: its manifests and blobs, each once. */
  readonly size: number;
}

/** The copies of one direction, and what happens to their blobs. */
export interface CopySet {
  readonly copies: readonly CopyStep[];
  readonly blobs: readonly BlobAction[];
}

/** What a cleanup policy was like, in the API's own names, so that it can be put back as it was. */
export type PolicyState = Readonly<Record<string, string | number | boolean | null>>;

interface StepBase {
  /** Unique in the plan, the same in each plan of the same work: see `stepId`. */
  readonly id: string;
  /** Steps of the same project that must be done before. */
  readonly needs: readonly string[];
  readonly why: string;
  /** A guess: nothing is known yet of what GitLab does in the background. */
  readonly estimate: StepEstimate;
}

/**
 * The steps of a transfer, in the order of GitLab's manual procedure (doc/user/packages/container_registry:
 * "Move or rename container registry repositories"): pull, retag, delete, transfer or rename, push.
 */
export type TransferStep =
  /** Makes the donor project, private, and stops its cleanup policy. */
  | (StepBase & {
      readonly kind: 'create-donor';
      readonly path: string;
      readonly namespaceId: number;
    })
  /** Stops the project's cleanup policy, which would delete what looks old in the middle of the move. */
  | (StepBase & {readonly kind: 'pause'; readonly policy: PolicyState})
  /** Lets nobody push to the old path but owners, by rules that the project does not have yet. */
  | (StepBase & {readonly kind: 'freeze'; readonly patterns: readonly string[]})
  /** Old path to donor. */
  | (StepBase & {readonly kind: 'pull'} & CopySet)
  /** Compares a place with the plan, digest by digest, blobs included. */
  | (StepBase & {readonly kind: 'verify'; readonly at: 'donor' | 'target'})
  /**
   * Proves that the registry takes uploads and these kinds of manifests, at the old path, where nothing is left behind:
   * what waits in a folder has to be pushed again after the deletion.
   */
  | (StepBase & {readonly kind: 'probe'; readonly uploadsTo: string} & {
      readonly manifests: readonly ProbedManifest[];
    })
  /** Deletes tag by tag, each only if it still points to the planned digest; then waits until GitLab agrees. */
  | (StepBase & {readonly kind: 'delete-old'})
  /** Moves the project. Absent members stay as they are. */
  | (StepBase & {
      readonly kind: 'change-path';
      readonly namespaceId?: number;
      readonly path?: string;
    })
  /** Gives the images at the donor their names at the new path. */
  | (StepBase & {readonly kind: 'retag'})
  /** Donor to new path. */
  | (StepBase & {readonly kind: 'push'} & CopySet)
  /** Takes the rules of `freeze` away. */
  | (StepBase & {readonly kind: 'unfreeze'; readonly patterns: readonly string[]})
  /** Gives protection rules that name the old path the new one (GitLab keeps them as they are when a project moves). */
  | (StepBase & {readonly kind: 'move-rules'; readonly rules: readonly MovedRule[]})
  /** Puts the cleanup policy back as it was. */
  | (StepBase & {readonly kind: 'resume'; readonly policy: PolicyState})
  /** Takes away from the donor what this plan put there. Only when `apply` is told to; until then the images stay. */
  | (StepBase & {readonly kind: 'remove-donor'});

/** A protection rule for repositories, and the pattern that it has before and after the move. */
export interface MovedRule {
  /** GitLab's ID. */
  readonly id: number;
  readonly from: string;
  readonly to: string;
}

/** A manifest that is put again where it is, by its digest: it stands for all of its kind. */
export interface ProbedManifest {
  /** `host/path`. */
  readonly repository: string;
  readonly digest: Digest;
}

/**
 * The move of one project: a whole safe sequence by itself, from the pause of its cleanup policy to its donor. Everything
 * that carrying it out takes is here.
 */
export interface ProjectMove {
  readonly project: {
    /** GitLab's ID; unique in the plan. */
    readonly id: number;
    /** Full paths. */
    readonly from: string;
    readonly to: string;
  };
  /** `native`: GitLab moves the images itself. `staged`: they wait at the donor. `empty`: there are none. */
  readonly way: 'native' | 'staged' | 'empty';
  readonly donor: Donor;
  readonly repositories: readonly TransferRepository[];
  readonly steps: readonly TransferStep[];
  /**
   * Of a `native` move: the way by the donor, which is taken if GitLab refuses to move the images, or moves the project
   * without them. A step with the id of one of `steps` has the same effect. Absent: the move ends there.
   */
  readonly fallback?: FallbackWay;
  /** Those of its images, children first. Projects that share an image have its manifests each. */
  readonly manifests: readonly PlannedManifest[];
  /** An estimate of how long the images are at neither path, in seconds. */
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
 * The steps that a group has beside those of its projects. GitLab moves no group below which it has a record of an image
 * path, be there tags or not (GitLab: app/services/groups/transfer_service.rb, app/models/container_repository.rb).
 */
export type GroupStep =
  /** Deletes GitLab's records of image paths below the group, each only if its registry lists no tag; waits until they are gone. */
  | (StepBase & {readonly kind: 'delete-records'})
  /** Moves the group with all below it. `parentId`: the group that it moves to; null: it becomes a top-level group. */
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
  /** Full paths of the projects below it that have no images: they move along untouched. */
  readonly withoutImages: readonly string[];
  /** GitLab's records below it that have no tags, as `host/path`: they are deleted, those of the projects of the plan too. */
  readonly records: readonly string[];
  readonly steps: readonly GroupStep[];
}

/** What transfers inside one GitLab instance do: projects and groups move, one after the other. */
export interface TransferPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The digest of all the rest of its file in canonical form; a plan that was edited by hand no longer matches. */
  readonly id: Digest;
  /** A signature of the id: ed25519, base64. */
  readonly signature?: string;
  readonly kind: 'transfer';
  readonly wish: TransferWish;
  /** The projects with images, and those that were asked for, in the order of the wish; at least one, or a group. */
  readonly moves: readonly ProjectMove[];
  /** The groups that move with their projects, in the order of the wish. Absent: none. */
  readonly groups?: readonly GroupMove[];
  readonly skipped: readonly Skip[];
  /** Of all projects: each names its own, unless it is about all of them. One that forbids forbids the whole plan. */
  readonly checks: readonly Check[];
  /** Of all projects together. */
  readonly totals: PlanTotals;
}

/**
 * The id of a step of a project: its name, as in `delete-old`. Where several projects move, followed by the path of the
 * project, as in `delete-old:org/app`.
 * @param moves how many projects the plan moves
 */
export function stepId(name: string, {from}: {readonly from: string}, moves: number): string {
  return moves === 1 ? name : `${name}:${from}`;
}

/** What is carried out as one: a project, or a group with its projects. Each comes to its end before the next begins. */
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
 * When a step of a project comes, where its group moves with several: first all of them are pulled and proved to be at
 * the donor, then all are deleted, and once the group has moved all are pushed.
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
