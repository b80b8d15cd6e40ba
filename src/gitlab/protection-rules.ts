import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import {apiPath, type Connection} from './connection.ts';
import {ACCESS_LEVEL, accessLevelOf, given} from './entities.ts';

/** Who may push to paths that match, and delete them. Levels are numbers of `ACCESS_LEVEL`; undefined: no limit. */
export interface RepositoryRule {
  readonly id: number;
  /** A full path with `*`; it keeps the old path when its project moves. */
  readonly pattern: string;
  readonly push?: number;
  readonly delete?: number;
}

/** Who may push tags that match, and delete them, in every repository of the project. */
export interface TagRule {
  readonly id: number;
  readonly pattern: string;
  /** Nobody may overwrite or delete them: such a rule names no levels. */
  readonly immutable: boolean;
  readonly push?: number;
  readonly delete?: number;
}

/** A level that we do not know keeps everybody out, as far as we can tell. */
const level = z
  .string()
  .transform((name) => accessLevelOf(name) ?? ACCESS_LEVEL.admin)
  .nullish();
const levels = {minimum_access_level_for_push: level, minimum_access_level_for_delete: level};

function limits(json: z.infer<z.ZodObject<typeof levels>>) {
  return given({
    push: json.minimum_access_level_for_push,
    delete: json.minimum_access_level_for_delete,
  });
}

const repositoryRuleSchema = z
  .object({id: z.int(), repository_path_pattern: z.string(), ...levels})
  .transform(
    (json): RepositoryRule => ({
      id: json.id,
      pattern: json.repository_path_pattern,
      ...limits(json),
    }),
  );

const tagRuleSchema = z
  .object({id: z.int(), tag_name_pattern: z.string(), ...levels})
  .transform((json): TagRule => {
    const found = limits(json);
    const immutable = Object.keys(found).length === 0;
    return {id: json.id, pattern: json.tag_name_pattern, immutable, ...found};
  });

/**
 * Calls about what may not be pushed or deleted (GitLab: doc/api/container_repository_protection_rules.md, since 17.2,
 * and doc/api/container_registry_protection_tag_rules.md, since 18.7).
 */
export class ProtectionRules {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Undefined: this version has no such rules to tell of. */
  async ofRepositories(
    projectId: number,
    {signal}: Call,
  ): Promise<readonly RepositoryRule[] | undefined> {
    const path = apiPath`projects/${projectId}/registry/protection/repository/rules`;
    return this.#connection.find({path, signal}, repositoryRuleSchema.array());
  }

  /** Undefined: this version cannot tell; there may be rules from 17.11 on. */
  async ofTags(projectId: number, {signal}: Call): Promise<readonly TagRule[] | undefined> {
    const path = apiPath`projects/${projectId}/registry/protection/tag/rules`;
    return this.#connection.find({path, signal}, tagRuleSchema.array());
  }

  /**
   * Lets only owners push to these paths.
   * @throws TransshipError FORBIDDEN; GITLAB_REFUSED where there is a rule for the pattern
   */
  async createRepositoryRule(
    projectId: number,
    pattern: string,
    {signal}: Call,
  ): Promise<RepositoryRule> {
    return this.#connection.read(
      {
        method: 'POST',
        path: apiPath`projects/${projectId}/registry/protection/repository/rules`,
        body: {repository_path_pattern: pattern, minimum_access_level_for_push: 'owner'},
        signal,
      },
      repositoryRuleSchema,
    );
  }

  async removeRepositoryRule(projectId: number, ruleId: number, {signal}: Call): Promise<void> {
    const path = apiPath`projects/${projectId}/registry/protection/repository/rules/${ruleId}`;
    await this.#connection.remove({method: 'DELETE', path, signal});
  }

  /** Gives a rule another pattern: after a move it has to name the new path. */
  async moveRepositoryRule(
    projectId: number,
    ruleId: number,
    pattern: string,
    {signal}: Call,
  ): Promise<RepositoryRule> {
    return this.#connection.read(
      {
        method: 'PATCH',
        path: apiPath`projects/${projectId}/registry/protection/repository/rules/${ruleId}`,
        body: {repository_path_pattern: pattern},
        signal,
      },
      repositoryRuleSchema,
    );
  }
}
