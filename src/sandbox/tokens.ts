import {randomUUID, sign, verify} from 'node:crypto';
import {parseJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {
  type Access,
  allowed,
  findUser,
  type Grant,
  parseBasic,
  parseScopes,
  type User,
} from './auth.ts';
import {type Exchange, jsonReply, refusal, type Reply} from './exchange.ts';
import {RequestLog, startHttpServer} from './http-server.ts';
import {TOKEN_PATH} from './route.ts';
import {makeSigningKey, type SigningKey} from './signing-key.ts';

export interface TokenOptions {
  readonly users: readonly User[];
  /** Permissions without credentials. Default: none. */
  readonly anonymous?: readonly Grant[];
  /** Default: 300, as in GitLab. */
  readonly tokenLifeSeconds?: number;
  /** How long an expired token is still accepted. Default: 60, as in GitLab. */
  readonly leewaySeconds?: number;
  /** Default: `container_registry`, as in GitLab. */
  readonly service?: string;
  readonly issuer?: string;
  /** The time in ms, for tests. */
  readonly clock?: () => number;
}

/** Issues tokens as GitLab does, and verifies them. */
export class TokenService {
  readonly service: string;
  readonly issuer: string;
  readonly #options: TokenOptions;
  readonly #signer: TokenSigner;

  constructor(options: TokenOptions) {
    this.#options = options;
    this.#signer = new TokenSigner(options.leewaySeconds ?? 60, options.clock ?? Date.now);
    this.service = options.service ?? 'container_registry';
    this.issuer = options.issuer ?? 'transship-sandbox';
  }

  /** For a registry's REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE. */
  get certificatePem(): string {
    return this.#signer.key.certificatePem;
  }

  /**
   * `GET /jwt/auth?service=…&scope=…&scope=…` (GitLab: app/controllers/jwt_controller.rb,
   * app/services/auth/container_registry_authentication_service.rb): actions that are not granted are missing from the
   * token, and the response contains only the token, without `expires_in`.
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
    return jsonReply(200, {token: this.#signer.sign(claims, life)});
  }

  /** The claims of a token; undefined: it is invalid or expired. */
  verify(token: string): TokenClaims | undefined {
    const claims = this.#signer.verify(token);
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

/** The claims of a token, without its times (distribution: docs/spec/auth/jwt.md). */
export interface TokenClaims {
  readonly issuer: string;
  readonly service: string;
  readonly subject: string;
  readonly access: readonly Access[];
}

const payloadSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.string(),
  nbf: z.number(),
  exp: z.number(),
  access: z.array(
    z.object({
      type: z.enum(['repository', 'registry']),
      name: z.string(),
      actions: z.array(z.enum(['pull', 'push', 'delete', '*'])),
    }),
  ),
});

/** A signature of JWS consists of two concatenated numbers, not of DER (RFC 7518, 3.4). */
const ENCODING = {dsaEncoding: 'ieee-p1363'} as const;

/** GitLab antedates a token, for registries whose clock is slow (lib/json_web_token/token.rb). */
const NOT_BEFORE_SECONDS = 5;

/** The number of tokens that a signer remembers. */
const REMEMBERED = 1000;

type TokenPayload = z.infer<typeof payloadSchema>;

/** Signs tokens with its own key, and verifies them. */
export class TokenSigner {
  readonly key: SigningKey = makeSigningKey();
  readonly #leewaySeconds: number;
  readonly #clock: () => number;
  /**
   * Tokens with a valid signature, oldest first. Verification takes longer than most responses, and clients send a
   * token with each request.
   */
  readonly #genuine = new Map<string, TokenPayload>();

  /**
   * @param leewaySeconds the tolerated difference of the clocks
   * @param clock the time in ms
   */
  constructor(leewaySeconds: number, clock: () => number) {
    this.#leewaySeconds = leewaySeconds;
    this.#clock = clock;
  }

  /** @returns a JWT signed with ES256 */
  sign({issuer, service, subject, access}: TokenClaims, lifeSeconds: number): string {
    const {id, privateKey} = this.key;
    const iat = Math.floor(this.#clock() / 1000);
    const times = {iat, nbf: iat - NOT_BEFORE_SECONDS, exp: iat + lifeSeconds};
    const claims = {iss: issuer, aud: service, sub: subject, jti: randomUUID(), access};
    const signed = `${encode({typ: 'JWT', alg: 'ES256', kid: id})}.${encode({...claims, ...times})}`;
    const signature = sign('sha256', Buffer.from(signed), {key: privateKey, ...ENCODING});
    return `${signed}.${signature.toString('base64url')}`;
  }

  /** The claims of a token; undefined: signed by another key, expired, or not valid yet. */
  verify(token: string): TokenClaims | undefined {
    const payload = this.#genuine.get(token) ?? this.#check(token);
    if (payload === undefined) return undefined;
    const seconds = this.#clock() / 1000;
    if (seconds >= payload.exp + this.#leewaySeconds || seconds < payload.nbf - this.#leewaySeconds)
      return undefined;
    const {iss: issuer, aud: service, sub: subject, access} = payload;
    return {issuer, service, subject, access};
  }

  /** Verifies the signature. The header is ignored: there is one key and one algorithm. */
  #check(token: string): TokenPayload | undefined {
    const [header, payload, signature, ...more] = token.split('.');
    if (header === undefined || payload === undefined || signature === undefined || more.length > 0)
      return undefined;
    const signed = Buffer.from(`${header}.${payload}`);
    const bytes = Buffer.from(signature, 'base64url');
    if (!verify('sha256', signed, {key: this.key.publicKey, ...ENCODING}, bytes)) return undefined;
    const parsed = payloadSchema.parse(parseJson(Buffer.from(payload, 'base64url')));
    const [oldest] = this.#genuine.keys();
    if (oldest !== undefined && this.#genuine.size >= REMEMBERED) this.#genuine.delete(oldest);
    this.#genuine.set(token, parsed);
    return parsed;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token service of its own, for a registry in another process. */
export interface TokenServer extends AsyncDisposable {
  /** For REGISTRY_AUTH_TOKEN_REALM. */
  readonly realm: string;
  /** For REGISTRY_AUTH_TOKEN_SERVICE. */
  readonly service: string;
  /** For REGISTRY_AUTH_TOKEN_ISSUER. */
  readonly issuer: string;
  /** For the file that REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE names. */
  readonly certificatePem: string;
  readonly log: RequestLog;
  close(): Promise<void>;
}

/** @param options.port default: a free port */
export async function startTokenServer(
  options: TokenOptions & {readonly port?: number},
): Promise<TokenServer> {
  const tokens = new TokenService(options);
  const log = new RequestLog();
  const server = await startHttpServer(options.port ?? 0, log, async (exchange: Exchange) => {
    if (exchange.route.kind === 'token') return tokens.answer(exchange);
    throw refusal(404, 'UNKNOWN', 'no such endpoint', exchange.path);
  });
  const close = () => server.close();
  return {
    realm: `http://${server.host}${TOKEN_PATH}`,
    service: tokens.service,
    issuer: tokens.issuer,
    certificatePem: tokens.certificatePem,
    log,
    close,
    [Symbol.asyncDispose]: close,
  };
}
