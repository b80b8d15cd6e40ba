import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import {apiPath, type Connection} from './connection.ts';

/** A token for deployments of all projects below a group. */
export interface DeployToken {
  readonly name: string;
  readonly scopes: readonly string[];
}

const deployTokenSchema = z
  .object({name: z.string(), scopes: z.array(z.string()).default([])})
  .transform(({name, scopes}): DeployToken => ({name, scopes}));

const scopeSchema = z.object({inbound_enabled: z.boolean()});
const allowedSchema = z.object({id: z.int()});

/**
 * Calls about who has access to images without being a member: deploy tokens (GitLab: doc/api/deploy_tokens.md) and the
 * jobs of other projects (GitLab: doc/api/project_job_token_scopes.md). Both show them to maintainers.
 */
export class ForeignAccess {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Those of a group that are neither revoked nor expired. @throws TransshipError FORBIDDEN */
  async deployTokens(groupId: number, {signal}: Call): Promise<readonly DeployToken[]> {
    const path = apiPath`groups/${groupId}/deploy_tokens`;
    return this.#connection.list({path, query: {active: true}, signal}, deployTokenSchema);
  }

  /**
   * IDs of the groups whose jobs may use the images of a project; undefined: all jobs of members may, or this version
   * (before 15.9) does not tell.
   * @throws TransshipError FORBIDDEN
   */
  async allowedGroups(projectId: number, {signal}: Call): Promise<readonly number[] | undefined> {
    const path = apiPath`projects/${projectId}/job_token_scope`;
    const scope = await this.#connection.find({path, signal}, scopeSchema);
    if (scope?.inbound_enabled !== true) return undefined;
    const groups = await this.#connection.list(
      {path: `${path}/groups_allowlist`, signal},
      allowedSchema,
    );
    return groups.map(({id}) => id);
  }
}
