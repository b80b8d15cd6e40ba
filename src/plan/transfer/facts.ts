import type {Check, Visibility} from '../../model/plan.ts';
import type {TagLimits} from '../../model/port.ts';
import type {Donor, GroupWish, PolicyState, ProjectWish} from '../../model/transfer-plan.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';

/**
 * The facts about the transfer of a project before it is planned. They are plain data, so that decisions can be tested
 * without a GitLab instance. Times are in ms since the epoch; access levels are GitLab's numbers, where 50 is an owner.
 */
export interface TransferFacts {
  readonly wish: ProjectWish;
  /** The time on this machine. */
  readonly now: number;
  /** The user requested a donor even if GitLab can move the images itself. */
  readonly staged: boolean;
  /** The project moves with its group, and its path is not changed by itself. Default: no. */
  readonly withGroup?: boolean;
  /** Only owners may push to the old path during the move. Default: no change. */
  readonly freeze?: boolean;
  readonly project: ProjectFacts;
  readonly target: TargetFacts;
  readonly token: GitLabTokenFacts;
  /** Undefined: the instance has no registry, or does not report one. */
  readonly registry?: RegistryFacts;
  /** All image repositories of the project in the registry, including those without tags. */
  readonly repositories: readonly RepositoryFacts[];
  /** Registry paths of the project for which GitLab counts no tags. Default: none. */
  readonly untagged?: readonly string[];
  /** Images of those repositories in other projects that may be donors of an earlier transfer. Default: none. */
  readonly waiting?: readonly WaitingImages[];
  readonly donor: DonorFacts;
  readonly rules: RuleFacts;
  /** Undefined: the namespace stays the same, or GitLab does not report access. */
  readonly access?: AccessFacts;
  /** Unfinished transfers of the project, according to their journals. Default: none. */
  readonly earlier?: readonly EarlierTransfer[];
}

/** The facts about the transfer of a group before it is planned. */
export interface GroupFacts {
  readonly wish: GroupWish;
  readonly now: number;
  readonly token: GitLabTokenFacts;
  readonly group: {
    readonly id: number;
    readonly fullPath: string;
    /** The last part of the full path. */
    readonly path: string;
    /** Undefined: it is a top-level group. */
    readonly parentId?: number;
    /** Undefined: unknown. */
    readonly visibility?: Visibility;
    /** Whether the token's owner is an owner of the group; undefined: unknown. */
    readonly isOwned?: boolean;
  };
  readonly target: {
    readonly fullPath: string;
    readonly path: string;
    /** Undefined: it becomes a top-level group. */
    readonly parentId?: number;
    /** The visibility of the parent group; undefined: unknown. */
    readonly visibility?: Visibility;
    /** Whether the token's owner may move groups there; undefined: unknown. */
    readonly isAllowed?: boolean;
    /** Why no group can have this path; undefined: the path is valid. */
    readonly whyNotPath?: string;
    /** See `TargetFacts`. */
    readonly taken: Pick<
      TargetFacts['taken'],
      'atTarget' | 'isGroup' | 'oldPathInNew' | 'newPathInOld'
    >;
  };
  /** Its projects with images or with records of images, as far as they were examined. */
  readonly projects: readonly TransferFacts[];
  /** All other projects below it. */
  readonly others: readonly {readonly fullPath: string; readonly isRegistryDisabled: boolean}[];
  /** GitLab's records below it whose repositories have no tags, as `host/path`. */
  readonly records: readonly string[];
  /** See `TransferFacts`. */
  readonly access?: AccessFacts;
  /** Records that GitLab is deleting, or failed to delete. */
  readonly deletions: readonly {readonly path: string; readonly status: string}[];
}

/** Images of a repository that no longer has tags, in a project that may be the donor of an earlier transfer. */
export interface WaitingImages {
  /** The full path of that project. */
  readonly donor: string;
  /** The original repository and the current one, `host/path`. */
  readonly from: string;
  readonly at: string;
  /** The number of tags. */
  readonly tags: number;
}

/** An earlier transfer of the project, according to its journal. */
export interface EarlierTransfer {
  /** The plan file as a command-line argument, including the flag for the journal if that is not beside the plan. */
  readonly planFile: string;
  /** The full path of the project at that time. */
  readonly from: string;
  readonly donor: string;
  /** Tags that it deleted and did not restore or push to the new path. `repository` is `host/path`. */
  readonly deleted: readonly {readonly repository: string; readonly tag: string}[];
  /** The cleanup policy before the transfer disabled it. */
  readonly paused?: PolicyState;
}

/**
 * Changes of access to the images that follow from the groups above them. Names of users and tokens, and full paths.
 */
export interface AccessFacts {
  /** Users with a role only in the old groups, and only in the new ones. */
  readonly lost: readonly string[];
  readonly gained: readonly string[];
  /** Registry deploy tokens of groups that the project leaves. */
  readonly deployTokens: readonly {readonly group: string; readonly name: string}[];
  /** Projects that move, and the groups that they leave and whose jobs are on their allowlists. */
  readonly allows: readonly {readonly project: string; readonly group: string}[];
  /** Projects that do not move, and the groups on their allowlists that the moved projects leave. */
  readonly allowedBy: readonly {readonly project: string; readonly group: string}[];
  /** What the token has no permission to read. */
  readonly unseen: readonly string[];
}

/** A problem that was found, as a check without result and subject. */
export type TransferProblem = Pick<Check, 'code' | 'message' | 'hint'>;

export interface ProjectFacts {
  readonly id: number;
  /** The display name, which is unique in a namespace. */
  readonly name?: string;
  /** Undefined: unknown. */
  readonly visibility?: Visibility;
  /** The path before the move. */
  readonly fullPath: string;
  /** The last part of the full path. */
  readonly path: string;
  readonly namespace: {readonly id: number; readonly fullPath: string};
  readonly archived: boolean;
  /** Set if the project is marked for deletion. */
  readonly deletionDate?: string;
  /** The level of the token's owner; 0: GitLab does not report it. */
  readonly accessLevel: number;
  readonly isRegistryDisabled: boolean;
  /** Undefined: there is none, or the token has no permission to read it. */
  readonly policy?: PolicyState;
  readonly policyRunsAt?: number;
  /** Undefined: unknown. */
  readonly hasRunningPipelines?: boolean;
  /** An npm package that is named after the top-level group, such as `@org/lib`; undefined: none was found. */
  readonly scopedPackage?: string;
}

/** The path of the project after the move. */
export interface TargetFacts {
  readonly fullPath: string;
  /** The last part of the full path. */
  readonly path: string;
  readonly namespace: {
    readonly id: number;
    readonly fullPath: string;
    /** The visibility of the group; undefined: unknown. */
    readonly visibility?: Visibility;
    /** The namespace belongs to a user. */
    readonly isUser?: true;
  };
  /** Whether the token's owner may move projects there; undefined: unknown. */
  readonly isAllowed?: boolean;
  /** Why no project can have this path; undefined: the path is valid. */
  readonly whyNotPath?: string;
  /** Why no images can be below this path; undefined: they can. */
  readonly whyNotImages?: string;
  /** Full paths of other projects or groups that conflict with the move. */
  readonly taken: {
    /** The one at `fullPath`. */
    readonly atTarget?: string;
    /** The one at `fullPath` is a group, to which the project could be moved with its path unchanged. */
    readonly isGroup?: boolean;
    /** The one in the new namespace with the old path, which prevents a transfer before the change of path. */
    readonly oldPathInNew?: string;
    /** The one in the old namespace with the new path, which prevents a change of path before the transfer. */
    readonly newPathInOld?: string;
    /** The one in the new namespace with the project's name, which GitLab does not allow either. */
    readonly name?: string;
  };
}

export interface GitLabTokenFacts {
  readonly kind: 'access-token' | 'job-token';
  /** Undefined: GitLab does not report them. */
  readonly scopes?: readonly string[];
  readonly expiresAt?: number;
  readonly isAdmin: boolean;
}

export interface RegistryFacts {
  /** `host[:port]`. */
  readonly host: string;
  /** GitLab's version of the registry; undefined: it is not GitLab's registry. */
  readonly version?: string;
  readonly deletesTags: boolean;
  readonly database: boolean;
  /** How far the clock of the registry is ahead of GitLab's, in ms. */
  readonly aheadOfGitLabMs?: number;
  /** How far GitLab's clock is ahead of this machine's, in ms. */
  readonly gitlabAheadMs?: number;
  /** Actions that were requested at the old path and not granted; undefined: the registry does not report them. */
  readonly missingActions?: readonly string[];
  /** Whether it accepts deletions, tried with a tag that does not exist; undefined: not tried. */
  readonly deletion?: 'taken' | TransferProblem;
  /** Whether it accepts uploads and each kind of manifest, tried at the old path; undefined: not tried. */
  readonly writes?: 'taken' | readonly TransferProblem[];
  /** Restrictions on tags of the project in the registry's token; undefined: the token names none. */
  readonly tagLimits?: TagLimits;
}

/** An image repository. */
export interface RepositoryFacts {
  /** `host/path` before and after the move. */
  readonly from: string;
  readonly to: string;
  /** The repository at the donor: `host/path`, or `oci:DIR`. */
  readonly donor: string;
  /** Why no images can be at `to`; undefined: they can. */
  readonly whyNotTo?: string;
  /** The state of GitLab's deletion of the repository, if any. */
  readonly deletion?: 'delete_scheduled' | 'delete_ongoing' | 'delete_failed';
  readonly source: SourceInventory;
  /** The times at which its tags were pushed, by tag; undefined: the registry does not report them. */
  readonly tagTimes?: ReadonlyMap<string, number>;
  /** The content at the donor. */
  readonly atDonor: DestinationInventory;
  /** Tags at the donor that the old path does not have. Default: none. */
  readonly onlyAtDonor?: readonly string[];
  /** Media types in it that GitLab's database does not know. */
  readonly unknownMediaTypes: readonly string[];
}

export interface DonorFacts {
  readonly donor: Donor;
  /** Why a project cannot be the donor; undefined: it can. */
  readonly problem?: TransferProblem;
  /** Whether a donor project that does not exist may be created. */
  readonly mayCreate: boolean;
  /** Projects only: actions that its registry does not grant; undefined: not tried, or not reported. */
  readonly missingActions?: readonly string[];
  /** Projects only: the result of pushing, listing and deleting a tag. */
  readonly probe?: 'passed' | TransferProblem;
  /** Directories only: free bytes. */
  readonly freeBytes?: number;
  /** Directories only: the first file that does not belong to an image layout; undefined: there is none. */
  readonly stranger?: string;
  /** Directories only: the plan is made in a CI job, which may delete its files. */
  readonly isInJob?: boolean;
}

export interface RuleFacts {
  /** Undefined: this version of GitLab does not report them. */
  readonly repositories?: readonly {
    /** GitLab's ID; undefined: unknown. */
    readonly id?: number;
    readonly pattern: string;
    readonly push?: number;
    readonly delete?: number;
  }[];
  /** Undefined: this version of GitLab does not report them. */
  readonly tags?: readonly {
    readonly pattern: string;
    readonly immutable: boolean;
    readonly push?: number;
    readonly delete?: number;
  }[];
}
