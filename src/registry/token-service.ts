import type {HttpClient} from '../http/client.ts';
import type {HttpRequest} from '../http/message.ts';
import {redactUrl} from '../http/redaction.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {readJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import type {Credentials} from './credentials/credentials.ts';
import {readErrors} from './error-body.ts';
import {refusal} from './refusal.ts';
import {formatScope, type Scope} from './scope.ts';
import {parseToken, type Token} from './token.ts';

/** Where the registry sends us for tokens: the parameters of its Bearer challenge. */
export interface TokenService {
  readonly realm: string;
  readonly service: string | undefined;
}

export interface TokenRequest {
  readonly service: TokenService;
  readonly scopes: readonly Scope[];
  readonly credentials: Credentials | undefined;
  /** A URL of the registry that names the service. */
  readonly registry: URL;
  readonly side: Side;
  readonly signal: AbortSignal;
  readonly now: () => number;
}

const TOKEN_LIMIT = 256 * 1024;

/**
 * Gets a token: GET with Basic credentials or none (distribution, docs/spec/auth/token.md), or, for an identity
 * token, the refresh grant of OAuth2 (docs/spec/auth/oauth.md).
 * @throws TransshipError UNAUTHORIZED, FORBIDDEN, RESPONSE_INVALID and what the network gives
 */
export async function fetchToken(http: HttpClient, wanted: TokenRequest): Promise<Token> {
  const realm = realmOf(http, wanted);
  const {credentials} = wanted;
  const request =
    credentials?.kind === 'identity-token'
      ? refreshRequest(realm, wanted, credentials.token)
      : tokenRequest(realm, wanted, credentials);
  const answer = await http.send({...request, readLimit: TOKEN_LIMIT});
  if (answer.status !== 200) throw await refusal(answer, {ofTokenService: true});
  const {bytes} = await answer.read(TOKEN_LIMIT);
  const token = parseToken(readJson(bytes, z.unknown()), wanted.now());
  if (token) return token;
  const page = await readErrors(answer);
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

export function basicAuthorization({
  username,
  password,
}: Extract<Credentials, {kind: 'basic'}>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * The registry names the realm, so it is asked no more than a redirect would be followed.
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
