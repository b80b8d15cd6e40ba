import {
  emptyReply,
  type Exchange,
  methodRefused,
  type Refusal,
  refusal,
  type Reply,
  textReply,
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
      throw methodRefused('DELETE, GET, HEAD');
  }
}

/**
 * Sends a blob as the distribution family does, with Go's `http.ServeContent` (distribution:
 * registry/storage/blobserver.go), which applies Range to HEAD as well.
 */
async function pullBlob(
  {storage}: Registry,
  {headers}: Exchange,
  {repository, digest}: BlobRoute,
): Promise<Reply> {
  const size = await storage.blobs.size(repository, digest);
  if (size === undefined) throw blobUnknown(digest);
  const etag = `"${digest}"`;
  const fields = {'docker-content-digest': digest, etag, 'cache-control': 'max-age=31536000'};
  if (headers['if-none-match'] === etag) return {status: 304, headers: fields};
  const range =
    (headers['if-range'] ?? etag) === etag ? parseRange(headers.range, size) : undefined;
  if (range === 'malformed' || range === 'unsatisfiable') {
    const told = range === 'malformed' ? {} : {'content-range': `bytes */${size}`};
    const why = range === 'malformed' ? '' : ': failed to overlap';
    return textReply(416, `invalid range${why}\n`, {'docker-content-digest': digest, ...told});
  }
  const slice = range ?? {start: 0, end: size};
  return {
    status: range ? 206 : 200,
    headers: {
      ...fields,
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
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
  if (!flavour.delete) throw refusal(405, 'UNSUPPORTED', 'The operation is unsupported.');
  if (!(await storage.blobs.unlink(repository, digest))) throw blobUnknown(digest);
  return emptyReply(202);
}

function blobUnknown(digest: string): Refusal {
  return refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry', digest);
}

/**
 * Reads a Range header with one range (RFC 9110, 14.1.2). Undefined: send everything, as for several ranges, which a
 * server may refuse to send, or another unit.
 */
function parseRange(
  header: string | undefined,
  size: number,
): Slice | 'malformed' | 'unsatisfiable' | undefined {
  if (header?.startsWith('bytes=') !== true || header.includes(',')) return undefined;
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === ''))
    return 'malformed';
  if (first === '') {
    const length = Number(last);
    return length === 0 || size === 0
      ? 'unsatisfiable'
      : {start: Math.max(size - length, 0), end: size};
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return 'malformed';
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  return start >= size ? 'unsatisfiable' : {start, end};
}
