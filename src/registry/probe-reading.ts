import type {HttpResponse} from '../http/response.ts';
import type {Digest} from '../model/digest.ts';
import {readJson} from '../model/json.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import type {RegistryConnection} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import {CATALOG_SCOPE, pullScope} from './scope.ts';

/** Whether a registry limits a list of tags to the requested number. */
export type Paging = 'honoured' | 'ignored' | 'not-known';

const LIST_LIMIT = 16 * 1024 * 1024;
const catalogSchema = z.object({repositories: list(z.string()).nullable()});
const tagsSchema = z.object({tags: list(z.string()).nullish()});

/**
 * Requests only the first tag (distribution-spec, "Listing Tags"). `not-known`: there are fewer than two.
 * @throws TransshipError the registry's refusals
 */
export async function probePaging(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<Paging> {
  const response = await connection.send({
    method: 'GET',
    target: `${path}/tags/list?n=1`,
    path,
    scopes: [pullScope(path)],
    readLimit: LIST_LIMIT,
    ...call,
  });
  if (response.status !== 200)
    throw await registryRefusal(response, {notFound: 'REPOSITORY_NOT_FOUND'});
  const {bytes} = await response.read(LIST_LIMIT);
  const tags = readJson(bytes, tagsSchema)?.tags ?? [];
  if (tags.length > 1) return 'ignored';
  return response.header('link') === undefined ? 'not-known' : 'honoured';
}

/**
 * Requests one repository of the catalog, which is not part of the distribution-spec (distribution: docs/spec/api.md,
 * "Listing Repositories").
 * @returns whether this login may list repositories
 */
export async function probeCatalog(connection: RegistryConnection, call: Call): Promise<boolean> {
  const response = await connection.send({
    method: 'GET',
    target: '_catalog?n=1',
    path: undefined,
    scopes: [CATALOG_SCOPE],
    readLimit: LIST_LIMIT,
    ...call,
  });
  const {bytes} = await response.read(LIST_LIMIT);
  return response.status === 200 && readJson(bytes, catalogSchema) !== undefined;
}

/** How a registry responds to a range request, and where the bytes come from. */
export interface BlobReading {
  /** `ignored`: it sends the whole blob. `garbled`: it sends another range. `refused`: it sends nothing. */
  readonly ranges: 'honoured' | 'ignored' | 'garbled' | 'refused';
  /** The host that the registry redirects to; absent: it sends the bytes itself. */
  readonly from?: string;
  /** The headers about its rate limit: `ratelimit-remaining: 98;w=21600`. */
  readonly limits: readonly string[];
}

/**
 * Requests the second byte of a blob (RFC 9110, section 14.2).
 * @param blob of more than two bytes
 * @throws TransshipError the registry's refusals
 */
export async function probeBlob(
  connection: RegistryConnection,
  path: RepositoryPath,
  blob: Digest,
  call: Call,
): Promise<BlobReading> {
  const response = await connection.send({
    method: 'GET',
    target: `${path}/blobs/${blob}`,
    headers: {range: 'bytes=1-1'},
    path,
    scopes: [pullScope(path)],
    ...call,
  });
  const from = connection.isElsewhere(response) ? response.request.url.host : undefined;
  const limits = limitsOf(response);
  const ranges = rangesOf(response);
  if (ranges === undefined) throw await registryRefusal(response, {notFound: 'BLOB_NOT_FOUND'});
  response.cancel();
  return {ranges, limits, ...(from === undefined ? {} : {from})};
}

function rangesOf(response: HttpResponse): BlobReading['ranges'] | undefined {
  switch (response.status) {
    case 200:
      return 'ignored';
    case 206:
      return response.header('content-range')?.startsWith('bytes 1-1/') && response.length === 1
        ? 'honoured'
        : 'garbled';
    case 416:
      return 'refused';
    default:
      return undefined;
  }
}

function limitsOf(response: HttpResponse): readonly string[] {
  return ['ratelimit-limit', 'ratelimit-remaining', 'x-ratelimit-remaining'].flatMap((name) => {
    const value = response.header(name);
    return value === undefined ? [] : [`${name}: ${value}`];
  });
}
