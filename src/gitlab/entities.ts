import type {Visibility} from '../model/plan.ts';
import {isHostName} from '../model/reference.ts';
import {z} from '../model/schema.ts';

/** Those of the members that have a value: GitLab writes null, or nothing at all, where there is none. */
export function given<T extends object>(members: T): {[K in keyof T]?: NonNullable<T[K]>} {
  const entries = Object.entries(members).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(entries) as {[K in keyof T]?: NonNullable<T[K]>};
}

/** The registry of an image path: requests with a token go there. Empty: the instance has none. */
export const registryHostSchema = z
  .string()
  .transform((imagePath) => imagePath.split('/')[0] ?? '')
  .refine((host) => host === '' || isHostName(host), {error: 'not the host of a registry'});

/** What a member may do, as a number that can be compared (GitLab: lib/gitlab/access.rb). */
export const ACCESS_LEVEL = {
  guest: 10,
  planner: 15,
  reporter: 20,
  developer: 30,
  maintainer: 40,
  owner: 50,
  admin: 60,
} as const;

export type AccessLevelName = keyof typeof ACCESS_LEVEL;

/** The level as rules write it; undefined: not a level we know. */
export function accessLevelOf(name: string): number | undefined {
  return Object.hasOwn(ACCESS_LEVEL, name) ? ACCESS_LEVEL[name as AccessLevelName] : undefined;
}

/** Where projects live: a group, or a user. */
export interface Namespace {
  readonly id: number;
  readonly kind: 'group' | 'user';
  readonly fullPath: string;
}

/** GitLab: lib/api/entities/namespace_basic.rb. */
export const namespaceSchema = z
  .object({
    id: z.int(),
    // Newer versions know a third kind, that of a project itself; nothing can be moved there.
    kind: z.string(),
    full_path: z.string(),
  })
  .transform(
    ({id, kind, full_path}): Namespace => ({
      id,
      kind: kind === 'user' ? 'user' : 'group',
      fullPath: full_path,
    }),
  );

export interface Group {
  readonly id: number;
  readonly name: string;
  /** The last part of `fullPath`. */
  readonly path: string;
  readonly fullPath: string;
  /** Undefined: a top-level group. */
  readonly parentId?: number;
  readonly visibility?: Visibility;
  /** Who may create projects in it: `noone`, or the lowest role; undefined: not known. */
  readonly projectCreation?: string;
  /** The lowest role that may create groups in it; undefined: not known. */
  readonly subgroupCreation?: string;
}

/** GitLab: lib/api/entities/group.rb. */
export const groupSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    path: z.string(),
    full_path: z.string(),
    parent_id: z.int().nullish(),
    visibility: z.enum(['private', 'internal', 'public']).optional().catch(undefined),
    project_creation_level: z.string().nullish().catch(undefined),
    subgroup_creation_level: z.string().nullish().catch(undefined),
  })
  .transform(
    ({id, name, path, full_path, parent_id, visibility, ...json}): Group => ({
      id,
      name,
      path,
      fullPath: full_path,
      ...given({
        parentId: parent_id,
        visibility,
        projectCreation: json.project_creation_level,
        subgroupCreation: json.subgroup_creation_level,
      }),
    }),
  );

/** A group that a project or a group may be transferred to. */
export interface TransferLocation {
  readonly id: number;
  readonly fullPath: string;
}

/** GitLab: lib/api/entities/public_group_details.rb. */
export const transferLocationSchema = z
  .object({id: z.int(), full_path: z.string()})
  .transform(({id, full_path}): TransferLocation => ({id, fullPath: full_path}));

/**
 * Deletes old tags regularly (GitLab: doc/user/packages/container_registry/reduce_container_registry_storage.md).
 * The names are those of the API's, so that a policy can be put back as it was.
 */
export interface CleanupPolicy {
  readonly enabled: boolean;
  /** `1d`, `7d`, `14d`, `1month` or `3month`. */
  readonly cadence?: string;
  /** Tags that are kept of each image. */
  readonly keep_n?: number;
  /** `7d`, `14d`, `30d` or `90d`. */
  readonly older_than?: string;
  /** RE2: the tags that may go. */
  readonly name_regex?: string;
  /** RE2: the tags that stay. */
  readonly name_regex_keep?: string;
}

const text = z.string().nullish();

/** `container_expiration_policy` of a project. */
const cleanupPolicySchema = z
  .object({
    enabled: z.boolean(),
    cadence: text,
    keep_n: z.int().nullish(),
    older_than: text,
    name_regex: text,
    name_regex_keep: text,
  })
  .transform(({enabled, ...rest}): CleanupPolicy => ({enabled, ...given(rest)}));

/** Who may use a project's registry: `enabled` everybody who sees the project, `private` its members. */
export type RegistryAccess = 'enabled' | 'private' | 'disabled';

/** A project, as far as a move of its images depends on it. */
export interface Project {
  readonly id: number;
  readonly name: string;
  /** The last part of `fullPath`. */
  readonly path: string;
  readonly fullPath: string;
  readonly namespace: Namespace;
  readonly description?: string;
  /** Whether its Git repository has nothing in it; undefined: the token may not see that. */
  readonly isRepositoryEmpty?: boolean;
  readonly visibility?: Visibility;
  /** An archived project cannot be transferred. */
  readonly archived: boolean;
  /** Set where the project waits for its deletion; it cannot be transferred then. */
  readonly deletionDate?: string;
  /** Undefined: the token may not see it. */
  readonly registryAccess?: RegistryAccess;
  /** `host[:port]` of the registry; undefined: this version does not tell. */
  readonly registryHost?: string;
  /** Undefined: the token may not see it. */
  readonly cleanupPolicy?: CleanupPolicy;
  /** When it runs next, in ISO 8601; undefined: it does not, or GitLab does not tell. */
  readonly cleanupRunsAt?: string;
  /** The highest access level of the token's owner, itself or through the group; 0: none, as for an admin. */
  readonly accessLevel: number;
}

const access = z
  .object({access_level: z.int()})
  .nullish()
  .transform((level) => level?.access_level ?? 0);

/** The policy as it can be put back, and apart from it what cannot. */
const cleanup = z.preprocess(
  (json) => (json === null || json === undefined ? json : {policy: json, run: json}),
  z
    .object({policy: cleanupPolicySchema, run: z.object({next_run_at: z.string().nullish()})})
    .nullish(),
);

/** GitLab: lib/api/entities/project.rb. */
export const projectSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    path: z.string(),
    path_with_namespace: z.string(),
    namespace: namespaceSchema,
    visibility: z.enum(['private', 'internal', 'public']).optional().catch(undefined),
    description: z.string().nullish(),
    empty_repo: z.boolean().nullish(),
    archived: z.boolean().nullish(),
    marked_for_deletion_on: z.string().nullish(),
    marked_for_deletion_at: z.string().nullish(),
    container_registry_access_level: z
      .enum(['enabled', 'private', 'disabled'])
      .optional()
      .catch(undefined),
    container_registry_image_prefix: registryHostSchema.nullish(),
    container_expiration_policy: cleanup.nullish(),
    permissions: z.object({project_access: access, group_access: access}).nullish(),
  })
  .transform(
    (json): Project => ({
      id: json.id,
      name: json.name,
      path: json.path,
      fullPath: json.path_with_namespace,
      namespace: json.namespace,
      archived: json.archived ?? false,
      accessLevel: Math.max(
        json.permissions?.project_access ?? 0,
        json.permissions?.group_access ?? 0,
      ),
      ...given({
        description: json.description,
        isRepositoryEmpty: json.empty_repo,
        visibility: json.visibility,
        deletionDate: json.marked_for_deletion_on ?? json.marked_for_deletion_at,
        registryAccess: json.container_registry_access_level,
        registryHost: json.container_registry_image_prefix,
        cleanupPolicy: json.container_expiration_policy?.policy,
        cleanupRunsAt: json.container_expiration_policy?.run.next_run_at,
      }),
    }),
  );
