import {type Digest, isDigest} from '../../model/digest.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import type {Exchange} from '../exchange.ts';
import type {Reply} from '../reply.ts';
import type {Instance} from './instance.ts';

/** Answers a request of the registry, and writes down what it changed. */
export async function recordWrite(
  instance: Instance,
  {method, route, query}: Exchange,
  by: string,
  answer: () => Promise<Reply>,
): Promise<Reply> {
  const {events} = instance;
  const tagged =
    route.kind === 'manifest' && method === 'DELETE' && !isDigest(route.reference)
      ? await digestOf(instance, route.repository, route.reference)
      : undefined;
  const reply = await answer();
  if (reply.status >= 300) return reply;
  const named = reply.headers['docker-content-digest'];
  const digest = typeof named === 'string' ? named : '';
  switch (route.kind) {
    case 'manifest': {
      const {repository, reference} = route;
      const tag = isDigest(reference) ? undefined : reference;
      if (method === 'PUT') {
        const what = {repository, digest, ...(tag === undefined ? {} : {tag})};
        events.add(by, {kind: 'manifest-pushed', ...what});
      } else if (method === 'DELETE' && tag === undefined) {
        events.add(by, {kind: 'manifest-deleted', repository, digest: reference});
      } else if (method === 'DELETE' && tag !== undefined && tagged !== undefined) {
        events.add(by, {kind: 'tag-deleted', repository, tag, digest: tagged});
      }
      break;
    }
    case 'uploads':
    case 'upload':
      if (reply.status === 201) {
        const kind = query.has('mount') ? 'blob-mounted' : 'blob-pushed';
        events.add(by, {kind, repository: route.repository, digest});
      }
      break;
    case 'blob':
      if (method === 'DELETE')
        events.add(by, {kind: 'blob-deleted', repository: route.repository, digest: route.digest});
      break;
    case 'token':
    case 'base':
    case 'catalog':
    case 'tags':
    case 'referrers':
    case 'unknown':
    case 'invalid':
      break;
  }
  return reply;
}

async function digestOf(
  {storage}: Instance,
  repository: RepositoryPath,
  tag: Tag,
): Promise<Digest | undefined> {
  return storage.manifests.resolve(repository, tag);
}
