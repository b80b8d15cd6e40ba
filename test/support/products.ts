import {buffer} from 'node:stream/consumers';
import {type Exchange, jsonReply, type Reply} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import type {Storage} from '../../src/sandbox/storage.ts';

/** A request of a product's API. */
export interface ApiRequest {
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly url: URL;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** A registry in this process beside a scripted API of the product that it belongs to. */
export interface Product extends AsyncDisposable {
  readonly host: string;
  readonly url: string;
  readonly storage: Storage;
  /** What the API was asked, oldest first. */
  readonly asked: readonly ApiRequest[];
}

/** Answers for the API; undefined: the request is one for the registry. */
type ApiAnswer = (request: ApiRequest) => Reply | undefined;

async function startProduct(answer: ApiAnswer): Promise<Product> {
  const asked: ApiRequest[] = [];
  const sandbox = await startSandbox({
    intercept: async (exchange, next) => {
      if (isRegistry(exchange)) {
        const reply = answer(apiRequest(exchange, ''));
        return reply ?? next();
      }
      const request = apiRequest(exchange, (await buffer(exchange.body)).toString());
      asked.push(request);
      return answer(request) ?? jsonReply(404, {message: 'not found'});
    },
  });
  const {host, url, storage} = sandbox;
  return {host, url, storage, asked, [Symbol.asyncDispose]: () => sandbox.close()};
}

function isRegistry({path}: Exchange): boolean {
  return path === '/v2/' || /^\/v2\/.+\/(?:tags|manifests|blobs)\//.test(path);
}

function apiRequest({method, path, query, headers, origin}: Exchange, body: string): ApiRequest {
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  const url = new URL(path + search, origin);
  const {authorization} = headers;
  return {method, target: url.pathname + url.search, url, authorization, body};
}

function basic({authorization}: ApiRequest): {name: string; password: string} | undefined {
  const encoded = /^Basic (.+)$/.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [name = '', ...password] = Buffer.from(encoded, 'base64').toString().split(':');
  return {name, password: password.join(':')};
}

/** As Harbor refuses. */
function refused(status: number, code: string): Reply {
  return jsonReply(status, {errors: [{code, message: code.toLowerCase()}]});
}

interface HarborProject {
  readonly name: string;
  readonly public?: boolean;
  /** Without the project. */
  readonly repositories: readonly string[];
}

interface HarborAccount {
  readonly name: string;
  readonly password: string;
  /** Projects that it belongs to; of those, `list` are the ones whose repositories it may list. */
  readonly projects: readonly string[];
  readonly list: readonly string[];
}

/**
 * A Harbor 2 (goharbor/harbor: api/v2.0/swagger.yaml; src/server/v2.0/handler/project.go and repository.go): pages of
 * 100 at most, `Link` and `X-Total-Count`, Basic authentication, public projects for everybody
 * (src/common/rbac/project/rbac_user.go).
 */
export function startHarbor(
  projects: readonly HarborProject[],
  accounts: readonly HarborAccount[] = [],
  {dropsLink = false}: {readonly dropsLink?: boolean} = {},
): Promise<Product> {
  const page = (items: readonly object[], {url}: ApiRequest): Reply => {
    const number = Number(url.searchParams.get('page') ?? '1');
    const size = Number(url.searchParams.get('page_size') ?? '10');
    if (!(size >= 1 && size <= 100)) return refused(422, 'UNPROCESSABLE_ENTITY');
    const shown = items.slice((number - 1) * size, number * size);
    const next = new URL(url);
    next.searchParams.set('page', String(number + 1));
    const isLast = number * size >= items.length;
    const link = `<${next.pathname}${next.search}>; rel="next"`;
    return jsonReply(200, shown, {
      'x-total-count': String(items.length),
      ...(isLast || dropsLink ? {} : {link}),
    });
  };
  return startProduct((request) => {
    const {pathname, origin} = request.url;
    const login = basic(request);
    const account = accounts.find(
      ({name, password}) => name === login?.name && password === login.password,
    );
    if (login && !account) return refused(401, 'UNAUTHORIZED');
    if (pathname === '/service/token') return jsonReply(200, {token: 'harbor-token'});
    if (pathname.startsWith('/v2/')) {
      if (request.authorization === 'Bearer harbor-token') return undefined;
      const challenge = `Bearer realm="${origin}/service/token",service="harbor-registry"`;
      return jsonReply(401, {errors: [{code: 'UNAUTHORIZED'}]}, {'www-authenticate': challenge});
    }
    if (pathname === '/api/v2.0/projects') {
      const visible = projects.filter(
        (project) => project.public === true || account?.projects.includes(project.name),
      );
      return page(
        visible.map(({name}, at) => ({name, project_id: at + 1})),
        request,
      );
    }
    const name = /^\/api\/v2\.0\/projects\/([^/]+)\/repositories$/.exec(pathname)?.[1];
    if (name === undefined) return undefined;
    const project = projects.find((one) => one.name === decodeURIComponent(name));
    const mayList = project?.public === true || account?.list.includes(project?.name ?? '');
    if (mayList !== true) return account ? refused(403, 'FORBIDDEN') : refused(401, 'UNAUTHORIZED');
    const repositories = (project?.repositories ?? []).map((repository) => ({
      name: `${project?.name}/${repository}`,
      update_time: '2026-03-01T10:00:00.000Z',
      artifact_count: 1,
    }));
    return page(repositories, request);
  });
}

interface HubRepository {
  readonly name: string;
  readonly isPrivate?: boolean;
}

/**
 * Docker Hub (docs.docker.com/reference/api/hub/latest): tokens from `/v2/auth/token`, pages of 100 at most whose
 * `next` is a URL of hub.docker.com, private repositories for those who are logged in.
 */
export function startDockerHub(
  namespaces: Readonly<Record<string, readonly HubRepository[]>>,
  {
    login,
    limits = 0,
    retryAfterS = 0,
  }: {
    readonly login?: {readonly identifier: string; readonly secret: string};
    /** So many lists are refused with 429 first. */
    readonly limits?: number;
    /** When to ask again then, in seconds from now. */
    readonly retryAfterS?: number;
  } = {},
): Promise<Product> {
  let refusals = limits;
  return startProduct(({method, url, authorization, body}) => {
    if (url.pathname === '/v2/auth/token' && method === 'POST') {
      const isRight = JSON.stringify(login) === JSON.stringify(JSON.parse(body));
      return isRight
        ? jsonReply(200, {access_token: 'hub-access-token'})
        : jsonReply(401, {detail: 'Incorrect authentication credentials', message: 'unauthorized'});
    }
    const namespace = /^\/v2\/namespaces\/([^/]+)\/repositories$/.exec(url.pathname)?.[1];
    if (namespace === undefined) return undefined;
    if (refusals > 0) {
      refusals--;
      const reset = String(Math.floor(Date.now() / 1000) + retryAfterS);
      return jsonReply(429, {message: 'too many requests'}, {'x-retry-after': reset});
    }
    const all = Object.hasOwn(namespaces, namespace) ? namespaces[namespace] : undefined;
    if (all === undefined) return jsonReply(404, {message: 'object not found', errinfo: {}});
    const isKnown = authorization === 'Bearer hub-access-token';
    if (authorization !== undefined && !isKnown) return jsonReply(401, {message: 'unauthorized'});
    const visible = all.filter(({isPrivate}) => isKnown || isPrivate !== true);
    const size = Math.min(100, Number(url.searchParams.get('page_size') ?? '10'));
    const page = Number(url.searchParams.get('page') ?? '1');
    const next = `https://hub.docker.com${url.pathname}?page=${page + 1}&page_size=${size}`;
    return jsonReply(200, {
      count: visible.length,
      next: page * size < visible.length ? next : null,
      previous: null,
      results: visible.slice((page - 1) * size, page * size).map(({name, isPrivate}) => ({
        name,
        namespace,
        is_private: isPrivate === true,
        last_updated: '2026-02-03T04:05:06.000007Z',
      })),
    });
  });
}

/** Quay (quay/quay: endpoints/api/repository.py, `get`): opaque page tokens, private repositories for OAuth tokens. */
export function startQuay(
  repositories: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly isPublic: boolean;
  }[],
  {token, pageSize = 100}: {readonly token?: string; readonly pageSize?: number} = {},
): Promise<Product> {
  return startProduct(({url, authorization}) => {
    if (url.pathname === '/v2/' && authorization === undefined) {
      const challenge = `Bearer realm="${url.origin}/v2/auth",service="${url.host}"`;
      return jsonReply(401, {errors: [{code: 'UNAUTHORIZED'}]}, {'www-authenticate': challenge});
    }
    if (url.pathname !== '/api/v1/repository') return undefined;
    const isKnown = token !== undefined && authorization === `Bearer ${token}`;
    if (authorization !== undefined && !isKnown)
      return jsonReply(401, {message: 'CSRF token was invalid or missing.'});
    const namespace = url.searchParams.get('namespace');
    if (!namespace) return jsonReply(400, {error_message: 'namespace … required'});
    const withPublic = url.searchParams.get('public') === 'true';
    const visible = repositories.filter(
      (one) => one.namespace === namespace && (isKnown || (withPublic && one.isPublic)),
    );
    const from = Number(Buffer.from(url.searchParams.get('next_page') ?? '', 'base64').toString());
    const next = Buffer.from(String(from + pageSize)).toString('base64');
    return jsonReply(200, {
      repositories: visible.slice(from, from + pageSize).map(({name}) => ({
        namespace,
        name,
        kind: 'image',
        last_modified: 1_770_000_000,
      })),
      ...(from + pageSize < visible.length ? {next_page: next} : {}),
    });
  });
}

/**
 * Container packages of GitHub (docs.github.com/rest/packages/packages), as an enterprise server has them: for classic
 * tokens alone, `Link` in absolute URLs, 403 without anything left of the rate limit.
 */
export function startGitHub(
  {
    organisations = {},
    users = {},
  }: {
    readonly organisations?: Readonly<Record<string, readonly string[]>>;
    readonly users?: Readonly<Record<string, readonly string[]>>;
  },
  {token, isExhausted = false}: {readonly token: string; readonly isExhausted?: boolean},
): Promise<Product> {
  return startProduct(({url, authorization}) => {
    const [, kind, owner = ''] =
      /^\/api\/v3\/(orgs|users)\/([^/]+)\/packages$/.exec(url.pathname) ?? [];
    if (kind === undefined) return undefined;
    if (isExhausted)
      return jsonReply(403, {message: 'API rate limit exceeded'}, {'x-ratelimit-remaining': '0'});
    if (authorization !== `Bearer ${token}`)
      return jsonReply(401, {message: 'Requires authentication'});
    if (url.searchParams.get('package_type') !== 'container')
      return jsonReply(400, {message: 'Package type is required.'});
    const owners = kind === 'orgs' ? organisations : users;
    const names = Object.entries(owners).find(([name]) => name.toLowerCase() === owner)?.[1];
    if (names === undefined) return jsonReply(404, {message: 'Not Found'});
    const size = Math.min(100, Number(url.searchParams.get('per_page') ?? '30'));
    const page = Number(url.searchParams.get('page') ?? '1');
    const next = new URL(url);
    next.searchParams.set('page', String(page + 1));
    return jsonReply(
      200,
      names.slice((page - 1) * size, page * size).map((name) => ({
        name,
        package_type: 'container',
        updated_at: '2026-01-02T03:04:05Z',
      })),
      page * size < names.length
        ? {link: `<https://github.inside.example${next.pathname}${next.search}>; rel="next"`}
        : {},
    );
  });
}
