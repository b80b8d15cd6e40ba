import type {HttpAnswer} from '../http/answer.ts';
import type {HttpBody} from '../http/message.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {BlobBody, Call, MountBlob, OpenBody, SavedUpload} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {refusal} from './refusal.ts';
import {missingActions, pullScope, pushScope, type Scope} from './scope.ts';
import {RegistryUpload} from './upload.ts';

/** Writes the blobs of one repository (distribution-spec, "Pushing blobs"). */
export class Uploads {
  readonly #connection: Connection;
  readonly #path: RepositoryPath;

  constructor(connection: Connection, path: RepositoryPath) {
    this.#connection = connection;
    this.#path = path;
  }

  /** POST, then PUT with the bytes: understood by every registry, unlike a single POST. */
  async put(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    const opening = open();
    const [upload, body] = await Promise.allSettled([this.begin(blob, call), opening]);
    if (upload.status === 'rejected') {
      if (body.status === 'fulfilled') await endBody(body.value);
      throw upload.reason;
    }
    if (body.status === 'rejected') {
      await upload.value.cancel(call);
      throw body.reason;
    }
    await upload.value.commitWith(blob, sentOnce(body.value, blob.size), call);
  }

  async begin(blob: Descriptor, call: Call): Promise<RegistryUpload> {
    const answer = await this.#post('', [pushScope(this.#path)], call);
    if (answer.status !== 202) throw await this.#refused(answer);
    return this.#opened(blob.digest, answer);
  }

  /** The registry's word is asked for at once: what was saved may be older than what it has. */
  async resume(
    {digest, location, offset, minChunk = 0}: SavedUpload,
    call: Call,
  ): Promise<RegistryUpload | undefined> {
    const url = URL.parse(location);
    if (!url) return undefined;
    const at = {location: url, offset, minChunk};
    const upload = new RegistryUpload(this.#connection, this.#path, digest, at);
    return (await upload.ask(call)) === undefined ? undefined : upload;
  }

  /**
   * Asks with a token for both repositories. A registry that has the blob and will not give it answers as if it were
   * not there, or with 401 or 403 where `from` may not be read (the distribution family): the bytes travel then.
   */
  readonly mount: MountBlob = async (blob, from, call) => {
    const scopes = [pushScope(this.#path), pullScope(from)];
    const answer = await this.#askToMount(blob.digest, from, scopes, call);
    if (!answer) return {kind: 'declined'};
    if (answer.status === 201) {
      await answer.discard();
      return {kind: 'mounted'};
    }
    if (answer.status === 202) {
      return {kind: 'upload', upload: await this.#opened(blob.digest, answer)};
    }
    if (![400, 401, 403, 404, 405].includes(answer.status)) throw await refusal(answer);
    await answer.discard();
    return {kind: 'declined'};
  };

  /** Undefined: no token for both repositories is to be had. */
  async #askToMount(
    digest: Digest,
    from: RepositoryPath,
    scopes: readonly Scope[],
    call: Call,
  ): Promise<HttpAnswer | undefined> {
    try {
      if (await this.#mayNotRead(from, scopes, call)) return undefined;
      const query = `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
      return await this.#post(query, scopes, call);
    } catch (error) {
      const isDenied =
        error instanceof TransshipError &&
        (error.code === 'UNAUTHORIZED' || error.code === 'FORBIDDEN');
      if (isDenied) return undefined;
      throw error;
    }
  }

  /** A token service drops what it does not grant, and a JWT tells so before the registry does. */
  async #mayNotRead(from: RepositoryPath, scopes: readonly Scope[], call: Call): Promise<boolean> {
    const granted = await this.#connection.granted({path: this.#path, scopes}, call.signal);
    return granted !== undefined && missingActions(granted, pullScope(from)).length > 0;
  }

  #post(query: string, scopes: readonly Scope[], call: Call): Promise<HttpAnswer> {
    return this.#connection.send({
      method: 'POST',
      target: `${this.#path}/blobs/uploads/${query}`,
      // Without a length some proxies answer 411.
      body: {kind: 'bytes', bytes: new Uint8Array()},
      path: this.#path,
      scopes,
      ...call,
    });
  }

  #opened(digest: Digest, answer: HttpAnswer): Promise<RegistryUpload> {
    return RegistryUpload.open(this.#connection, this.#path, digest, answer);
  }

  #refused(answer: HttpAnswer) {
    return refusal(answer, {notFound: 'REPOSITORY_NOT_FOUND'});
  }
}

/** Of a PUT that failed the upload may have kept some bytes: to send all of them again would put them behind those. */
function sentOnce(body: BlobBody, length: number): HttpBody {
  return body instanceof Uint8Array
    ? {kind: 'bytes', bytes: body, once: true}
    : {kind: 'stream', length, chunks: body};
}

async function endBody(body: BlobBody): Promise<void> {
  if (!(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.();
}
