import type {HttpAnswer} from '../http/answer.ts';
import type {Digest} from '../model/digest.ts';
import {readJson} from '../model/json.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import type {Connection} from './connection.ts';
import {refusal} from './refusal.ts';
import {CATALOG_SCOPE, pullScope} from './scope.ts';

/** How a registry answers to a request for one tag of a list. */
export type Paging = 'honoured' | 'ignored' | 'not-known';

const LIST_LIMIT = 16 * 1024 * 1024;
const catalogSchema = z.object({repositories: list(z.string()).nullable()});
const tagsSchema = z.object({tags: list(z.string()).nullish()});

/**
 * Asks for the first tag alone (distribution-spec, "Listing Tags"). `not-known`: there are fewer than two.
 * @throws TransshipError the registry's refusals
 */
export async function probePaging(
  connection: Connection,
  path: RepositoryPath,
  call: Call,
): Promise<Paging> {
  const answer = await connection.send({
    method: 'GET',
    target: `${path}/tags/list?n=1`,
    path,
    scopes: [pullScope(path)],
    readLimit: LIST_LIMIT,
    ...call,
  });
  if (answer.status !== 200) throw await refusal(answer, {notFound: 'REPOSITORY_NOT_FOUND'});
  const {bytes} = await answer.read(LIST_LIMIT);
  const tags = readJson(bytes, tagsSchema)?.tags ?? [];
  if (tags.length > 1) return 'ignored';
  return answer.header('link') === undefined ? 'not-known' : 'honoured';
}

/**
 * Asks for one repository of the catalog (distribution-spec has none; distribution, docs/spec/api.md, "Listing Repositories").
 * @returns whether this login may list them
 */
export async function probeCatalog(connection: Connection, call: Call): Promise<boolean> {
  const answer = await connection.send({
    method: 'GET',
    target: '_catalog?n=1',
    path: undefined,
    scopes: [CATALOG_SCOPE],
    readLimit: LIST_LIMIT,
    ...call,
  });
  const {bytes} = await answer.read(LIST_LIMIT);
  return answer.status === 200 && readJson(bytes, catalogSchema) !== undefined;
}

/** How a registry answers to a request for a part of a blob, and where its bytes come from. */
export interface BlobReading {
  /** `ignored`: it sends the whole blob. `garbled`: another part than was asked for. `refused`: none at all. */
  readonly ranges: 'honoured' | 'ignored' | 'garbled' | 'refused';
  /** The host that the registry redirects to; absent: it sends the bytes itself. */
  readonly from?: string;
  /** Of the registry's own limit, as its headers say it: `ratelimit-remaining: 98;w=21600`. */
  readonly limits: readonly string[];
}

/**
 * Asks for the second byte of a blob (RFC 9110, section 14.2).
 * @param blob of more than two bytes
 * @throws TransshipError the registry's refusals
 */
export async function probeBlob(
  connection: Connection,
  path: RepositoryPath,
  blob: Digest,
  call: Call,
): Promise<BlobReading> {
  const answer = await connection.send({
    method: 'GET',
    target: `${path}/blobs/${blob}`,
    headers: {range: 'bytes=1-1'},
    path,
    scopes: [pullScope(path)],
    ...call,
  });
  const from = connection.isElsewhere(answer) ? answer.request.url.host : undefined;
  const limits = limitsOf(answer);
  const ranges = rangesOf(answer);
  if (ranges === undefined) throw await refusal(answer, {notFound: 'BLOB_NOT_FOUND'});
  answer.cancel();
  return {ranges, limits, ...(from === undefined ? {} : {from})};
}

function rangesOf(answer: HttpAnswer): BlobReading['ranges'] | undefined {
  switch (answer.status) {
    case 200:
      return 'ignored';
    case 206:
      return answer.header('content-range')?.startsWith('bytes 1-1/') && answer.length === 1
        ? 'honoured'
        : 'garbled';
    case 416:
      return 'refused';
    default:
      return undefined;
  }
}

function limitsOf(answer: HttpAnswer): readonly string[] {
  return ['ratelimit-limit', 'ratelimit-remaining', 'x-ratelimit-remaining'].flatMap((name) => {
    const value = answer.header(name);
    return value === undefined ? [] : [`${name}: ${value}`];
  });
}
