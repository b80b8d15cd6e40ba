import type {StoredManifest} from '../manifest-format.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import {tokenGuard} from '../auth.ts';
import {emptyReply, type Exchange, jsonReply, refusal, type Reply} from '../exchange.ts';
import {isDigest, isRepositoryPath} from '../names.ts';
import {answerRegistry, type Caller, GITLAB_FLAVOUR} from '../registry.ts';
import {type Instance, pushedAt} from './instance.ts';
import {checkManifest, recordWrite, requireDeletable, requireUnlimited} from './registry-rules.ts';
import type {RegistryTokens} from './registry-tokens.ts';

/** The version that the registry says to have. */
const VERSION = '4.32.0-gitlab';

/** GitLab's registry: distribution's API with what GitLab's fork adds, forbids and tells. */
export class RegistryFront {
  readonly #instance: Instance;
  readonly #tokens: RegistryTokens;
  readonly #guard: (exchange: Exchange) => Caller;

  constructor(instance: Instance, tokens: RegistryTokens) {
    this.#instance = instance;
    this.#tokens = tokens;
    const guard = tokenGuard(tokens);
    // Tokens are had from GitLab, wherever its registry is.
    this.#guard = (exchange) => guard({...exchange, origin: `http://${instance.hosts.gitlab}`});
  }

  /** @throws Refusal */
  async answer(exchange: Exchange): Promise<Reply> {
    const {mode} = this.#instance;
    if (exchange.path.startsWith('/gitlab/v1')) return this.#answerGitLabV1(exchange);
    const caller = this.#guard(exchange);
    const flavour = {
      ...GITLAB_FLAVOUR,
      // Without the database the whole list is sent, and `n` is ignored (GitLab container registry: handlers/tags.go).
      ...(mode === 'legacy' ? {tagPageLimit: undefined} : {}),
    };
    const registry = {storage: this.#instance.storage, flavour};
    if (exchange.route.kind === 'base') {
      const reply = await answerRegistry(registry, exchange, caller);
      return {...reply, headers: {...reply.headers, ...capabilities(this.#instance)}};
    }
    await this.#checkWrite(exchange);
    const seen = mode === 'legacy' && exchange.route.kind === 'tags' ? unpaged(exchange) : exchange;
    return recordWrite(this.#instance, exchange, this.#subject(exchange), () =>
      answerRegistry(registry, seen, caller),
    );
  }

  async #answerGitLabV1(exchange: Exchange): Promise<Reply> {
    const [, path] = /^\/gitlab\/v1\/repositories\/(.+?)\/(?:tags\/|$)/.exec(exchange.path) ?? [];
    const repository = path !== undefined && isRepositoryPath(path) ? path : undefined;
    // The guard reads from the route what is needed.
    const route = repository === undefined ? exchange.route : {kind: 'tags' as const, repository};
    this.#guard({...exchange, route});
    if (this.#instance.mode === 'legacy') throw refusal(404, 'UNKNOWN', '404 page not found');
    return answerGitLabV1(this.#instance, exchange, repository);
  }

  async #checkWrite(exchange: Exchange): Promise<void> {
    const {method, route} = exchange;
    if (method === 'GET' || method === 'HEAD') return;
    // GitLab container registry: registry/handlers/app.go, `readOnly` leaves no route for writes.
    if (this.#instance.switches.readOnly)
      throw refusal(405, 'UNSUPPORTED', 'The operation is unsupported.');
    if (route.kind !== 'manifest') return;
    const limits = this.#tokens.limits(tokenOf(exchange), route.repository);
    await requireUnlimited(this.#instance, limits, method, route);
    if (method === 'PUT') await checkManifest(this.#instance, exchange, route);
    if (method === 'DELETE' && isDigest(route.reference))
      await requireDeletable(this.#instance, route.repository, route.reference);
  }

  #subject(exchange: Exchange): string {
    return this.#tokens.verify(tokenOf(exchange))?.subject ?? '';
  }
}

/** Sent to authenticated clients (GitLab container registry: registry/handlers/app.go, `apiBase`). */
function capabilities({mode}: Instance): Reply['headers'] {
  return {
    'gitlab-container-registry-version': VERSION,
    'gitlab-container-registry-features': 'tag_delete',
    'gitlab-container-registry-database-enabled': String(mode === 'metadata-db'),
  };
}

function unpaged(exchange: Exchange): Exchange {
  return {...exchange, query: new URLSearchParams()};
}

function tokenOf({headers}: Exchange): string {
  return headers.authorization?.split(/ +/)[1] ?? '';
}

const PAGE_SIZE = 100;
const PAGE_LIMIT = 1000;

/**
 * The API that GitLab's registry has beside distribution's, with its database alone (GitLab container registry:
 * docs/spec/gitlab/api.md). Of it what a token for pulls opens: the base, the details of a repository and its tags.
 * @throws Refusal
 */
async function answerGitLabV1(
  instance: Instance,
  exchange: Exchange,
  repository: RepositoryPath | undefined,
): Promise<Reply> {
  const {path, method} = exchange;
  if (method !== 'GET') throw refusal(405, 'UNSUPPORTED', `${method} is not for clients`);
  if (!path.endsWith('/')) return emptyReply(301, {location: `${path}/`});
  if (path === '/gitlab/v1/') return jsonReply(200, {});
  if (repository === undefined) throw refusal(404, 'UNKNOWN', '404 page not found');
  if (!(await instance.storage.hasRepository(repository)))
    throw refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry', {name: repository});
  if (path.endsWith(`/${repository}/tags/list/`)) return listTags(instance, exchange, repository);
  if (path.endsWith(`/${repository}/`))
    return jsonReply(200, {name: repository.split('/').at(-1), path: repository});
  throw refusal(404, 'UNKNOWN', '404 page not found');
}

async function listTags(
  instance: Instance,
  {query, path}: Exchange,
  repository: RepositoryPath,
): Promise<Reply> {
  const size = Number(query.get('n') ?? PAGE_SIZE);
  if (!Number.isInteger(size) || size < 1 || size > PAGE_LIMIT)
    throw refusal(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested');
  const last = query.get('last') ?? '';
  const all = await instance.storage.manifests.tags(repository);
  const rest = all.filter((tag) => tag > last);
  const page = rest.slice(0, size);
  const entries = await Promise.all(page.map((tag) => describeTag(instance, repository, tag)));
  const next = new URLSearchParams({n: String(size), last: page.at(-1) ?? ''});
  const headers =
    page.length < rest.length ? {link: `<${path}?${next.toString()}>; rel="next"`} : {};
  return jsonReply(200, entries.filter(Boolean), headers);
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
    config_digest: manifest.config?.digest ?? '',
    media_type: manifest.mediaType,
    size_bytes: sizeOf(manifest),
    created_at: time,
    published_at: time,
  };
}

/** Total size in bytes of the listed content. */
export function sizeOf({manifests, blobs}: StoredManifest): number {
  return [...manifests, ...blobs].reduce((sum, {size}) => sum + size, 0);
}
