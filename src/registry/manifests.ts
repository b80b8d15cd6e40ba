import type {HttpResponse} from '../http/response.ts';
import {describeRequest} from '../http/request.ts';
import {isWebPage} from '../http/web-page.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, digestOf, isDigest} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {type Manifest, MANIFEST_LIMIT, manifestTooLarge, parseManifest} from '../model/manifest.ts';
import {isManifestType, MANIFEST_ACCEPT} from '../model/media-type.ts';
import type {Call, TagDeletion} from '../model/port.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {readTraits} from './gitlab-extension.ts';
import {registryRefusal} from './refusal.ts';
import {deleteScope, pullScope, pushScope} from './scope.ts';
import {digestHeader, isAboutAsker, isSuccess, notStored, saysStored} from './stored.ts';

/** Attempts at a PUT answered with 500, which docker-registry 2.8 sends permanently for manifests that it refuses. */
const PUT_ATTEMPTS_AT_500 = 2;

/** Names that no repository has, so that deleting them changes nothing. */
const ABSENT_TAG = 'transship-absent-tag' as Tag;
const ABSENT_DIGEST = `sha256:${'0'.repeat(64)}` as Digest;

/** The manifests of one repository (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting tags"). */
export class Manifests {
  readonly #connection: RegistryConnection;
  readonly #path: RepositoryPath;

  constructor(connection: RegistryConnection, path: RepositoryPath) {
    this.#connection = connection;
    this.#path = path;
  }

  /**
   * Uses HEAD, and GET if HEAD is refused or inconclusive: HEAD saves the body, but some registries and proxies accept
   * only GET.
   */
  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    if (!this.#connection.uses('head')) return (await this.get(reference, call))?.descriptor;
    const response = await this.#read('HEAD', reference, call);
    if (response.status === 404 && !isWebPage(response)) return undefined;
    if (isAboutAsker(response)) throw await registryRefusal(response);
    const told = response.status === 200 ? descriptorIn(response, reference) : undefined;
    if (told === undefined) {
      // The error of GET is reported, since it has the registry's message.
      const manifest = await this.get(reference, call);
      if (!isSuccess(response) && manifest !== undefined) {
        const reason = `${describeRequest(response.request)} answered ${response.status}`;
        this.#connection.featureNotUsed('head', reason, 'manifests are read');
      }
      return manifest?.descriptor;
    }
    if (!isDigest(reference) || told.digest === reference) return told;
    // The digest has another algorithm than the requested one: only the bytes can be compared.
    if (algorithmOf(told.digest) !== algorithmOf(reference))
      return (await this.get(reference, call))?.descriptor;
    throw this.#mismatch(reference, told.digest);
  }

  async get(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const response = await this.#read('GET', reference, call);
    if (response.status === 404) return this.#absent(response);
    if (response.status !== 200) throw await registryRefusal(response);
    const {bytes, complete} = await response.read(MANIFEST_LIMIT);
    if (!complete) throw manifestTooLarge(this.#nameOf(reference), this.#side);
    const named = isDigest(reference) ? reference : digestHeader(response);
    const manifest = parseManifest(bytes, mediaTypeOf(response), named, this.#side);
    if (named === undefined || manifest.descriptor.digest === named) return manifest;
    throw this.#mismatch(named, manifest.descriptor.digest);
  }

  async put(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    const {bytes, descriptor} = manifest;
    const response = await this.#connection.send({
      method: 'PUT',
      target: this.#target(reference),
      headers: {'content-type': descriptor.mediaType},
      body: {kind: 'bytes', bytes},
      attemptsAt500: PUT_ATTEMPTS_AT_500,
      path: this.#path,
      scopes: [pushScope(this.#path)],
      ...call,
    });
    const subjectKept = response.header('oci-subject') !== undefined;
    if (saysStored(response, (digest) => isDigestOf(digest, manifest))) {
      await response.discard();
      return {subjectKept};
    }
    const error = await this.#unproved(reference, manifest, response);
    if (!isSuccess(response) && !(response.isRepeated && mayBeStored(error))) throw error;
    const isStored = await this.#isStored(reference, manifest, call).catch((asking: unknown) => {
      call.signal.throwIfAborted();
      throw isSuccess(response) ? asking : error;
    });
    if (!isStored) throw error;
    return {subjectKept};
  }

  /** The error for a response that does not prove that the manifest was stored, unless the registry has it. */
  async #unproved(
    reference: Tag | Digest,
    {descriptor}: Manifest,
    response: HttpResponse,
  ): Promise<TransshipError> {
    if (!isSuccess(response)) {
      return await registryRefusal(response, {
        refusedAt500: true,
        putsManifest: true,
        notFound: 'REPOSITORY_NOT_FOUND',
      });
    }
    await response.discard();
    const named = digestHeader(response);
    return named === undefined || named === descriptor.digest
      ? notStored(this.#nameOf(reference), response)
      : this.#mismatch(descriptor.digest, named);
  }

  /** Looks up a pushed manifest by its tag, and by the digest that the registry reports for it. */
  async #isStored(reference: Tag | Digest, manifest: Manifest, call: Call): Promise<boolean> {
    const digest = await this.#storedAs(reference, manifest, call);
    if (digest === undefined || isDigest(reference)) return digest !== undefined;
    return (await this.#storedAs(digest, manifest, call)) !== undefined;
  }

  /** The digest under which the registry has the manifest; undefined: `reference` is absent, or is another manifest. */
  async #storedAs(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<Digest | undefined> {
    const head = await this.#read('HEAD', reference, call);
    if (head.status === 404) return undefined;
    const named = head.status === 200 ? digestHeader(head) : undefined;
    if (named !== undefined) return isDigestOf(named, manifest) ? named : undefined;
    const response = await this.#read('GET', reference, call);
    if (response.status === 404) return undefined;
    if (response.status !== 200) throw await registryRefusal(response);
    const {bytes} = await response.read(MANIFEST_LIMIT);
    return Buffer.compare(bytes, manifest.bytes) === 0 ? manifest.descriptor.digest : undefined;
  }

  async delete(reference: Tag | Digest, call: Call): Promise<void> {
    const response = await this.#connection.send({
      method: 'DELETE',
      target: this.#target(reference),
      path: this.#path,
      scopes: [deleteScope(this.#path)],
      ...call,
    });
    // 404: already deleted, which is the goal.
    const isGone = (response.status === 202 || response.status === 404) && !isWebPage(response);
    if (isGone) return response.discard();
    if (response.status >= 400) throw await this.#undeleted(response, reference);
    if ((await this.#read('HEAD', reference, call)).status === 404) return response.discard();
    throw await this.#notDeleted(response, reference);
  }

  /**
   * Deletes a tag and a digest that do not exist: the responses show what the registry supports and the login permits.
   */
  async tagDeletion(call: Call): Promise<TagDeletion> {
    const declared = (await this.#deletesTagsAlone(call)) ? 'alone' : 'tag';
    try {
      await this.delete(ABSENT_TAG, call);
      return declared;
    } catch (error) {
      if (!(error instanceof TransshipError)) throw error;
      // A protection rule of GitLab covers this name, too. Protected tags are refused one by one when they are deleted.
      if (error.code === 'PROTECTED') return declared;
      if (error.code !== 'UNSUPPORTED_BY_REGISTRY') throw error;
      await this.delete(ABSENT_DIGEST, call);
      return 'digest';
    }
  }

  /** Whether the registry declares that it deletes single tags. A refusal of the request counts as no declaration. */
  async #deletesTagsAlone(call: Call): Promise<boolean> {
    try {
      return (await readTraits(this.#connection, call)).deletesTags;
    } catch (error) {
      call.signal.throwIfAborted();
      if (error instanceof TransshipError && error.status !== undefined) return false;
      throw error;
    }
  }

  get #side(): Side {
    return this.#connection.side;
  }

  #read(method: 'GET' | 'HEAD', reference: Tag | Digest, call: Call): Promise<HttpResponse> {
    return this.#connection.send({
      method,
      target: this.#target(reference),
      headers: {accept: MANIFEST_ACCEPT},
      readLimit: MANIFEST_LIMIT,
      path: this.#path,
      scopes: [pullScope(this.#path)],
      ...call,
    });
  }

  /** A 404 in HTML does not come from a registry. */
  async #absent(response: HttpResponse): Promise<undefined> {
    const error = await registryRefusal(response, {notFound: 'MANIFEST_NOT_FOUND'});
    if (error.code === 'NOT_A_REGISTRY') throw error;
    return undefined;
  }

  /** Registries of the distribution family before 3.0 answer a tag with 400 DIGEST_INVALID or 405. */
  async #undeleted(response: HttpResponse, reference: Tag | Digest): Promise<TransshipError> {
    const error = await registryRefusal(response);
    if (isDigest(reference) || error.code !== 'BLOB_DIGEST_MISMATCH') return error;
    return new TransshipError('UNSUPPORTED_BY_REGISTRY', error.message, {
      side: this.#side,
      hint: 'this registry deletes only by digest, which deletes all tags of the digest',
      status: response.status,
    });
  }

  /** A redirect or a web page does not come from a registry; any other success may have had no effect. */
  async #notDeleted(response: HttpResponse, reference: Tag | Digest): Promise<TransshipError> {
    if (!isSuccess(response) || isWebPage(response)) return await registryRefusal(response);
    await response.discard();
    return new TransshipError(
      'CHANGE_NOT_SEEN',
      `${describeRequest(response.request)} answered ${response.status}, but ${this.#nameOf(reference)} still exists`,
      {
        side: this.#side,
        hint: 'the registry or a proxy in front of it reported success without deleting it; run the command again, and ask its administrator if this happens again',
        retry: true,
        status: response.status,
      },
    );
  }

  #target(reference: Tag | Digest): string {
    return `${this.#path}/manifests/${reference}`;
  }

  #nameOf(reference: Tag | Digest): string {
    return `${this.#connection.host}/${this.#path}${isDigest(reference) ? '@' : ':'}${reference}`;
  }

  #mismatch(wanted: Digest, got: Digest): TransshipError {
    return new TransshipError(
      'MANIFEST_DIGEST_MISMATCH',
      `${this.#nameOf(wanted)} was returned with the digest ${got}`,
      {
        side: this.#side,
        hint: 'the registry or a proxy in front of it changes manifests; connect to the registry directly',
      },
    );
  }
}

/** Whether this is the digest of the bytes: registries may use another algorithm than the planned one. */
function isDigestOf(digest: Digest, {bytes, descriptor}: Manifest): boolean {
  return digest === descriptor.digest || digest === digestOf(bytes, algorithmOf(digest));
}

/**
 * Whether the registry may have the manifest although its PUT failed: a PUT whose response was lost is repeated, and an
 * immutable tag refuses the second PUT.
 */
function mayBeStored({code}: TransshipError): boolean {
  return code !== 'MANIFEST_PARTS_MISSING' && code !== 'RATE_LIMITED';
}

/** The descriptor of a manifest from the headers; undefined: incomplete or not credible. */
function descriptorIn(response: HttpResponse, reference: Tag | Digest): Descriptor | undefined {
  const mediaType = mediaTypeOf(response);
  const size = response.isEncoded ? undefined : response.length;
  // Without a digest, the media type distinguishes a registry from a server that answers 200 to everything.
  const isManifest = mediaType !== undefined && isManifestType(mediaType);
  const asked = isDigest(reference) && isManifest ? reference : undefined;
  const digest = digestHeader(response) ?? asked;
  if (digest === undefined || mediaType === undefined || size === undefined || size === 0)
    return undefined;
  return {mediaType, digest, size};
}

function mediaTypeOf(response: HttpResponse): string | undefined {
  return response.header('content-type')?.split(';')[0]?.trim() || undefined;
}
