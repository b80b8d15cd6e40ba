import type {HttpAnswer} from '../http/answer.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {parseManifest} from '../model/manifest.ts';
import {OCI_INDEX} from '../model/media-type.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {PAGE_LIMIT, pages, unreadable} from './paging.ts';
import {refusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** What a registry without the referrers API says: 404 by the specification, others by experience. */
const NO_API = new Set([400, 404, 405, 406, 501]);

/**
 * What refers to a manifest (distribution-spec, "Listing Referrers"); undefined: the registry has no referrers API.
 * All of them are asked for: no filter, so `OCI-Filters-Applied` cannot cut the list.
 */
export async function listReferrers(
  connection: Connection,
  path: RepositoryPath,
  subject: Digest,
  {signal}: Call,
): Promise<readonly Descriptor[] | undefined> {
  const found = new Map<Digest, Descriptor>();
  for await (const answer of pages(connection, {
    method: 'GET',
    target: `${path}/referrers/${subject}`,
    headers: {accept: OCI_INDEX},
    path,
    scopes: [pullScope(path)],
    signal,
  })) {
    if (NO_API.has(answer.status)) {
      await answer.discard();
      return undefined;
    }
    if (answer.status !== 200) throw await refusal(answer);
    // A web application before the registry may answer any path with its page.
    if (/^text\//i.test(answer.header('content-type') ?? '')) {
      await answer.discard();
      return undefined;
    }
    for (const descriptor of await readIndex(answer)) found.set(descriptor.digest, descriptor);
  }
  return [...found.values()];
}

async function readIndex(answer: HttpAnswer): Promise<readonly Descriptor[]> {
  const {bytes, complete} = await answer.read(PAGE_LIMIT);
  if (!complete) throw unreadable(answer, `is larger than ${PAGE_LIMIT} bytes`);
  const {view} = parseManifest(bytes, OCI_INDEX, undefined, answer.request.side);
  if (view.kind === 'index') return view.manifests;
  throw unreadable(answer, 'is not an index');
}
