import type {HttpAnswer} from '../http/answer.ts';
import {type HttpBody, isRepeatable, LARGE_BODY, type Method} from '../http/message.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, SavedUpload, Upload} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection, RegistryRequest} from './connection.ts';
import {refusal} from './refusal.ts';
import {deleteScope, pushScope} from './scope.ts';

/** Closing an upload makes some registries read the whole blob again, or join its parts: bytes per ms at the least. */
const CLOSE_RATE = 10_000;

/**
 * Answers to the question where an upload stands that no further question changes: it is gone, the registry does not
 * know its Location any more (400 BLOB_UPLOAD_INVALID), or cannot be asked (405: the GET is a part of distribution-spec
 * 1.1 that older registries lack).
 */
const OF_NO_USE = new Set([400, 404, 405, 410, 416]);

const BYTES = {'content-type': 'application/octet-stream'};

/** An upload at a registry (distribution-spec, "Pushing a blob in chunks"). */
export class RegistryUpload implements Upload {
  readonly #connection: Connection;
  readonly #path: RepositoryPath;
  readonly #digest: Digest;
  #location: URL;
  #offset: number;
  #minChunk: number;

  /**
   * @param at where it is, how many bytes the registry is known to have, and how many it wants in a chunk at least
   */
  constructor(
    connection: Connection,
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
   * The upload that an answer opens.
   * @throws TransshipError RESPONSE_INVALID, REDIRECT_REFUSED
   */
  static async open(
    connection: Connection,
    path: RepositoryPath,
    digest: Digest,
    answer: HttpAnswer,
  ): Promise<RegistryUpload> {
    await answer.discard();
    const location = locationOf(connection, answer);
    if (location) {
      const minChunk = minChunkOf(answer) ?? 0;
      return new RegistryUpload(connection, path, digest, {location, offset: 0, minChunk});
    }
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${connection.host}/${path}: the registry opened an upload and does not say where`,
      {
        side: connection.side,
        hint: 'the registry or a proxy before it drops the Location header; ask its administrator',
        status: answer.status,
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
    const answer = await this.#send('PATCH', this.#location, call, {
      headers: {...BYTES, 'content-range': `${start}-${start + length - 1}`},
      body: {kind: 'stream', length, chunks},
    });
    this.#move(answer);
    // ECR answers 201, some 204.
    if (answer.status < 200 || answer.status > 204) throw await this.#refusal(answer);
    await answer.discard();
    this.#offset = this.#offsetIn(answer, start + length);
    return this.#offset;
  }

  async ask(call: Call): Promise<number | undefined> {
    const answer = await this.#send('GET', this.#location, call);
    if (OF_NO_USE.has(answer.status)) {
      await answer.discard();
      return undefined;
    }
    if (answer.status < 200 || answer.status > 204) throw await this.#refusal(answer);
    await answer.discard();
    this.#move(answer);
    this.#offset = this.#offsetIn(answer, 0);
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
      const answer = await this.#send('DELETE', this.#location, call);
      await answer.discard();
    } catch {
      // The registry ends abandoned uploads by itself.
      call.signal.throwIfAborted();
    }
  }

  async #close(blob: Descriptor, call: Call, body?: HttpBody): Promise<void> {
    const url = new URL(this.#location);
    // Added as text: the rest of the query may be signed and must stay as it is, letter for letter.
    url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(blob.digest)}`;
    const answer = await this.#send('PUT', url, call, {
      headers: body ? BYTES : {},
      body: body ?? {kind: 'bytes', bytes: new Uint8Array()},
      moreHeadersMs: blob.size / CLOSE_RATE,
    });
    if (answer.status >= 200 && answer.status <= 204) return answer.discard();
    const error = await this.#refusal(answer);
    // Where the answer to an earlier attempt got lost, the upload is gone because it was closed.
    if (error.code !== 'UPLOAD_LOST' || !(await this.#isThere(blob, call))) throw error;
  }

  async #isThere({digest}: Descriptor, call: Call): Promise<boolean> {
    const answer = await this.#connection.send({
      method: 'HEAD',
      target: `${this.#path}/blobs/${digest}`,
      path: this.#path,
      scopes: [pushScope(this.#path)],
      ...call,
    });
    return answer.status === 200;
  }

  #send(
    method: Method,
    target: URL,
    call: Call,
    more: Pick<RegistryRequest, 'headers' | 'body' | 'moreHeadersMs'> = {},
  ): Promise<HttpAnswer> {
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

  /** Each answer may name another URL for the next request, also one that refuses a chunk; some name the least chunk. */
  #move(answer: HttpAnswer): void {
    this.#location = locationOf(this.#connection, answer) ?? this.#location;
    this.#minChunk = minChunkOf(answer) ?? this.#minChunk;
  }

  /**
   * The offset in `Range: 0-N`. `0-0` is said of one byte as well as of none (docker-registry); one byte is believed
   * only where we know of no other number.
   */
  #offsetIn(answer: HttpAnswer, expected: number): number {
    const last = /^\s*(?:bytes=)?0-(\d+)\s*$/i.exec(answer.header('range') ?? '')?.[1];
    if (last === undefined) return expected;
    const count = Number(last) + 1;
    if (count > 1) return count;
    return expected === 1 || (expected === 0 && this.#offset === 1) ? 1 : 0;
  }

  async #refusal(answer: HttpAnswer): Promise<TransshipError> {
    const error = await refusal(answer, {notFound: 'UPLOAD_LOST'});
    // A token may have ended while the body was on its way: the next request gets a new one. A request that can be sent
    // again was sent with it already.
    const mayRenew = error.code === 'UNAUTHORIZED' && !isRepeatable(answer.request.body);
    if (!mayRenew && error.code !== 'UPLOAD_LOST') return error;
    return new TransshipError(error.code, error.message, {
      side: error.side,
      hint: error.hint,
      retry: true,
      ...(error.status === undefined ? {} : {status: error.status}),
    });
  }
}

function locationOf(connection: Connection, answer: HttpAnswer): URL | undefined {
  const location = answer.header('location');
  return location === undefined ? undefined : connection.resolve(location, answer);
}

/** The least size of a chunk, in bytes; undefined: the answer does not say. */
function minChunkOf(answer: HttpAnswer): number | undefined {
  const text = answer.header('oci-chunk-min-length') ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
