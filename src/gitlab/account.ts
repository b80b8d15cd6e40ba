import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import type {Connection} from './connection.ts';
import {given} from './entities.ts';

/** A token, as GitLab describes it. */
export interface TokenInfo {
  readonly name: string;
  /** `api`, `read_api`, `read_registry`, `write_registry` and others. */
  readonly scopes: readonly string[];
  /** `2027-01-31`; undefined: it does not end. */
  readonly expiresOn?: string;
}

export interface User {
  readonly id: number;
  readonly username: string;
  /** Shown to administrators only. */
  readonly isAdmin: boolean;
}

const tokenSchema = z
  .object({
    name: z.string().nullish(),
    scopes: z.array(z.string()),
    expires_at: z.string().nullish(),
  })
  .transform(
    ({name, scopes, expires_at: expiresOn}): TokenInfo => ({
      name: name ?? '',
      scopes,
      ...given({expiresOn}),
    }),
  );

const userSchema = z
  .object({id: z.int(), username: z.string(), is_admin: z.boolean().nullish()})
  .transform(({id, username, is_admin}): User => ({id, username, isAdmin: is_admin ?? false}));

const versionSchema = z.object({version: z.string()});

/** Calls about the token, its owner and the instance. */
export class Account {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * The token's scopes and end (GitLab: doc/api/personal_access_tokens.md, "Get details on the current token");
   * undefined: it is no access token, as that of a CI job.
   */
  async token({signal}: Call): Promise<TokenInfo | undefined> {
    return this.#connection.find({path: 'personal_access_tokens/self', signal}, tokenSchema);
  }

  /** @throws TransshipError TOKEN_SCOPE_MISSING, UNAUTHORIZED */
  async user({signal}: Call): Promise<User> {
    return this.#connection.read({path: 'user', signal}, userSchema);
  }

  /** GitLab's clock, in ms since the epoch, to a second; undefined: it does not tell. */
  async clock({signal}: Call): Promise<number | undefined> {
    const answer = await this.#connection.send({path: 'version', signal});
    await answer.discard();
    const clock = Date.parse(answer.header('date') ?? '');
    return Number.isNaN(clock) ? undefined : clock;
  }

  /** The version of GitLab, such as `18.7.1-ee`. */
  async version({signal}: Call): Promise<string> {
    const {version} = await this.#connection.read({path: 'version', signal}, versionSchema);
    return version;
  }
}
