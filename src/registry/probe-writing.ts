import type {Digest} from '../model/digest.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import {deleteScope, pushScope} from './scope.ts';
import {openingRequest, RegistryUpload} from './upload.ts';

/** The digest of an empty blob, for an upload that is cancelled. */
const NO_CONTENT =
  'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' as Digest;

/**
 * Opens an upload and cancels it.
 * @returns its URL as sent by the registry, absolute or relative
 * @throws TransshipError the registry's refusals; RESPONSE_INVALID if it sends no URL
 */
export async function probeLocation(
  connection: RegistryConnection,
  path: RepositoryPath,
  call: Call,
): Promise<string> {
  const request = {...openingRequest(path, '', [pushScope(path)]), ...call};
  const response = await connection.send(request);
  if (response.status !== 202)
    throw await registryRefusal(response, {notFound: 'REPOSITORY_NOT_FOUND'});
  const upload = await RegistryUpload.open(connection, path, NO_CONTENT, response);
  await upload.cancel(call);
  return response.header('location') ?? '';
}

/**
 * Deletes a blob (distribution-spec, "Deleting Blobs").
 * @returns whether the registry deleted it; many registries delete blobs only by garbage collection
 */
export async function deleteBlob(
  connection: RegistryConnection,
  path: RepositoryPath,
  digest: Digest,
  call: Call,
): Promise<boolean> {
  const response = await connection.send({
    method: 'DELETE',
    target: `${path}/blobs/${digest}`,
    path,
    scopes: [deleteScope(path)],
    ...call,
  });
  await response.discard();
  return response.status === 202 || response.status === 204 || response.status === 200;
}
