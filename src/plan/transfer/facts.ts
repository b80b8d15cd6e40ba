import type {Check, Visibility} from '../../model/plan.ts';
import type {TagLimits} from '../../model/port.ts';
import type {Donor, GroupWish, PolicyState, ProjectWish} from '../../model/transfer-plan.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';

/**
 * What was found out about the transfer of one project before it is planned: plain data, so that the decisions can be
 * tested without a GitLab. Times are ms since the epoch; access levels are GitLab's numbers, 50 is an owner.
 */
export interface TransferFacts {
  readonly wish: ProjectWish;
  /** This machine's clock. */
  readonly now: number;
  /** Somebody asked for the donor even where GitLab could move the images by itself. */
  readonly staged: boolean;
  /** Its group moves, and the project with it: the path of the project itself is not changed. Default: no. */
  readonly withGroup?: boolean;
  /** Nobody but owners is to push to the old path during the move. Default: whoever may. */
  readonly freeze?: boolean;
  readonly project: ProjectFacts;
  readonly target: TargetFacts;
  readonly token: GitLabTokenFacts;
  /** Undefined: the instance has no registry, or none that it tells of. */
  readonly registry?: RegistryFacts;
  /** Every image repository of the project that the registry has, also those without tags. */
  readonly repositories: readonly RepositoryFacts[];
  /** Paths in the registry that GitLab knows as the project's and counts no tags of. Default: none. */
  readonly untagged?: readonly string[];
  /** Images of those repositories that other projects have, as the donor of an earlier transfer. Default: none. */
  readonly waiting?: readonly WaitingImages[];
  readonly donor: DonorFacts;
  readonly rules: RuleFacts;
  /** Undefined: the namespace stays, or GitLab does not tell. */
  readonly access?: AccessFacts;
  /** Transfers of the project that were begun and are not at their end, by their journals. Default: none. */
  readonly earlier?: readonly EarlierTransfer[];
}

/** What was found out about the transfer of a group before it is planned. */
export interface GroupFacts {
  readonly wish: GroupWish;
  readonly now: number;
  readonly token: GitLabTokenFacts;
  readonly group: {
    readonly id: number;
    readonly fullPath: string;
    /** The last part of it. */
    readonly path: string;
    /** Undefined: it is a top-level group. */
    readonly parentId?: number;
    /** Undefined: not known. */
    readonly visibility?: Visibility;
    /** Whether the token's owner owns it; undefined: not known. */
    readonly isOwned?: boolean;
  };
  readonly target: {
    readonly fullPath: string;
    readonly path: string;
    /** Undefined: it becomes a top-level group. */
    readonly parentId?: number;
    /** Of that group; undefined: not known. */
    readonly visibility?: Visibility;
    /** Whether the token's owner may move groups there; undefined: not known. */
    readonly isAllowed?: boolean;
    /** Why no group can have this path; undefined: one can. */
    readonly whyNotPath?: string;
    /** As of a project. */
    readonly taken: Pick<
      TargetFacts['taken'],
      'atTarget' | 'isGroup' | 'oldPathInNew' | 'newPathInOld'
    >;
  };
  /** Its projects with images, or with records of images, as far as they were looked at. */
  readonly projects: readonly TransferFacts[];
  /** All other projects below it. */
  readonly others: readonly {readonly fullPath: string; readonly isRegistryDisabled: boolean}[];
  /** GitLab's records below it whose repositories have no tags, as `host/path`. */
  readonly records: readonly string[];
  /** As of a project. */
  readonly access?: AccessFacts;
  /** Records that GitLab is deleting, or failed to delete. */
  readonly deletions: readonly {readonly path: string; readonly status: string}[];
}

/** Images of a repository that has no tags any more, in a project that looks like the donor of an earlier transfer. */
export interface WaitingImages {
  /** Full path of that project. */
  readonly donor: string;
  /** `host/path` where they were, and where they are. */
  readonly from: string;
  readonly at: string;
  /** How many tags. */
  readonly tags: number;
}

/** What the journal of an earlier transfer of the project says. */
export interface EarlierTransfer {
  /** The file of its plan, as commands take it: with the flag for its journal where that is not beside the plan. */
  readonly planFile: string;
  /** Full path of the project then. */
  readonly from: string;
  readonly donor: string;
  /** Tags that it deleted and neither put back nor brought to the new path. `repository` is `host/path`. */
  readonly deleted: readonly {readonly repository: string; readonly tag: string}[];
  /** The cleanup policy that it switched off, as it was before. */
  readonly paused?: PolicyState;
}

/** Who may use the images because of the groups that they are below. Names of users, tokens and full paths. */
export interface AccessFacts {
  /** Users with a role in the old groups alone, and in the new ones alone. */
  readonly lost: readonly string[];
  readonly gained: readonly string[];
  /** Those of groups that are left, for registries. */
  readonly deployTokens: readonly {readonly group: string; readonly name: string}[];
  /** Projects that move, and groups that they leave and whose jobs their allowlists name. */
  readonly allows: readonly {readonly project: string; readonly group: string}[];
  /** Projects that stay, and groups that are left and whose jobs their allowlists name. */
  readonly allowedBy: readonly {readonly project: string; readonly group: string}[];
  /** What the token may not see. */
  readonly unseen: readonly string[];
}

/** What was found wrong, in words. */
export type TransferProblem = Pick<Check, 'code' | 'message' | 'hint'>;

export interface ProjectFacts {
  readonly id: number;
  /** What people call it; a namespace has each name once. */
  readonly name?: string;
  /** Undefined: not known. */
  readonly visibility?: Visibility;
  /** Before the move. */
  readonly fullPath: string;
  /** The last part of it. */
  readonly path: string;
  readonly namespace: {readonly id: number; readonly fullPath: string};
  readonly archived: boolean;
  /** Set where the project waits for its deletion. */
  readonly deletionDate?: string;
  /** Of the token's owner; 0: GitLab does not tell. */
  readonly accessLevel: number;
  readonly isRegistryDisabled: boolean;
  /** Undefined: there is none, or the token may not see it. */
  readonly policy?: PolicyState;
  readonly policyRunsAt?: number;
  /** Undefined: not known. */
  readonly hasRunningPipelines?: boolean;
  /** An npm package whose name has the top-level group in it, as `@org/lib`; undefined: none is seen. */
  readonly scopedPackage?: string;
}

/** Where the project is to be. */
export interface TargetFacts {
  readonly fullPath: string;
  /** The last part of it. */
  readonly path: string;
  readonly namespace: {
    readonly id: number;
    readonly fullPath: string;
    /** Of a group; undefined: not known. */
    readonly visibility?: Visibility;
    /** It is that of a user. */
    readonly isUser?: true;
  };
  /** Whether the token's owner may move projects there; undefined: not known. */
  readonly isAllowed?: boolean;
  /** Why no project can have this path; undefined: one can. */
  readonly whyNotPath?: string;
  /** Why no images can live below this path; undefined: they can. */
  readonly whyNotImages?: string;
  /** Full paths of other projects, or of groups, that are in the way. */
  readonly taken: {
    /** At `fullPath`. */
    readonly atTarget?: string;
    /** What is there is a group, in which the project could keep its path. */
    readonly isGroup?: boolean;
    /** In the new namespace under the old path: in the way of a transfer before the change of path. */
    readonly oldPathInNew?: string;
    /** In the old namespace under the new path: in the way of a change of path before the transfer. */
    readonly newPathInOld?: string;
    /** In the new namespace with the project's name, which GitLab refuses as well. */
    readonly name?: string;
  };
}

export interface GitLabTokenFacts {
  readonly kind: 'access-token' | 'job-token';
  /** Undefined: GitLab does not tell. */
  readonly scopes?: readonly string[];
  readonly expiresAt?: number;
  readonly isAdmin: boolean;
}

export interface RegistryFacts {
  /** `host[:port]`. */
  readonly host: string;
  /** GitLab's version of it; undefined: it is not GitLab's. */
  readonly version?: string;
  readonly deletesTags: boolean;
  readonly database: boolean;
  /** How far the registry's clock is ahead of GitLab's, in ms. */
  readonly aheadOfGitLabMs?: number;
  /** How far GitLab's clock is ahead of this machine's, in ms. */
  readonly gitlabAheadMs?: number;
  /** What was asked for at the old path, and what of it was not granted; undefined: the registry does not tell. */
  readonly missingActions?: readonly string[];
  /** Whether it takes deletions, tried on a tag that is not there; undefined: not tried. */
  readonly deletion?: 'taken' | TransferProblem;
  /** Whether it takes uploads and each kind of manifest, tried at the old path; undefined: not tried. */
  readonly writes?: 'taken' | readonly TransferProblem[];
  /** What the registry's own token says about the tags of the project; undefined: it does not say. */
  readonly tagLimits?: TagLimits;
}

/** One image repository. */
export interface RepositoryFacts {
  /** `host/path` before, and after. */
  readonly from: string;
  readonly to: string;
  /** At the donor: `host/path`, or `oci:DIR`. */
  readonly donor: string;
  /** Why no image can live at `to`; undefined: it can. */
  readonly whyNotTo?: string;
  /** How far GitLab is with deleting it. */
  readonly deletion?: 'delete_scheduled' | 'delete_ongoing' | 'delete_failed';
  readonly source: SourceInventory;
  /** When its tags were pushed, by tag; undefined: the registry does not know. */
  readonly tagTimes?: ReadonlyMap<string, number>;
  /** What the donor has already. */
  readonly atDonor: DestinationInventory;
  /** Tags that the donor has and the old path lacks. Default: none. */
  readonly onlyAtDonor?: readonly string[];
  /** Media types of it that GitLab's database does not know. */
  readonly unknownMediaTypes: readonly string[];
}

export interface DonorFacts {
  readonly donor: Donor;
  /** Why a project cannot be the donor; undefined: it can. */
  readonly problem?: TransferProblem;
  /** Whether a donor project that is not there may be created. */
  readonly mayCreate: boolean;
  /** Of a project: what its registry does not grant; undefined: not asked, or the registry does not tell. */
  readonly missingActions?: readonly string[];
  /** Of a project: what came of a tag that was pushed, deleted and listed. */
  readonly probe?: 'passed' | TransferProblem;
  /** Of a directory: bytes that are free. */
  readonly freeBytes?: number;
  /** Of a directory: the first thing found there that is no image layout; undefined: there is none. */
  readonly stranger?: string;
  /** Of a directory: it is planned in a CI job, whose files may go with it. */
  readonly isInJob?: boolean;
}

export interface RuleFacts {
  /** Undefined: this version of GitLab does not tell. */
  readonly repositories?: readonly {
    /** GitLab's ID; undefined: not known. */
    readonly id?: number;
    readonly pattern: string;
    readonly push?: number;
    readonly delete?: number;
  }[];
  /** Undefined: this version of GitLab does not tell. */
  readonly tags?: readonly {
    readonly pattern: string;
    readonly immutable: boolean;
    readonly push?: number;
    readonly delete?: number;
  }[];
}

export function forbid(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'forbid', subject, message, hint};
}

/** Something that was proved: nothing has to be done about it. */
export function pass(code: Check['code'], subject: string, message: string): Check {
  return {code, result: 'pass', subject, message, hint: ''};
}

export function warn(code: Check['code'], subject: string, message: string, hint: string): Check {
  return {code, result: 'warn', subject, message, hint};
}

/** What was found wrong while it was tried out. */
export function forbidProblem(subject: string, {code, message, hint}: TransferProblem): Check {
  return forbid(code, subject, message, hint);
}
