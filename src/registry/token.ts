import type {HttpClient} from '../http/client.ts';
import type {HttpRequest} from '../http/request.ts';
import {redactUrl} from '../http/redaction.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {readJson} from '../model/json.ts';
import type {TagLimits} from '../model/port.ts';
import {list, z} from '../model/schema.ts';
import type {Credentials} from './credentials/credentials.ts';
import {readErrors} from './error-body.ts';
import {registryRefusal} from './refusal.ts';
import {covers, formatScope, isOpaque, type Scope} from './scope.ts';
import {SingleFlight} from '../http/single-flight.ts';
import type {RegistryOptions} from './registry-options.ts';

/** The token service of a registry: the parameters of its Bearer challenge. */
export interface TokenService {
  readonly realm: string;
  readonly service: string | undefined;
}

/** A token to request. */
/** A token to request. */
export interface TokenRequest {
  readonly service: TokenService;
  readonly scopes: readonly Scope[];
  readonly credentials: Credentials | undefined;
  /** A URL of the registry that names the service. */
  readonly registry: URL;
  /** The side to report in errors. */
  readonly side: Side;
  readonly signal: AbortSignal;
  /** The time in ms since the epoch. */
  readonly now: () => number;
}

const TOKEN_LIMIT = 256 * 1024;

/**
 * Fetches a token: GET with Basic credentials or none (distribution, docs/spec/auth/token.md), or, for an identity
 * token, the refresh grant of OAuth2 (docs/spec/auth/oauth.md).
 * @throws TransshipError UNAUTHORIZED, FORBIDDEN, RESPONSE_INVALID and network errors
 */
export async function fetchToken(http: HttpClient, wanted: TokenRequest): Promise<Token> {
  const realm = realmOf(http, wanted);
  const {credentials} = wanted;
  const request =
    credentials?.kind === 'identity-token'
      ? refreshRequest(realm, wanted, credentials.token)
      : tokenRequest(realm, wanted, credentials);
  const ledBy = http.leaderTo(realm, wanted.registry);
  const response = await http.send({...request, ledBy, readLimit: TOKEN_LIMIT});
  if (response.status !== 200) throw await registryRefusal(response, {ofTokenService: true});
  const {bytes} = await response.read(TOKEN_LIMIT);
  const token = parseToken(readJson(bytes, z.unknown()), wanted.now());
  if (token) return token;
  const page = await readErrors(response);
  const what = page.isHtml
    ? `with a web page ("${page.words}") instead of a token`
    : 'without a token';
  throw new TransshipError('RESPONSE_INVALID', `${redactUrl(realm)} answered ${what}`, {
    side: wanted.side,
    hint: page.isHtml
      ? 'a login page or a proxy responds instead of the token service; check its address, and whether this machine has to log in to reach it'
      : 'the token service of the registry is misconfigured; ask its administrator',
  });
}

function tokenRequest(
  realm: URL,
  {service, scopes, side, signal}: TokenRequest,
  credentials: Credentials | undefined,
): HttpRequest {
  const url = new URL(realm);
  if (service.service !== undefined) url.searchParams.set('service', service.service);
  for (const scope of scopes) url.searchParams.append('scope', formatScope(scope));
  const authorization = credentials?.kind === 'basic' ? basicAuthorization(credentials) : undefined;
  return {method: 'GET', url, side, signal, authorization};
}

function refreshRequest(
  realm: URL,
  {service, scopes, side, signal}: TokenRequest,
  refreshToken: string,
): HttpRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'transship',
    refresh_token: refreshToken,
    ...(service.service === undefined ? {} : {service: service.service}),
    ...(scopes.length === 0 ? {} : {scope: scopes.map(formatScope).join(' ')}),
  });
  return {
    method: 'POST',
    url: realm,
    side,
    signal,
    headers: {'content-type': 'application/x-www-form-urlencoded'},
    body: {kind: 'bytes', bytes: Buffer.from(form.toString()), secret: true},
  };
}

/** The `authorization` header for Basic authentication (RFC 7617). */
/** The `authorization` header for Basic authentication (RFC 7617). */
export function basicAuthorization({
  username,
  password,
}: Extract<Credentials, {kind: 'basic'}>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * The registry names the realm, so the same rules as for redirects apply.
 * @throws TransshipError RESPONSE_INVALID, REDIRECT_REFUSED
 */
function realmOf(http: HttpClient, {service, registry, side}: TokenRequest): URL {
  if (URL.canParse(service.realm) && /^https?:/i.test(service.realm)) {
    const request = {method: 'GET', url: registry, side} as const;
    return http.resolve(service.realm, request, 'realm of the token service');
  }
  throw new TransshipError('RESPONSE_INVALID', `the realm "${service.realm}" is not a URL`, {
    side,
    hint: 'the registry is misconfigured; ask its administrator',
  });
}

/** An access token of a token service. */
export interface Token {
  readonly value: string;
  /** When to renew it, in ms since the epoch. */
  readonly renewAt: number;
  /** The granted scopes, if the token names them (a JWT with `access`); undefined: unknown. */
  readonly granted: readonly Scope[] | undefined;
  readonly facts: TokenFacts;
}

/** Facts about a token, besides its scopes and without its value. */
export interface TokenFacts {
  /** How long it is valid, in ms. */
  readonly lifeMs: number;
  /** The origin of `lifeMs`: the service's response, the token's claims, or the default of the specification. */
  readonly lifeFrom: 'answer' | 'claims' | 'default';
  /** The unverified claims `iss`, `sub` and `aud` of a JWT (RFC 7519, section 4.1); undefined: not a JWT. */
  readonly claims:
    | {readonly issuer?: string; readonly subject?: string; readonly audience?: string}
    | undefined;
}

/** Default lifetime of a token without `expires_in` (distribution, docs/spec/auth/token.md), in ms. */
const DEFAULT_LIFE_MS = 60_000;
/**
 * How long before its expiry a token is renewed, in ms; a token with a lifetime of less than three times this is
 * renewed after two thirds of it.
 */
const MARGIN_MS = 60_000;

const responseSchema = z
  .object({
    token: z.string().nullish(),
    access_token: z.string().nullish(),
    expires_in: z.number().positive().nullish().catch(undefined),
  })
  .transform(({token, access_token, expires_in}) => ({
    value: token || access_token || '',
    lifeMs: expires_in ? expires_in * 1000 : undefined,
  }));

const patterns = list(z.string()).nullish();
const metaSchema = z
  .object({
    tag_deny_access_patterns: z.object({push: patterns, delete: patterns}).nullish(),
    tag_immutable_patterns: patterns,
  })
  .transform(
    ({tag_deny_access_patterns: denied, tag_immutable_patterns: fixed}): TagLimits => ({
      push: denied?.push ?? [],
      delete: denied?.delete ?? [],
      immutable: fixed ?? [],
    }),
  );
const claimsSchema = z.object({
  exp: z.number().optional().catch(undefined),
  iat: z.number().optional().catch(undefined),
  iss: z.string().optional().catch(undefined),
  sub: z.string().optional().catch(undefined),
  aud: z
    .union([z.string(), list(z.string())])
    .optional()
    .catch(undefined),
  access: list(
    z.object({
      type: z.string(),
      name: z.string(),
      actions: list(z.string()).nullable(),
      meta: metaSchema.nullish().catch(undefined),
    }),
  )
    .nullish()
    .catch(undefined),
});

/**
 * Parses a token service's response; undefined: it contains no token. Lifetimes count from the receipt, so the clocks
 * of the service and of this machine need not agree.
 * @param now ms since the epoch
 */
export function parseToken(response: unknown, now: number): Token | undefined {
  const parsed = responseSchema.safeParse(response);
  // The token is sent in a header: a line break would start another header.
  if (!parsed.success || !/^[\x21-\x7e]+$/.test(parsed.data.value)) return undefined;
  const {value, lifeMs: announced} = parsed.data;
  const claims = readClaims(value);
  const {exp, iat} = claims ?? {};
  const claimed =
    exp === undefined ? undefined : exp * 1000 - (iat === undefined ? now : iat * 1000);
  const lifeMs = Math.max(0, announced ?? claimed ?? DEFAULT_LIFE_MS);
  const granted = claims?.access?.map(({type, name, actions, meta}) => ({
    resource: `${type}:${name}`,
    actions: actions ?? [],
    ...(meta ? {tagLimits: meta} : {}),
  }));
  const lifeFrom =
    announced === undefined ? (claimed === undefined ? 'default' : 'claims') : 'answer';
  const facts = {lifeMs, lifeFrom, claims: claims && shownClaims(claims)} as const;
  return {value, renewAt: now + lifeMs - Math.min(MARGIN_MS, lifeMs / 3), granted, facts};
}

function shownClaims({iss, sub, aud}: z.infer<typeof claimsSchema>): TokenFacts['claims'] {
  const audience = Array.isArray(aud) ? aud.join(', ') : aud;
  return {
    ...(iss ? {issuer: iss} : {}),
    ...(sub ? {subject: sub} : {}),
    ...(audience ? {audience} : {}),
  };
}

/** The claims of a JWT, not verified: they are used for planning only; the registry decides. */
function readClaims(token: string): z.infer<typeof claimsSchema> | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  return readJson(Buffer.from(payload, 'base64url'), claimsSchema);
}

/** Maximum number of cached tokens, since a run may access very many repositories. The oldest are dropped first. */
const TOKENS_LIMIT = 1000;

interface Entry {
  readonly token: Token;
  readonly scopes: readonly Scope[];
}

/**
 * The tokens of one registry, one for each set of scopes, fetched once for all concurrent requests and renewed before
 * they expire.
 */
export class TokenCache {
  readonly #options: RegistryOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new SingleFlight<Token>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** @throws TransshipError as `fetchToken` does */
  async get(wanted: Omit<TokenRequest, 'side' | 'now'>): Promise<Token> {
    const {service, scopes, signal} = wanted;
    const key = keyOf(service, scopes);
    const known = this.#entries.get(key) ?? this.#wider(wanted);
    if (known && known.token.renewAt > this.#now()) return known.token;
    return this.#flights.run(key, signal, async (flightSignal) => {
      const {http, side, learnToken} = this.#options;
      const token = await fetchToken(http, {
        ...wanted,
        side,
        signal: flightSignal,
        now: this.#now,
      });
      learnToken?.(token.value);
      this.#keep(key, {token, scopes});
      return token;
    });
  }

  /** Forgets this token, but not its replacement. */
  invalidate(token: Token): void {
    for (const [key, entry] of this.#entries) {
      if (entry.token === token) this.#entries.delete(key);
    }
  }

  /** A token for push can also be used to pull, if it grants that. */
  #wider({service, scopes}: Pick<TokenRequest, 'service' | 'scopes'>): Entry | undefined {
    const [scope, ...rest] = scopes;
    if (scope?.actions.join() !== 'pull' || !rest.every(isOpaque)) return undefined;
    const push = {resource: scope.resource, actions: ['pull', 'push']};
    const entry = this.#entries.get(keyOf(service, [push, ...rest]));
    return entry?.token.granted && covers(entry.token.granted, [scope]) ? entry : undefined;
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= TOKENS_LIMIT) break;
      this.#entries.delete(oldest);
    }
  }
}

function keyOf({realm, service}: TokenService, scopes: readonly Scope[]): string {
  return [realm, service, ...scopes.map(formatScope)].join(' ');
}
