import type {Digest} from '../model/digest.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {refusal} from './refusal.ts';
import {deleteScope, pushScope} from './scope.ts';
import {openingRequest, RegistryUpload} from './upload.ts';

/** Names no content: the upload that is opened with it is given up. */
const NO_CONTENT =
  'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' as Digest;

/**
 * Opens an upload and gives it up.
 * @returns its address as the registry writes it, absolute or relative, before any correction
 * @throws TransshipError the registry's refusals; RESPONSE_INVALID where it names none
 */
export async function probeLocation(
  connection: Connection,
  path: RepositoryPath,
  call: Call,
): Promise<string> {
  const request = {...openingRequest(path, '', [pushScope(path)]), ...call};
  const answer = await connection.send(request);
  if (answer.status !== 202) throw await refusal(answer, {notFound: 'REPOSITORY_NOT_FOUND'});
  const upload = await RegistryUpload.open(connection, path, NO_CONTENT, answer);
  await upload.cancel(call);
  return answer.header('location') ?? '';
}

/**
 * Deletes a blob (distribution-spec, "Deleting Blobs").
 * @returns whether the registry did it; many leave it to their garbage collection
 */
export async function deleteBlob(
  connection: Connection,
  path: RepositoryPath,
  digest: Digest,
  call: Call,
): Promise<boolean> {
  const answer = await connection.send({
    method: 'DELETE',
    target: `${path}/blobs/${digest}`,
    path,
    scopes: [deleteScope(path)],
    ...call,
  });
  await answer.discard();
  return answer.status === 202 || answer.status === 204 || answer.status === 200;
}
