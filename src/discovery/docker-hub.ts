import type {HttpClient} from '../http/client.ts';
import {describeRequest} from '../http/request.ts';
import {SingleFlight} from '../http/single-flight.ts';
import {TransshipError} from '../model/error.ts';
import {readJson} from '../model/json.ts';
import type {Call, ListedRepository, RepositoryLister} from '../model/port.ts';
import {DOCKER_HUB, isWithin} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import {registryRefusal} from '../registry/refusal.ts';
import {
  type ProductApi,
  type ApiList,
  listedTime,
  type ListerOptions,
  ownerIn,
  readPages,
} from './api-list.ts';

/** Docker Hub's API (docs.docker.com/reference/api/hub/latest, "servers"). */
const API = new URL('https://hub.docker.com/');
/** Its maximum page size (same page, "page_size"). */
const PAGE_SIZE = 100;
const TOKEN_LIMIT = 64 * 1024;
/**
 * How long a token is used, in ms. Docker Hub's tokens expire after ten minutes (goharbor/harbor:
 * src/pkg/reg/adapter/dockerhub/client.go).
 */
const TOKEN_LIFE_MS = 5 * 60_000;

const pageSchema = z.object({
  next: z.string().nullish(),
  results: list(
    z.object({
      name: z.string(),
      namespace: z.string().nullish(),
      last_updated: listedTime,
    }),
  ),
});
/** The token is sent in a header: a line break would start another header. */
const tokenSchema = z.object({access_token: z.string().regex(/^[\x21-\x7e]+$/)});

/**
 * Lists the repositories of one namespace of Docker Hub by `GET /v2/namespaces/{namespace}/repositories`
 * (docs.docker.com/reference/api/hub/latest). Private repositories are listed with the login for docker.io, which `POST
 * /v2/auth/token` exchanges for an access token ("Create access token"). After too many requests per minute, Docker Hub
 * answers 429 ("Rate Limiting"), and the HTTP client waits.
 */
export function dockerHubLister(options: ListerOptions): RepositoryLister {
  const {host, baseUrl, http} = options;
  const origin = host === DOCKER_HUB ? API : new URL('/', baseUrl);
  const login = new HubLogin(origin, options);
  const api: ProductApi = {
    name: host === DOCKER_HUB ? 'Docker Hub' : `Docker Hub at ${host}`,
    origin,
    http,
    authorization: (call) => login.authorization(call),
    hint: 'check the namespace, and log in with docker login to see private repositories',
  };
  return {name: api.name, listRepositories: (prefix, call) => ofNamespace(api, prefix, call)};
}

async function* ofNamespace(
  api: ProductApi,
  prefix: string,
  call: Call,
): AsyncGenerator<ListedRepository> {
  const hint = `name a namespace, such as ${DOCKER_HUB}/library`;
  const namespace = ownerIn(prefix, 'namespace', api.name, hint);
  const pages: ApiList<z.infer<typeof pageSchema>> = {
    first: `/v2/namespaces/${encodeURIComponent(namespace)}/repositories?page_size=${PAGE_SIZE}`,
    page: pageSchema,
    next: ({next}) => next ?? undefined,
  };
  for await (const {results} of readPages(api, pages, call)) {
    for (const {name, namespace: owner, last_updated: updated} of results) {
      const repository = `${owner ?? namespace}/${name}`;
      if (isWithin(repository, prefix)) yield {repository, ...(updated ? {updated} : {})};
    }
  }
}

/** Fetches an access token for the user's login on first use, and renews it. */
class HubLogin {
  readonly #origin: URL;
  readonly #http: HttpClient;
  readonly #options: ListerOptions;
  readonly #flights = new SingleFlight<string | undefined>();
  #token: {readonly value: string | undefined; readonly until: number} | undefined;

  constructor(origin: URL, options: ListerOptions) {
    this.#origin = origin;
    this.#http = options.http;
    this.#options = options;
  }

  async authorization({signal}: Call): Promise<string | undefined> {
    if (this.#token === undefined || this.#token.until <= performance.now()) {
      const value = await this.#flights.run('token', signal, (flight) => this.#fetch(flight));
      this.#token = {value, until: performance.now() + TOKEN_LIFE_MS};
    }
    return this.#token.value === undefined ? undefined : `Bearer ${this.#token.value}`;
  }

  async #fetch(signal: AbortSignal): Promise<string | undefined> {
    const credentials = await this.#options.credentials();
    if (credentials?.kind !== 'basic') return undefined;
    const response = await this.#http.send({
      method: 'POST',
      url: new URL('/v2/auth/token', this.#origin),
      side: 'source',
      signal,
      headers: {'content-type': 'application/json', accept: 'application/json'},
      body: {kind: 'bytes', bytes: tokenRequest(credentials), secret: true},
      readLimit: TOKEN_LIMIT,
    });
    if (response.status !== 200) throw await registryRefusal(response, {ofTokenService: true});
    const {bytes} = await response.read(TOKEN_LIMIT);
    const token = readJson(bytes, tokenSchema)?.access_token;
    if (token !== undefined) {
      this.#options.learnToken(token);
      return token;
    }
    const message = `${describeRequest(response.request)} answered without a token`;
    throw new TransshipError('RESPONSE_INVALID', message, {
      side: 'source',
      hint: 'check whether a proxy answers in place of Docker Hub',
    });
  }
}

function tokenRequest({username, password}: Extract<Credentials, {kind: 'basic'}>): Uint8Array {
  return Buffer.from(JSON.stringify({identifier: username, secret: password}));
}
