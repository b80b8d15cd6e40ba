import type {HttpResponse} from '../http/response.ts';
import {
  describeRequest,
  type HttpBody,
  isRepeatable,
  LARGE_BODY,
  type Method,
} from '../http/request.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {retryable, TransshipError} from '../model/error.ts';
import type {Call, SavedUpload, Upload} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection, RegistryRequest} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import {deleteScope, pushScope, type Scope} from './scope.ts';
import {hasBlob, isSuccess, notStored, saysStored} from './stored.ts';

/**
 * Minimum rate, in bytes per ms, at which registries close an upload: some read the whole blob again, or join its
 * parts.
 */
const CLOSE_RATE = 10_000;

/**
 * Number of refused offsets without progress after which chunks are considered broken at a registry: it reports an
 * offset but does not accept a chunk there, or accepts a chunk and loses it.
 */
const ENOUGH_REFUSALS = 2;

/**
 * Permanent responses to a query of the upload offset: the upload does not exist, its Location is no longer valid (400
 * BLOB_UPLOAD_INVALID), or the query is not supported (405: the GET was added in distribution-spec 1.1).
 */
const NOT_RESUMABLE = new Set([400, 404, 405, 410, 416]);

const BYTES = {'content-type': 'application/octet-stream'};

/** An upload at a registry (distribution-spec, "Pushing a blob in chunks"). */
export class RegistryUpload implements Upload {
  readonly #connection: RegistryConnection;
  readonly #path: RepositoryPath;
  readonly #digest: Digest;
  #location: URL;
  #offset: number;
  #minChunk: number;
  /** The offset from the last query, until the registry accepts a chunk. */
  #named: number | undefined;
  #farthestNamed = 0;
  /** Refused offsets since the registry last reported a larger one. */
  #refusals = 0;
  /** A `Range` that did not match what was sent. */
  #oddRange: string | undefined;

  /** @param at its URL, the number of bytes that the registry has, and the minimum chunk size */
  constructor(
    connection: RegistryConnection,
    path: RepositoryPath,
    digest: Digest,
    at: {readonly location: URL; readonly offset: number; readonly minChunk: number},
  ) {
    this.#connection = connection;
    this.#path = path;
    this.#digest = digest;
    this.#location = at.location;
    this.#offset = at.offset;
    this.#minChunk = at.minChunk;
  }

  /**
   * The upload that a response opens.
   * @throws TransshipError RESPONSE_INVALID, REDIRECT_REFUSED
   */
  static async open(
    connection: RegistryConnection,
    path: RepositoryPath,
    digest: Digest,
    response: HttpResponse,
  ): Promise<RegistryUpload> {
    await response.discard();
    const location = locationOf(connection, response);
    if (location) {
      const minChunk = minChunkOf(response) ?? 0;
      return new RegistryUpload(connection, path, digest, {location, offset: 0, minChunk});
    }
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${connection.host}/${path}: the registry opened an upload without a Location`,
      {
        side: connection.side,
        hint: 'the registry or a proxy in front of it removes the Location header; ask its administrator',
        status: response.status,
      },
    );
  }

  get saved(): SavedUpload {
    return {
      digest: this.#digest,
      location: this.#location.href,
      offset: this.#offset,
      ...(this.#minChunk > 0 ? {minChunk: this.#minChunk} : {}),
    };
  }

  get offset(): number {
    return this.#offset;
  }

  get minChunk(): number {
    return this.#minChunk;
  }

  async append(chunks: AsyncIterable<Uint8Array>, length: number, call: Call): Promise<number> {
    const start = this.#offset;
    const response = await this.#send('PATCH', this.#location, call, {
      headers: {...BYTES, 'content-range': `${start}-${start + length - 1}`},
      body: {kind: 'stream', length, chunks},
    });
    this.#move(response);
    // ECR answers 201, some 204.
    if (response.status < 200 || response.status > 204) throw await this.#chunkRefusal(response);
    await response.discard();
    // A success means that the whole chunk was accepted (distribution-spec, "Pushing a blob in chunks"). Its Range is
    // ignored: some registries return the range of the chunk, or always the end of the first chunk.
    this.#offset = start + length;
    this.#named = undefined;
    const range = response.header('range');
    if (range !== undefined && offsetIn(range) !== this.#offset) this.#oddRange = range;
    return this.#offset;
  }

  async queryOffset(call: Call): Promise<number | undefined> {
    const response = await this.#queryState(call);
    return response && this.#offsetOf(response);
  }

  /**
   * As `queryOffset`, for an upload from a file. The file may contain the URL of something else at the registry, which
   * must be neither written nor deleted, so the response must describe an upload: 204 with a Range (distribution-spec,
   * "Pushing a blob in chunks"); some registries omit one of the two.
   */
  async querySavedOffset(call: Call): Promise<number | undefined> {
    const response = await this.#queryState(call);
    const isState = response?.status === 204 || response?.header('range') !== undefined;
    return response && isState ? this.#offsetOf(response) : undefined;
  }

  async #queryState(call: Call): Promise<HttpResponse | undefined> {
    const response = await this.#send('GET', this.#location, call);
    const isGone = NOT_RESUMABLE.has(response.status);
    if (!isGone && (response.status < 200 || response.status > 204))
      throw await this.#refusal(response);
    await response.discard();
    return isGone ? undefined : response;
  }

  #offsetOf(response: HttpResponse): number {
    this.#move(response);
    const named = offsetIn(response.header('range') ?? '') ?? 0;
    // `0-0` means either one byte or none (docker-registry); it counts as one byte only if one was sent.
    this.#offset = named === 1 && this.#offset !== 1 ? 0 : named;
    this.#named = this.#offset;
    if (this.#offset > this.#farthestNamed) this.#refusals = 0;
    this.#farthestNamed = Math.max(this.#farthestNamed, this.#offset);
    return this.#offset;
  }

  async commit(blob: Descriptor, call: Call): Promise<void> {
    await this.#close(blob, call);
  }

  /** Sends the whole blob with the request that closes the upload. */
  async commitWith(blob: Descriptor, body: HttpBody, call: Call): Promise<void> {
    await this.#close(blob, call, body);
  }

  async cancel(call: Call): Promise<void> {
    try {
      const response = await this.#send('DELETE', this.#location, call);
      await response.discard();
    } catch {
      // The registry removes abandoned uploads itself.
      call.signal.throwIfAborted();
    }
  }

  async #close(blob: Descriptor, call: Call, body?: HttpBody): Promise<void> {
    const url = new URL(this.#location);
    // Appended as text: the rest of the query may be signed and must not be changed.
    url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(blob.digest)}`;
    const response = await this.#send('PUT', url, call, {
      headers: body ? BYTES : {},
      body: body ?? {kind: 'bytes', bytes: new Uint8Array()},
      moreHeadersMs: blob.size / CLOSE_RATE,
    });
    if (saysStored(response, (digest) => digest === blob.digest)) return response.discard();
    const error = isSuccess(response)
      ? notStored(`${this.#connection.host}/${this.#path}@${blob.digest}`, response)
      : await (body ? this.#refusal(response) : this.#chunkRefusal(response));
    await response.discard();
    // If the response to an earlier attempt was lost, the upload no longer exists because it was closed.
    if (!isSuccess(response) && error.code !== 'UPLOAD_LOST') throw error;
    const wanted = {path: this.#path, blob, scope: pushScope(this.#path)};
    if (!(await hasBlob(this.#connection, wanted, call))) throw error;
  }

  #send(
    method: Method,
    target: URL,
    call: Call,
    more: Pick<RegistryRequest, 'headers' | 'body' | 'moreHeadersMs'> = {},
  ): Promise<HttpResponse> {
    return this.#connection.send({
      ...more,
      method,
      target,
      lane:
        more.body && more.body.kind !== 'bytes' && more.body.length > LARGE_BODY
          ? 'write'
          : 'small',
      path: this.#path,
      scopes: [method === 'DELETE' ? deleteScope(this.#path) : pushScope(this.#path)],
      ...call,
    });
  }

  /**
   * Each response may name a new URL for the next request, even one that refuses a chunk; some name the minimum chunk
   * size.
   */
  #move(response: HttpResponse): void {
    this.#location = locationOf(this.#connection, response) ?? this.#location;
    this.#minChunk = minChunkOf(response) ?? this.#minChunk;
  }

  /**
   * The refusal of a chunk or of the closing request. UNSUPPORTED_BY_REGISTRY if it means that the registry does not
   * support chunks.
   */
  async #chunkRefusal(response: HttpResponse): Promise<TransshipError> {
    const error = await this.#refusal(response);
    const why = this.#chunksFail(error, response);
    if (why === undefined) return error;
    const reason = `${describeRequest(response.request)} answered ${response.status}${why}`;
    this.#connection.featureNotUsed('chunks', reason, 'blobs are uploaded in one request');
    return new TransshipError('UNSUPPORTED_BY_REGISTRY', reason, {
      side: error.side,
      hint: error.hint,
      status: response.status,
    });
  }

  /**
   * The part of the message, after the status, that shows that chunks do not work; undefined: the refusal does not show
   * that.
   */
  #chunksFail({code}: TransshipError, response: HttpResponse): string | undefined {
    if (code === 'UNSUPPORTED_BY_REGISTRY') return '';
    if (code === 'BLOB_DIGEST_MISMATCH' && this.#oddRange !== undefined)
      return ` after a chunk that was answered with the range ${this.#oddRange}`;
    if (code !== 'UPLOAD_OFFSET_REFUSED') return undefined;
    this.#refusals += 1;
    const isAtNamed = this.#named !== undefined && this.#named === this.#offset;
    const namesOther = (offsetIn(response.header('range') ?? '') ?? this.#offset) !== this.#offset;
    if (this.#refusals < ENOUGH_REFUSALS && (!isAtNamed || namesOther)) return undefined;
    return isAtNamed ? ' to a chunk at the offset that the registry named' : '';
  }

  async #refusal(response: HttpResponse): Promise<TransshipError> {
    const error = await registryRefusal(response, {notFound: 'UPLOAD_LOST'});
    // A token may have expired while the body was sent: the next request uses a new one. A repeatable request was
    // already repeated with a new token.
    const mayRenew =
      response.status === 401 && error.code !== 'PROTECTED' && !isRepeatable(response.request.body);
    return mayRenew || error.code === 'UPLOAD_LOST' ? retryable(error) : error;
  }
}

/** `POST /v2/<name>/blobs/uploads/`, which opens an upload or mounts a blob. */
export function openingRequest(
  path: RepositoryPath,
  query: string,
  scopes: readonly Scope[],
): Omit<RegistryRequest, 'signal'> {
  return {
    method: 'POST',
    target: `${path}/blobs/uploads/${query}`,
    // The empty body declares a length, without which some proxies answer 411.
    body: {kind: 'bytes', bytes: new Uint8Array()},
    path,
    scopes,
  };
}

function locationOf(connection: RegistryConnection, response: HttpResponse): URL | undefined {
  const location = response.header('location');
  return location === undefined ? undefined : connection.resolve(location, response);
}

/** The offset after `Range: 0-N`. ECR names only the range of the latest chunk. */
function offsetIn(range: string): number | undefined {
  const last = /^\s*(?:bytes[= ])?\d+-(\d{1,15})\s*$/i.exec(range)?.[1];
  return last === undefined ? undefined : Number(last) + 1;
}

/** The minimum chunk size, in bytes; undefined: not stated. */
function minChunkOf(response: HttpResponse): number | undefined {
  const text = response.header('oci-chunk-min-length') ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
