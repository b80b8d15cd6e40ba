import {
  emptyReply,
  type Exchange,
  methodRefused,
  type Refusal,
  refusal,
  type Reply,
} from './exchange.ts';
import type {Slice} from './file-tree.ts';
import type {Registry} from './registry.ts';
import type {RouteOf} from './route.ts';

type BlobRoute = RouteOf<'blob'>;

/** `/v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs", "Deleting Blobs"). */
export async function answerBlob(
  registry: Registry,
  exchange: Exchange,
  route: BlobRoute,
): Promise<Reply> {
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return pullBlob(registry, exchange, route);
    case 'DELETE':
      return deleteBlob(registry, route);
    default:
      throw methodRefused(exchange);
  }
}

async function pullBlob(
  {storage}: Registry,
  {method, headers}: Exchange,
  {repository, digest}: BlobRoute,
): Promise<Reply> {
  const size = await storage.blobs.size(repository, digest);
  if (size === undefined) throw blobUnknown(digest);
  const range = method === 'GET' ? parseRange(headers.range, size) : undefined;
  const fields = {
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
  };
  if (range === 'unsatisfiable')
    return emptyReply(416, {...fields, 'content-range': `bytes */${size}`});
  const slice = range ?? {start: 0, end: size};
  return {
    status: range ? 206 : 200,
    headers: {
      ...fields,
      'content-length': String(slice.end - slice.start),
      ...(range ? {'content-range': `bytes ${slice.start}-${slice.end - 1}/${size}`} : {}),
    },
    body: () => storage.blobs.read(digest, slice),
  };
}

async function deleteBlob(
  {storage, flavour}: Registry,
  {repository, digest}: BlobRoute,
): Promise<Reply> {
  if (!flavour.delete) throw refusal(405, 'UNSUPPORTED', 'deletion is disabled');
  if (!(await storage.blobs.unlink(repository, digest))) throw blobUnknown(digest);
  return emptyReply(202, {'docker-content-digest': digest});
}

function blobUnknown(digest: string): Refusal {
  return refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry', digest);
}

/**
 * Reads a Range header with one range (RFC 9110, 14.1.2). Undefined: send everything, as for several ranges or a
 * malformed header. `unsatisfiable`: 416.
 */
function parseRange(header: string | undefined, size: number): Slice | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Number(last);
    return length === 0 || size === 0
      ? 'unsatisfiable'
      : {start: Math.max(size - length, 0), end: size};
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : {start, end};
}
