import type {HttpResponse} from '../http/response.ts';
import {parseChallenges} from '../http/header-fields.ts';
import type {HttpClient} from '../http/client.ts';
import {type HttpRequest, isRepeatable} from '../http/request.ts';
import {abortable} from '../http/abort.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Credentials} from './credentials/credentials.ts';
import {errorCodes, isProtection} from './refusal.ts';
import {formatScope, isOpaque, mergeScopes, parseScopes, type Scope} from './scope.ts';
import {basicAuthorization, type Token, TokenCache, type TokenService} from './token.ts';
import type {RegistryOptions} from './registry-options.ts';

/** The authorization that the registry requires, as far as it is known. */
type Demand =
  | {readonly kind: 'nothing'}
  | {readonly kind: 'basic'}
  | {readonly kind: 'bearer'; readonly service: TokenService};

/** The permissions that a request needs, and the path that selects the credentials. */
export interface Need {
  readonly path: RepositoryPath | undefined;
  readonly scopes: readonly Scope[];
}

interface Authorization {
  readonly header: string;
  /** Its token, if it can be renewed. */
  readonly token?: Token;
  readonly tokenOf?: HttpRequest['tokenOf'];
}

/**
 * Sends requests to one registry with the authorization that it requires. The first request is sent alone and without
 * authorization, and its response shows what the registry requires; from then on, tokens are fetched in advance.
 */
export class Authenticator {
  readonly #http: HttpClient;
  readonly #credentials: (path: RepositoryPath | undefined) => Promise<Credentials | undefined>;
  readonly #tokens: TokenCache;
  /** Scopes that the registry requires instead of the usual ones, by the usual scope. */
  readonly #corrections = new Map<string, readonly Scope[]>();
  /** Scopes that the registry requires for every request: those that name no repository. */
  #opaque: readonly Scope[] = [];
  #demand: Demand | undefined;
  #scout: Promise<void> | undefined;

  constructor(options: RegistryOptions) {
    this.#http = options.http;
    this.#credentials = options.credentials ?? (() => Promise.resolve(undefined));
    this.#tokens = new TokenCache(options);
  }

  /** The URL of the token service; undefined: the registry requires no tokens, or has not responded yet. */
  get realm(): string | undefined {
    return this.#demand?.kind === 'bearer' ? this.#demand.service.realm : undefined;
  }

  /**
   * Sends the request; after a 401, repeats it once with a new token. Returns the last response, whatever its status.
   */
  async send(request: HttpRequest, need: Need): Promise<HttpResponse> {
    if (this.#demand) return this.#exchange(request, need);
    if (this.#scout) {
      await abortable(this.#scout, request.signal);
      return this.#exchange(request, need);
    }
    const scout = Promise.withResolvers<void>();
    this.#scout = scout.promise;
    try {
      const response = await this.#exchange(request, need);
      this.#demand ??= {kind: 'nothing'};
      return response;
    } finally {
      this.#scout = undefined;
      scout.resolve();
    }
  }

  /** The token for this need; undefined: another kind of authorization, or no response from the registry yet. */
  async token(
    request: Pick<HttpRequest, 'url' | 'signal'>,
    need: Need,
  ): Promise<Token | undefined> {
    return (await this.#authorize(request, need))?.token;
  }

  async #exchange(request: HttpRequest, need: Need): Promise<HttpResponse> {
    const authorization = await this.#authorize(request, need);
    const response = await this.#http.send(authorized(request, authorization));
    if (response.status !== 401 || !isFromRegistry(response, request)) return response;
    if (isProtection(await errorCodes(response))) return response;
    this.#learn(response, need);
    if (authorization?.token) this.#tokens.invalidate(authorization.token);
    if (!isRepeatable(request.body)) return response;
    const renewed = await this.#authorize(request, need);
    if (!renewed || renewed.header === authorization?.header) return response;
    return this.#http.send(authorized(request, renewed));
  }

  /** Bearer is preferred to Basic, since a stolen token expires. */
  #learn(response: HttpResponse, need: Need): void {
    const challenges = parseChallenges(response.header('www-authenticate'));
    const bearer = challenges.find(
      ({scheme, parameters}) => scheme === 'bearer' && parameters['realm'],
    );
    const {realm, service, scope} = bearer?.parameters ?? {};
    if (realm !== undefined) {
      this.#demand = {kind: 'bearer', service: {realm, service: service || undefined}};
      this.#correct(need, parseScopes(scope));
    } else if (challenges.some(({scheme}) => scheme === 'basic')) {
      this.#demand = {kind: 'basic'};
    }
  }

  #correct({scopes}: Need, asked: readonly Scope[]): void {
    this.#opaque = mergeScopes([...this.#opaque, ...asked.filter(isOpaque)]);
    const usual = mergeScopes(scopes);
    const corrected = mergeScopes([...scopes, ...asked.filter((scope) => !isOpaque(scope))]);
    const key = keyOf(usual);
    if (keyOf(corrected) !== key) this.#corrections.set(key, corrected);
  }

  async #authorize(
    {url, signal}: Pick<HttpRequest, 'url' | 'signal'>,
    {path, scopes}: Need,
  ): Promise<Authorization | undefined> {
    const demand = this.#demand;
    if (!demand || demand.kind === 'nothing') return undefined;
    const credentials = await abortable(this.#credentials(path), signal);
    if (demand.kind === 'basic') {
      return credentials?.kind === 'basic' ? {header: basicAuthorization(credentials)} : undefined;
    }
    if (credentials?.kind === 'registry-token') return {header: `Bearer ${credentials.token}`};
    const usual = mergeScopes(scopes);
    const token = await this.#tokens.get({
      service: demand.service,
      scopes: [...(this.#corrections.get(keyOf(usual)) ?? usual), ...this.#opaque],
      credentials,
      registry: url,
      signal,
    });
    const tokenOf = credentials === undefined ? 'anybody' : 'login';
    return {header: `Bearer ${token.value}`, token, tokenOf};
  }
}

function authorized(request: HttpRequest, given: Authorization | undefined): HttpRequest {
  return {...request, authorization: given?.header, tokenOf: given?.tokenOf};
}

/** A challenge from a redirect target is not the registry's: the target must not receive credentials. */
function isFromRegistry(response: HttpResponse, request: HttpRequest): boolean {
  return response.request.url.origin === request.url.origin;
}

function keyOf(scopes: readonly Scope[]): string {
  return scopes.map(formatScope).join(' ');
}
