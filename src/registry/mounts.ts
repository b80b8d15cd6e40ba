import type {HttpResponse} from '../http/response.ts';
import {describeRequest} from '../http/request.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Call, MountResult} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {missingActions, pullScope, pushScope, type Scope} from './scope.ts';
import {hasBlob, saysStored} from './stored.ts';
import {openingRequest, RegistryUpload} from './upload.ts';

/** After this many consecutive failures that are not about permissions, no more mounts are attempted. */
const ENOUGH_FAILURES = 2;
/** A mount is not retried often, because uploading is always possible. */
const ATTEMPTS_AT_500 = 2;

/**
 * Statuses that concern a single mount: `from` is not readable or does not have the blob. The distribution family
 * answers 401 or 403, although the specification requires 202.
 */
const ABOUT_THIS_MOUNT = new Set([401, 403, 404, 429]);

const DECLINED: MountResult = {kind: 'declined'};

/**
 * Mounts blobs from other repositories of one registry (distribution-spec, "Mounting a blob from another repository").
 * Mounting is optional: if it fails, the blob is uploaded.
 */
export class Mounts {
  readonly #connection: RegistryConnection;
  /** Consecutive failures. */
  #failures = 0;

  constructor(connection: RegistryConnection) {
    this.#connection = connection;
  }

  /** Mounts a blob, with a token for both repositories. */
  async mount(
    to: RepositoryPath,
    blob: Descriptor,
    from: RepositoryPath,
    call: Call,
  ): Promise<MountResult> {
    if (this.#failures >= ENOUGH_FAILURES) return DECLINED;
    const scopes = [pushScope(to), pullScope(from)];
    try {
      if (await this.#mayNotRead(to, from, scopes, call)) return DECLINED;
      return await this.#outcome(await this.#post(to, blob, from, scopes, call), to, blob, call);
    } catch (error) {
      call.signal.throwIfAborted();
      if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
      const isDenied = error.code === 'UNAUTHORIZED' || error.code === 'FORBIDDEN';
      return isDenied ? DECLINED : this.#failed(error.message);
    }
  }

  async #outcome(
    response: HttpResponse,
    to: RepositoryPath,
    blob: Descriptor,
    call: Call,
  ): Promise<MountResult> {
    const {status} = response;
    if (status === 202) {
      const upload = await RegistryUpload.open(this.#connection, to, blob.digest, response);
      this.#failures = 0;
      return {kind: 'upload', upload};
    }
    await response.discard();
    if (ABOUT_THIS_MOUNT.has(status)) return DECLINED;
    const isMounted =
      saysStored(response, (digest) => digest === blob.digest) ||
      (status === 201 &&
        (await hasBlob(this.#connection, {path: to, blob, scope: pushScope(to)}, call)));
    if (!isMounted) return this.#failed(`${describeRequest(response.request)} answered ${status}`);
    this.#failures = 0;
    return {kind: 'mounted'};
  }

  #failed(reason: string): MountResult {
    this.#failures += 1;
    this.#connection.featureNotUsed('mount', reason, 'blobs are copied');
    return DECLINED;
  }

  /** A token service omits actions that it does not grant, which a JWT shows before the registry refuses. */
  async #mayNotRead(
    to: RepositoryPath,
    from: RepositoryPath,
    scopes: readonly Scope[],
    {signal}: Call,
  ): Promise<boolean> {
    const granted = await this.#connection.granted({path: to, scopes}, signal);
    return granted !== undefined && missingActions(granted, pullScope(from)).length > 0;
  }

  #post(
    to: RepositoryPath,
    {digest}: Descriptor,
    from: RepositoryPath,
    scopes: readonly Scope[],
    call: Call,
  ): Promise<HttpResponse> {
    const query = `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
    return this.#connection.send({
      ...openingRequest(to, query, scopes),
      attemptsAt500: ATTEMPTS_AT_500,
      ...call,
    });
  }
}
