import {parseChunkRange} from './byte-range.ts';
import type {Exchange} from './exchange.ts';
import {refusal} from './refusal.ts';
import type {Reply} from './reply.ts';
import {decodeUploadState} from './upload-state.ts';

/**
 * Checks that a chunk is meant for where the upload stands: its `_state`, its Content-Range and its length.
 * @param size bytes the upload has
 * @param isOver whether its last chunk came, as one must be that is smaller than the minimum that was announced
 *   (distribution-spec, "Pushing a blob in chunks"; it names no status for it, so the one for what is out of order)
 * @param progress the headers that tell the client where the upload stands
 * @returns the bytes that the body must have; undefined: any number
 * @throws Refusal
 */
export function checkChunk(
  {headers, query}: Exchange,
  id: string,
  size: number,
  isOver: boolean,
  progress: () => Reply['headers'],
): number | undefined {
  const type = headers['content-type'];
  if (type !== undefined && type !== 'application/octet-stream')
    throw refusal(400, 'BLOB_UPLOAD_INVALID', 'bad Content-Type', type);
  if (decodeUploadState(query.get('_state'), id) !== size) {
    const message = 'the _state is of another time: ask where the upload stands';
    throw refusal(416, 'RESUMABLE_BLOB_UPLOAD_INVALID', message, undefined, progress());
  }
  const contentRange = headers['content-range'];
  const length = headers['content-length'];
  const isEmpty = (length ?? '0') === '0' && headers['transfer-encoding'] === undefined;
  if (isOver && !isEmpty) {
    const message = 'the chunk before was smaller than OCI-Chunk-Min-Length, so it was the last';
    throw refusal(416, 'CONTENT_RANGE_INVALID', message, contentRange, progress());
  }
  if (contentRange === undefined) return undefined;
  const range = parseChunkRange(contentRange);
  if (range?.start !== size) {
    const message = `the range must start at ${size}`;
    throw refusal(416, 'CONTENT_RANGE_INVALID', message, contentRange, progress());
  }
  if (length !== undefined && Number(length) !== range.end - range.start)
    throw refusal(400, 'SIZE_INVALID', 'Content-Length and Content-Range differ', contentRange);
  return range.end - range.start;
}

/**
 * Passes a body on as far as it may go.
 * @throws Refusal SIZE_INVALID where it is longer or shorter; what came until then was passed on
 */
export async function* exactly(
  body: AsyncIterable<Uint8Array>,
  length: number | undefined,
): AsyncGenerator<Uint8Array> {
  let missing = length ?? Number.POSITIVE_INFINITY;
  for await (const chunk of body) {
    if (chunk.byteLength > missing) {
      if (missing > 0) yield chunk.subarray(0, missing);
      throw refusal(400, 'SIZE_INVALID', `the body is longer than ${length} bytes`);
    }
    missing -= chunk.byteLength;
    yield chunk;
  }
  if (length !== undefined && missing > 0)
    throw refusal(400, 'SIZE_INVALID', `the body is shorter than ${length} bytes`);
}
