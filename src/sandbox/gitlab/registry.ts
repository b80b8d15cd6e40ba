import type {StoredManifest} from '../manifest-format.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import {tokenGuard} from '../auth.ts';
import {
  emptyReply,
  type Exchange,
  jsonReply,
  methodRefused,
  nameUnknown,
  pageNotFound,
  Refusal,
  refusal,
  type Reply,
} from '../exchange.ts';
import {isRepositoryPath} from '../names.ts';
import {answerRegistry, type Caller, GITLAB_FLAVOUR} from '../registry.ts';
import {type Instance, pushedAt} from './instance.ts';
import {checkManifest, recordWrite, requireDeletable, requireUnlimited} from './registry-rules.ts';
import type {RegistryTokens} from './registry-tokens.ts';

/** The version that the registry reports, and the header in which it does. */
const VERSION = {'gitlab-container-registry-version': '4.32.0-gitlab'};

/**
 * GitLab's registry: distribution's API with the extensions and restrictions of GitLab's fork. Its responses are
 * compared with recorded ones of GitLab's registry 4.32 (test/sandbox/gitlab/recorded.test.ts).
 */
export class RegistryFront {
  readonly #instance: Instance;
  readonly #tokens: RegistryTokens;
  readonly #guard: (exchange: Exchange) => Caller;

  constructor(instance: Instance, tokens: RegistryTokens) {
    this.#instance = instance;
    this.#tokens = tokens;
    const guard = tokenGuard(tokens);
    // GitLab issues the tokens, on whichever host its registry is.
    this.#guard = (exchange) => guard({...exchange, origin: `http://${instance.hosts.gitlab}`});
  }

  /** @throws Refusal */
  async answer(exchange: Exchange): Promise<Reply> {
    const {mode, storage} = this.#instance;
    const {route} = exchange;
    if (exchange.path.startsWith('/gitlab/v1/')) return this.#answerGitLabV1(exchange);
    // The router answers these before authorization (GitLab container registry: registry/api/v2/routes.go).
    if (route.kind === 'unknown' || route.kind === 'referrers') throw pageNotFound();
    if (route.kind === 'slash') return emptyReply(301, {location: route.location});
    const caller = this.#guard(exchange);
    const flavour = {
      ...GITLAB_FLAVOUR,
      // `checkManifest` refuses those that GitLab does not allow.
      foreignLayers: true,
      ...(mode === 'legacy' ? {tagPageLimit: undefined, storesSha256: false} : {}),
    };
    const registry = {storage, flavour};
    if (route.kind === 'base') {
      const reply = jsonReply(200, {});
      return {...reply, headers: {...reply.headers, ...capabilities(this.#instance)}};
    }
    await this.#checkWrite(exchange);
    const listsAll = mode === 'legacy' && route.kind === 'tags' && exchange.method === 'GET';
    if (listsAll) await this.#requireTagged(route.repository);
    const seen = listsAll ? unpaged(exchange) : exchange;
    return recordWrite(this.#instance, exchange, this.#subject(exchange), () =>
      answerRegistry(registry, seen, caller),
    );
  }

  async #answerGitLabV1(exchange: Exchange): Promise<Reply> {
    const route = parseV1Route(exchange.path);
    if (route === undefined) throw pageNotFound();
    if (!exchange.path.endsWith('/')) return emptyReply(301, {location: `${exchange.path}/`});
    this.#guard(repositoryAccess(exchange, route));
    if (this.#instance.mode === 'legacy') throw new Refusal(emptyReply(404, VERSION));
    return answerGitLabV1(this.#instance, exchange, route);
  }

  async #checkWrite(exchange: Exchange): Promise<void> {
    const {method, route} = exchange;
    if (method === 'GET' || method === 'HEAD') return;
    // Without these methods in the dispatch table (GitLab container registry: registry/handlers, `readOnly`).
    if (this.#instance.switches.readOnly) throw methodRefused('GET, HEAD');
    if (route.kind === 'manifest') {
      const limits = this.#tokens.limits(tokenOf(exchange), route.repository);
      await requireUnlimited(this.#instance, limits, method, route);
      if (method === 'PUT') await checkManifest(this.#instance, exchange, route);
    }
    if (method === 'DELETE') await requireDeletable(this.#instance, route);
  }

  /**
   * Without the database, a repository that never had a tag has no list of tags, because a directory of the storage
   * stands for it (GitLab container registry: registry/storage/tagstore.go, `All`). @throws Refusal NAME_UNKNOWN
   */
  async #requireTagged(repository: RepositoryPath): Promise<void> {
    if (!(await this.#instance.storage.manifests.hadTags(repository)))
      throw nameUnknown(repository);
  }

  #subject(exchange: Exchange): string {
    return this.#tokens.verify(tokenOf(exchange))?.subject ?? '';
  }
}

/** Sent to authenticated clients only (GitLab container registry: registry/handlers/app.go, `distributionAPIBase`). */
function capabilities({mode}: Instance): Reply['headers'] {
  return {
    ...VERSION,
    'gitlab-container-registry-features': 'tag_delete',
    'gitlab-container-registry-database-enabled': String(mode === 'metadata-db'),
  };
}

/** Without the database, all tags are sent (GitLab container registry: registry/handlers/tags.go). */
function unpaged(exchange: Exchange): Exchange {
  return {...exchange, query: new URLSearchParams()};
}

function tokenOf({headers}: Exchange): string {
  return headers.authorization?.split(/ +/)[1] ?? '';
}

/** An endpoint of GitLab's extension. */
interface V1Route {
  /** Undefined: the base. */
  readonly repository: RepositoryPath | undefined;
  readonly part: 'repository' | 'tags/list' | 'tags/detail';
}

/** The routes that a token with pull gives access to (GitLab container registry: registry/api/gitlab/v1/routes.go). */
function parseV1Route(path: string): V1Route | undefined {
  if (path === '/gitlab/v1/') return {repository: undefined, part: 'repository'};
  const [, name = '', list, tag] =
    /^\/gitlab\/v1\/repositories\/(.+?)(?:\/tags\/(?:(list)|detail\/([^/]+)))?\/?$/.exec(path) ??
    [];
  const part =
    list === undefined ? (tag === undefined ? 'repository' : 'tags/detail') : 'tags/list';
  return isRepositoryPath(name) ? {repository: name, part} : undefined;
}

/**
 * The request as the guard has to see it to derive the permissions. PATCH, which renames, also needs pull below the
 * repository, for which GitLab issues a token only to itself (registry/handlers/app.go,
 * `appendRepositoryDetailsAccessRecords`).
 */
function repositoryAccess(exchange: Exchange, {repository}: V1Route): Exchange {
  if (repository === undefined) return exchange;
  const from = exchange.method === 'PATCH' ? {from: `${repository}/*`} : {};
  return {...exchange, route: {kind: 'tags', repository}, query: new URLSearchParams(from)};
}

/**
 * The API of GitLab's registry in addition to distribution's, with its database only (GitLab container registry:
 * docs/spec/gitlab/api.md).
 * @throws Refusal
 */
async function answerGitLabV1(
  instance: Instance,
  exchange: Exchange,
  {repository, part}: V1Route,
): Promise<Reply> {
  const base = jsonReply(200, {});
  if (repository === undefined) return {...base, headers: {...base.headers, ...VERSION}};
  if (exchange.method !== 'GET') throw methodRefused(part === 'repository' ? 'GET, PATCH' : 'GET');
  const {query} = exchange;
  const missing = ['before', 'name', 'name_exact', 'referrers', 'size', 'sort'];
  const unmodelled = part === 'tags/detail' ? part : missing.find((name) => query.has(name));
  if (unmodelled !== undefined)
    throw refusal(501, 'UNSUPPORTED', `the sandbox does not implement ${unmodelled}`);
  if (!(await instance.storage.hasRepository(repository))) throw nameUnknown(repository);
  return part === 'tags/list'
    ? listTags(instance, exchange, repository)
    : describeRepository(instance, repository);
}

async function describeRepository(instance: Instance, path: RepositoryPath): Promise<Reply> {
  const {world} = instance;
  const owner = world.ownerOf(path);
  const records = owner ? world.repositoriesOf(owner.project) : [];
  const record = records.find(({name}) => name === owner?.name);
  const tags = await instance.storage.manifests.tags(path);
  const published = Math.max(0, ...tags.map((tag) => pushedAt(instance, path, tag)));
  return jsonReply(200, {
    name: path.split('/').at(-1),
    path,
    created_at: record?.createdAt ?? '',
    ...(published > 0 ? {last_published_at: new Date(published).toISOString()} : {}),
  });
}

const PAGE_SIZE = 100;
const PAGE_LIMIT = 1000;

async function listTags(
  instance: Instance,
  {query, path}: Exchange,
  repository: RepositoryPath,
): Promise<Reply> {
  const size = pageSize(query);
  const last = query.get('last') ?? '';
  const all = await instance.storage.manifests.tags(repository);
  const rest = all.filter((tag) => tag > last);
  const page = rest.slice(0, size);
  const entries = await Promise.all(page.map((tag) => describeTag(instance, repository, tag)));
  const [first = '', final = ''] = [page[0], page.at(-1)];
  const link = (relation: string, parameter: object) => {
    const target = new URLSearchParams({...parameter, n: String(size)});
    return `<${path}?${target.toString()}>; rel="${relation}"`;
  };
  const links = [
    ...(page.length > 0 && first !== all[0] ? [link('previous', {before: first})] : []),
    ...(page.length < rest.length ? [link('next', {last: final})] : []),
  ];
  const headers = links.length > 0 ? {link: links.join(', ')} : {};
  return jsonReply(200, entries.filter(Boolean), headers);
}

/** GitLab container registry: registry/handlers/repositories.go, `filterParamsFromRequest`. @throws Refusal */
function pageSize(query: URLSearchParams): number {
  const text = query.get('n') ?? String(PAGE_SIZE);
  if (!/^[+-]?\d+$/.test(text))
    throw refusal(
      400,
      'INVALID_QUERY_PARAMETER_TYPE',
      'the value of a query parameter is of an invalid type',
    );
  const size = Number(text);
  if (size >= 1 && size <= PAGE_LIMIT) return size;
  throw refusal(400, 'INVALID_QUERY_PARAMETER_VALUE', 'the value of a query parameter is invalid');
}

async function describeTag(
  instance: Instance,
  repository: RepositoryPath,
  name: Tag,
): Promise<object | undefined> {
  const {storage} = instance;
  const digest = await storage.manifests.resolve(repository, name);
  const manifest = digest && (await storage.manifests.get(repository, digest));
  if (!manifest) return undefined;
  const time = new Date(pushedAt(instance, repository, name)).toISOString();
  return {
    name,
    digest,
    ...(manifest.config ? {config_digest: manifest.config.digest} : {}),
    media_type: manifest.mediaType,
    size_bytes: sizeOf(manifest),
    created_at: time,
    published_at: time,
  };
}

/**
 * The size of an image in bytes: manifest, config and layers; 0 for an index (GitLab container registry:
 * manifest/ocischema/manifest.go, `TotalSize`; registry/handlers/manifests.go, `dbPutManifestList`).
 */
export function sizeOf({kind, bytes, blobs}: StoredManifest): number {
  if (kind === 'index') return 0;
  return blobs.reduce((sum, {size}) => sum + size, bytes.byteLength);
}
