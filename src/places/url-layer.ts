import type {HttpClient} from '../http/client.ts';
import {formatByteRange, parseContentRange} from '../http/header-fields.ts';
import {describeRequest, LARGE_BODY} from '../http/request.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {TransshipError} from '../model/error.ts';
import {
  absentRepository,
  type BlobStream,
  type ByteRange,
  type Call,
  type RepositoryReader,
} from '../model/port.ts';

/**
 * A foreign layer at the URLs in its manifest (image-spec, descriptor.md, "urls"). Their hosts are untrusted: they
 * receive no credentials, and the bytes are checked against the digest.
 * @param urls at least one; tried in this order
 */
export function layerAt(http: HttpClient, urls: readonly string[]): RepositoryReader {
  const name = urls[0] ?? '';
  return {
    ...absentRepository(name),
    openBlob: async (blob, range, call) => {
      const failures: unknown[] = [];
      for (const url of urls) {
        try {
          return await open(http, url, blob, range, call);
        } catch (error) {
          call.signal.throwIfAborted();
          failures.push(error);
        }
      }
      throw failures.at(-1);
    },
  };
}

async function open(
  http: HttpClient,
  text: string,
  blob: Descriptor,
  {offset, end = blob.size}: ByteRange,
  call: Call,
): Promise<BlobStream> {
  const url = http.resolveLayerUrl(text);
  const last = Math.min(end, blob.size);
  const isPiece = offset > 0 || last < blob.size;
  const response = await http.send({
    method: 'GET',
    url,
    side: 'source',
    ledBy: http.leaderToLayer(url),
    ...(isPiece ? {headers: {range: formatByteRange(offset, last)}} : {}),
    lane: last - offset > LARGE_BODY ? 'read' : 'small',
    ...call,
  });
  const body = {
    chunks: response.chunks(),
    readInto: (memory: Uint8Array) => response.readInto(memory),
  };
  const range = parseContentRange(response.header('content-range'));
  if (response.status === 206 && range?.start === offset && range.end <= last)
    return {start: offset, end: range.end, ...body};
  const {length} = response;
  if (response.status === 200 && (length === undefined || length === blob.size))
    return {start: 0, end: blob.size, ...body};
  response.cancel();
  const what = describeRequest(response.request);
  if (response.status === 200) {
    throw new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `${what} has ${length} bytes, the manifest says ${blob.size}`,
      {side: 'source', hint: 'the URL no longer has this layer; leave the image out'},
    );
  }
  throw new TransshipError('BLOB_NOT_FOUND', `${what} answered ${response.status}`, {
    side: 'source',
    hint: 'the URL no longer has this layer; push it to the source, or leave the image out',
    status: response.status,
  });
}
