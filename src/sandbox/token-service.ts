import {type Access, parseScopes} from './access.ts';
import {allowed, findUser, type Grant, parseBasic, type User} from './account.ts';
import type {Exchange} from './exchange.ts';
import {refusal} from './refusal.ts';
import {jsonReply, type Reply} from './reply.ts';
import {makeSigningKey, type SigningKey} from './signing-key.ts';
import {signToken, type TokenClaims, verifyToken} from './token.ts';

export interface TokenOptions {
  readonly users: readonly User[];
  /** What may be done without credentials. Default: nothing. */
  readonly anonymous?: readonly Grant[];
  /** Default: 300, as GitLab's. */
  readonly tokenLifeSeconds?: number;
  /** How long after its end a token is still taken. Default: 60, as GitLab's. */
  readonly leewaySeconds?: number;
  /** Default: `container_registry`, as GitLab's. */
  readonly service?: string;
  readonly issuer?: string;
  /** The time in ms, for tests. */
  readonly clock?: () => number;
}

/** Hands out tokens in GitLab's manner, and reads them again. */
export class TokenService {
  readonly service: string;
  readonly issuer: string;
  readonly key: SigningKey = makeSigningKey();
  readonly #options: TokenOptions;
  readonly #clock: () => number;

  constructor(options: TokenOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.service = options.service ?? 'container_registry';
    this.issuer = options.issuer ?? 'transship-sandbox';
  }

  /**
   * `GET /jwt/auth?service=…&scope=…&scope=…`, as GitLab answers it (jwt_controller.rb,
   * container_registry_authentication_service.rb): actions that are not granted are missing from the token, and the
   * token alone is sent, without `expires_in`.
   * @throws Refusal UNAUTHORIZED, DENIED
   */
  async answer({method, query, headers}: Exchange): Promise<Reply> {
    if (method !== 'GET' && method !== 'HEAD') throw refusal(404, 'UNKNOWN', 'not found');
    const service = query.get('service');
    if (service !== this.service) throw refusal(404, 'UNKNOWN', 'unknown service', service);
    const user = this.#authenticate(headers.authorization);
    const access = this.#grant(user, parseScopes(query.getAll('scope')));
    if (!user && access.length === 0) throw refusal(403, 'DENIED', 'access forbidden');
    const claims = {issuer: this.issuer, service, subject: user?.name ?? '', access};
    const life = this.#options.tokenLifeSeconds ?? 300;
    return jsonReply(200, {token: signToken(claims, life, this.key, this.#clock())});
  }

  /** What a token says; undefined: it is not valid, or not any more. */
  verify(token: string): TokenClaims | undefined {
    const claims = verifyToken(token, this.key, this.#options.leewaySeconds ?? 60, this.#clock());
    return claims?.service === this.service && claims.issuer === this.issuer ? claims : undefined;
  }

  #authenticate(header: string | undefined): User | undefined {
    if (header === undefined) return undefined;
    const credentials = parseBasic(header);
    const user = credentials && findUser(this.#options.users, credentials);
    if (user) return user;
    throw refusal(401, 'UNAUTHORIZED', 'HTTP Basic: Access denied', undefined, {
      'www-authenticate': 'Basic realm="GitLab"',
    });
  }

  #grant(user: User | undefined, wanted: readonly Access[]): readonly Access[] {
    const grants = [...(user?.grants ?? []), ...(this.#options.anonymous ?? [])];
    return wanted
      .map((access) => ({...access, actions: allowed(grants, access)}))
      .filter(({actions}) => actions.length > 0);
  }
}
