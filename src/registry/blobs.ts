import type {HttpResponse} from '../http/response.ts';
import {describeRequest, LARGE_BODY} from '../http/request.ts';
import {formatByteRange, parseContentRange} from '../http/header-fields.ts';
import {isWebPage} from '../http/web-page.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {retryable, TransshipError} from '../model/error.ts';
import {MANIFEST_LIMIT} from '../model/manifest.ts';
import type {BlobStream, ByteRange, Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import {pullScope} from './scope.ts';
import {hasBlob} from './stored.ts';

/** A byte range of a blob; `end` is exclusive. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** Statuses with which registries, and storages whose signatures do not cover `Range`, refuse ranges. */
const RANGE_REFUSED = new Set([400, 403, 416]);

/** The largest blob that is decoded if it is sent encoded: a config, at most as large as a manifest. */
const ENCODED_LIMIT = MANIFEST_LIMIT;

/** Reads the blobs of one repository (distribution-spec, "Pulling blobs"). */
export class Blobs {
  readonly #connection: RegistryConnection;
  readonly #path: RepositoryPath;

  constructor(connection: RegistryConnection, path: RepositoryPath) {
    this.#connection = connection;
    this.#path = path;
  }

  has(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    const path = this.#path;
    return hasBlob(this.#connection, {path, blob, scope: pullScope(path)}, call);
  }

  /** The size that a GET of the whole blob announces: the response to HEAD may differ. The body is not read. */
  async size(digest: Digest, call: Call): Promise<number | undefined> {
    const response = await this.#get({digest, size: 0}, undefined, call);
    const isBlob = response.status === 200 && !isWebPage(response) && !response.isEncoded;
    response.cancel();
    return isBlob ? response.length : undefined;
  }

  /**
   * Opens a blob, or a range of it. A response with another range is not used unless it is the start of the requested
   * one: its bytes would end up at the wrong offset. If a registry refuses ranges but serves the whole blob, only whole
   * blobs are requested from then on.
   */
  async open(blob: Descriptor, {offset, end}: ByteRange, call: Call): Promise<BlobStream> {
    const last = Math.min(end ?? blob.size, blob.size);
    if (offset >= last && blob.size > 0) return {start: offset, end: last, chunks: nothing()};
    const isPiece = offset > 0 || last < blob.size;
    if (!isPiece || !this.#connection.uses('ranges'))
      return this.#whole(await this.#get(blob, undefined, call), blob);
    const range = {start: offset, end: last};
    let response = await this.#get(blob, range, call);
    if (this.#mayBeExpired(response)) {
      await response.discard();
      response = await this.#get(blob, range, call);
    }
    if (response.status === 206) {
      const piece = await this.#range(response, blob, range);
      if (piece) return piece;
    } else if (!RANGE_REFUSED.has(response.status)) {
      const whole = await this.#whole(response, blob);
      this.#disableRanges(response);
      return whole;
    }
    // If the whole blob is refused as well, that error is reported.
    await response.discard();
    const whole = await this.#whole(await this.#get(blob, undefined, call), blob);
    this.#disableRanges(response);
    return whole;
  }

  #disableRanges(response: HttpResponse): void {
    const got =
      response.status === 206
        ? ` with Content-Range "${response.header('content-range') ?? ''}"`
        : '';
    const reason = `${describeRequest(response.request)} with a Range was answered ${response.status}${got}`;
    this.#connection.featureNotUsed('ranges', reason, 'blobs are read in one stream');
  }

  #get(
    blob: Pick<Descriptor, 'digest' | 'size'>,
    range: Range | undefined,
    call: Call,
  ): Promise<HttpResponse> {
    const size = range ? range.end - range.start : blob.size;
    return this.#connection.send({
      method: 'GET',
      target: `${this.#path}/blobs/${blob.digest}`,
      ...(range && {headers: {range: formatByteRange(range.start, range.end)}}),
      lane: size > LARGE_BODY ? 'read' : 'small',
      path: this.#path,
      scopes: [pullScope(this.#path)],
      ...call,
    });
  }

  async #whole(response: HttpResponse, blob: Descriptor): Promise<BlobStream> {
    if (response.status === 404)
      throw await registryRefusal(response, {notFound: 'BLOB_NOT_FOUND'});
    if (response.status === 206) throw await this.#partialResponse(response, blob);
    if (response.status !== 200) throw await this.#refused(response);
    const {length} = response;
    // A failing load balancer or a login page says nothing about the blob.
    if (isWebPage(response) && length !== blob.size)
      throw retryable(await registryRefusal(response));
    if (response.isEncoded && length !== blob.size && blob.size <= ENCODED_LIMIT)
      return await this.#decoded(response, blob);
    if (length !== undefined && length !== blob.size) {
      throw await this.#wrongSize(response, blob, String(length));
    }
    return streamOf(response, 0, blob.size);
  }

  /** Decodes a blob that a web server in front of the registry compressed, as they do with JSON such as configs. */
  async #decoded(response: HttpResponse, blob: Descriptor): Promise<BlobStream> {
    const {bytes, complete} = await response.readSized(blob.size, ENCODED_LIMIT);
    if (!complete || bytes.byteLength !== blob.size) {
      const size = complete ? String(bytes.byteLength) : `more than ${ENCODED_LIMIT}`;
      throw await this.#wrongSize(response, blob, size);
    }
    return streamOf(memoryOf(bytes), 0, blob.size);
  }

  /**
   * Storages refuse expired redirect links. The link may have expired in the queue here, so the registry is asked for
   * another one.
   */
  #mayBeExpired(response: HttpResponse): boolean {
    return [400, 401, 403].includes(response.status) && this.#connection.isElsewhere(response);
  }

  async #refused(response: HttpResponse): Promise<TransshipError> {
    const error = await registryRefusal(response);
    if (!this.#mayBeExpired(response)) return error;
    const {code, message, side, hint} = error;
    return new TransshipError(code, message, {side, hint, retry: true, status: response.status});
  }

  /** The requested range; undefined: the response has another one. @throws TransshipError BLOB_SIZE_MISMATCH */
  async #range(
    response: HttpResponse,
    blob: Descriptor,
    {start, end}: Range,
  ): Promise<BlobStream | undefined> {
    const range = parseContentRange(response.header('content-range'));
    if (range?.total !== undefined && range.total !== blob.size) {
      throw await this.#wrongSize(response, blob, String(range.total));
    }
    // A shorter range than requested is allowed, a longer one is not (RFC 9110, section 15.3.7).
    const isAsked = range?.start === start && range.end <= end;
    return isAsked ? streamOf(response, start, range.end) : undefined;
  }

  /** The error for a 206 to a request for the whole blob. */
  async #partialResponse(response: HttpResponse, blob: Descriptor): Promise<TransshipError> {
    await response.discard();
    const range = response.header('content-range') ?? '';
    return new TransshipError(
      'RESPONSE_INVALID',
      `${this.#nameOf(blob)}: requested the whole blob, got "${range}"`,
      {
        side: this.#connection.side,
        hint: 'the storage or a proxy in front of the registry serves wrong ranges; ask its administrator',
        status: response.status,
      },
    );
  }

  async #wrongSize(
    response: HttpResponse,
    blob: Descriptor,
    size: string,
  ): Promise<TransshipError> {
    await response.discard();
    return new TransshipError(
      'BLOB_SIZE_MISMATCH',
      `${this.#nameOf(blob)} should have ${blob.size} bytes, the registry has ${size}`,
      {
        side: this.#connection.side,
        hint: 'the size in the manifest is wrong, or the blob is damaged; build and push the image again',
        status: response.status,
      },
    );
  }

  #nameOf({digest}: Descriptor): string {
    return `${this.#connection.host}/${this.#path}@${digest}`;
  }
}

function streamOf(
  body: Pick<HttpResponse, 'chunks' | 'readInto'>,
  start: number,
  end: number,
): BlobStream {
  return {start, end, chunks: body.chunks(), readInto: (memory) => body.readInto(memory)};
}

/** Bytes in memory, as a body. */
function memoryOf(bytes: Uint8Array): Pick<HttpResponse, 'chunks' | 'readInto'> {
  let at = 0;
  return {
    chunks: async function* () {
      yield bytes;
    },
    readInto: (memory) => {
      const piece = bytes.subarray(at, at + memory.byteLength);
      memory.set(piece);
      at += piece.byteLength;
      return Promise.resolve(piece.byteLength);
    },
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
