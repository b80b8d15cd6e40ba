import {z} from '../model/schema.ts';
import {type CleanupPolicy, cleanupPolicySchema} from './cleanup-policy.ts';
import {given} from './given.ts';
import {type Namespace, namespaceSchema} from './namespace.ts';

/** Who may use a project's registry: `enabled` everybody who sees the project, `private` its members. */
export type RegistryAccess = 'enabled' | 'private' | 'disabled';

export type Visibility = 'private' | 'internal' | 'public';

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
    container_registry_image_prefix: z.string().nullish(),
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
        registryHost: json.container_registry_image_prefix?.split('/')[0],
        cleanupPolicy: json.container_expiration_policy?.policy,
        cleanupRunsAt: json.container_expiration_policy?.run.next_run_at,
      }),
    }),
  );
