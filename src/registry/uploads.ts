import type {HttpResponse} from '../http/response.ts';
import type {HttpBody} from '../http/request.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {retryable} from '../model/error.ts';
import type {BlobBody, Call, OpenBody, SavedUpload} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import {pushScope} from './scope.ts';
import {isSuccess} from './stored.ts';
import {openingRequest, RegistryUpload} from './upload.ts';

/** Writes the blobs of one repository (distribution-spec, "Pushing blobs"). */
export class Uploads {
  readonly #connection: RegistryConnection;
  readonly #path: RepositoryPath;

  constructor(connection: RegistryConnection, path: RepositoryPath) {
    this.#connection = connection;
    this.#path = path;
  }

  /** POST, then PUT with the bytes: every registry supports this, unlike a single POST. */
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

  async begin(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<RegistryUpload> {
    const response = await this.#connection.send({
      ...openingRequest(this.#path, '', [pushScope(this.#path)]),
      ...call,
    });
    if (response.status === 202) return this.#opened(blob.digest, response);
    const error = await registryRefusal(response, {notFound: 'REPOSITORY_NOT_FOUND'});
    // No registry opens an upload with another success status: a failing load balancer responded.
    throw isSuccess(response) ? retryable(error) : error;
  }

  /**
   * The registry is queried immediately, because the saved offset may be outdated. A URL from a journal is not trusted:
   * it may be of another repository, whose readers would get the blob. Unless its form shows that it is of this one, it
   * is requested only if a new upload is at the same place, which is returned if the saved one cannot be used.
   */
  async resume(saved: SavedUpload, call: Call): Promise<RegistryUpload | undefined> {
    const url = saved.location.length > LOCATION_LIMIT ? null : URL.parse(saved.location);
    const base = await this.#connection.baseUrl(call.signal);
    if (url && isBeside(url, new URL(`${this.#path}/blobs/uploads/`, base)))
      return this.#resumeAt(url, saved, call);
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
      this.#connection.savedUploadIgnored();
      return undefined;
    }
    const fresh = await this.begin({digest: saved.digest, size: saved.offset}, call);
    if (!isBeside(url, new URL(fresh.saved.location))) {
      this.#connection.savedUploadIgnored();
      return fresh;
    }
    const found = await this.#resumeAt(url, saved, call);
    if (found === undefined) return fresh;
    await fresh.cancel(call);
    return found;
  }

  async #resumeAt(
    location: URL,
    {digest, offset, minChunk = 0}: SavedUpload,
    call: Call,
  ): Promise<RegistryUpload | undefined> {
    const at = {location, offset, minChunk};
    const upload = new RegistryUpload(this.#connection, this.#path, digest, at);
    return (await upload.querySavedOffset(call)) === undefined ? undefined : upload;
  }

  #opened(digest: Digest, response: HttpResponse): Promise<RegistryUpload> {
    return RegistryUpload.open(this.#connection, this.#path, digest, response);
  }
}

/** Maximum length of an upload URL from a journal, in characters: servers accept about 8 KiB. */
const LOCATION_LIMIT = 8 * 1024;

/** Whether both URLs differ only in the last part of their path, the id of an upload, and in the query. */
function isBeside(url: URL, other: URL): boolean {
  const [own = '', others = ''] = [url, other].map(({pathname}) => pathname.replace(/[^/]*$/, ''));
  const id = url.pathname.slice(own.length);
  const hasLogin = url.username !== '' || url.password !== '';
  // Some servers decode a path before they split it.
  const isPlain = id !== '' && !/%(?:2e|2f|5c)/i.test(id);
  return url.origin === other.origin && own === others && isPlain && !hasLogin;
}

/** After a failed PUT, the upload may have kept some bytes; sending all bytes again would append them. */
function sentOnce(body: BlobBody, length: number): HttpBody {
  return body instanceof Uint8Array
    ? {kind: 'bytes', bytes: body, once: true}
    : {kind: 'stream', length, chunks: body};
}

async function endBody(body: BlobBody): Promise<void> {
  if (!(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.();
}
