import type {HttpAnswer} from '../http/answer.ts';
import {LARGE_BODY} from '../http/message.ts';
import {formatByteRange, parseContentRange} from '../http/range.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {BlobStream, ByteRange, Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {refusal} from './refusal.ts';
import {pullScope} from './scope.ts';

/** Reads the blobs of one repository (distribution-spec, "Pulling blobs"). */
export class Blobs {
  readonly #connection: Connection;
  readonly #path: RepositoryPath;

  constructor(connection: Connection, path: RepositoryPath) {
    this.#connection = connection;
    this.#path = path;
  }

  async has(digest: Digest, call: Call): Promise<boolean> {
    const answer = await this.#connection.send({
      method: 'HEAD',
      target: `${this.#path}/blobs/${digest}`,
      path: this.#path,
      scopes: [pullScope(this.#path)],
      ...call,
    });
    if (answer.status === 404) return false;
    if (answer.status === 200) return true;
    throw await refusal(answer);
  }

  /**
   * Opens a blob, or a piece of it. An answer that is another piece than was asked for, and not its beginning, is an
   * error: its bytes would be joined to the wrong place.
   */
  async open(blob: Descriptor, {offset, end}: ByteRange, call: Call): Promise<BlobStream> {
    const last = Math.min(end ?? blob.size, blob.size);
    if (offset >= last && blob.size > 0) return {start: offset, end: last, chunks: nothing()};
    const isPiece = offset > 0 || last < blob.size;
    const answer = await this.#connection.send({
      method: 'GET',
      target: `${this.#path}/blobs/${blob.digest}`,
      ...(isPiece && {headers: {range: formatByteRange(offset, last)}}),
      lane: last - offset > LARGE_BODY ? 'read' : 'small',
      answerSize: last - offset,
      path: this.#path,
      scopes: [pullScope(this.#path)],
      ...call,
    });
    if (answer.status === 404) throw await refusal(answer, {notFound: 'BLOB_NOT_FOUND'});
    if (answer.status === 416) throw await this.#wrongSize(answer, blob, 'less than that');
    if (answer.status === 206 && isPiece) return this.#piece(answer, blob, offset, last);
    if (answer.status !== 200) throw await this.#refused(answer);
    const {length} = answer;
    if (length !== undefined && length !== blob.size) {
      throw await this.#wrongSize(answer, blob, String(length));
    }
    return {start: 0, end: blob.size, chunks: answer.chunks()};
  }

  /**
   * A storage that the registry redirects to refuses links whose time is over. Such a link may have waited for its turn
   * here, so the registry is worth asking for another.
   */
  async #refused(answer: HttpAnswer): Promise<TransshipError> {
    const error = await refusal(answer);
    const isExpiry =
      [400, 401, 403].includes(answer.status) && this.#connection.isElsewhere(answer);
    if (!isExpiry) return error;
    const {code, message, side, hint} = error;
    return new TransshipError(code, message, {side, hint, retry: true, status: answer.status});
  }

  async #piece(
    answer: HttpAnswer,
    blob: Descriptor,
    offset: number,
    end: number,
  ): Promise<BlobStream> {
    const header = answer.header('content-range');
    const range = parseContentRange(header);
    if (range?.total !== undefined && range.total !== blob.size) {
      throw await this.#wrongSize(answer, blob, String(range.total));
    }
    // Less than was asked for is allowed, more is not (RFC 9110, section 15.3.7).
    if (range?.start === offset && range.end <= end) {
      return {start: offset, end: range.end, chunks: answer.chunks()};
    }
    await answer.discard();
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${this.#nameOf(blob)}: asked for bytes ${offset}-${end - 1}, got "${header ?? ''}"`,
      {
        side: this.#connection.side,
        hint: 'the storage or a proxy before the registry serves ranges wrong; ask its administrator',
        status: answer.status,
      },
    );
  }

  async #wrongSize(answer: HttpAnswer, blob: Descriptor, size: string): Promise<TransshipError> {
    await answer.discard();
    return new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `${this.#nameOf(blob)} should have ${blob.size} bytes, the registry has ${size}`,
      {
        side: this.#connection.side,
        hint: 'the size in the manifest is wrong, or the blob is damaged; build and push the image again',
        status: answer.status,
      },
    );
  }

  #nameOf({digest}: Descriptor): string {
    return `${this.#connection.host}/${this.#path}@${digest}`;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
