import {childBlobs, childManifests, type Manifest} from '../../model/manifest.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import type {Exchange} from '../exchange.ts';
import {refusal} from '../refusal.ts';
import {emptyReply, jsonReply, type Reply} from '../reply.ts';
import {type Instance, pushedAt} from './instance.ts';

const PAGE_SIZE = 100;
const PAGE_LIMIT = 1000;

/**
 * The API that GitLab's registry has beside distribution's, with its database alone (GitLab container registry:
 * docs/spec/gitlab/api.md). Of it what a token for pulls opens: the base, the details of a repository and its tags.
 * @throws Refusal
 */
export async function answerGitLabV1(
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
    config_digest: manifest.view.kind === 'image' ? manifest.view.config.digest : '',
    media_type: manifest.descriptor.mediaType,
    size_bytes: sizeOf(manifest),
    created_at: time,
    published_at: time,
  };
}

/** Bytes of what the manifest lists. */
export function sizeOf({view}: Manifest): number {
  const listed = [...childManifests(view), ...childBlobs(view)];
  return listed.reduce((sum, {size}) => sum + size, 0);
}
