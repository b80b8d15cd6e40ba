import {digestOf} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import {parseManifest} from '../../model/manifest.ts';
import {OCI_MANIFEST} from '../../model/media-type.ts';
import type {Call, RepositoryWriter} from '../../model/port.ts';
import type {Tag} from '../../model/reference.ts';
import type {Finding} from '../../plan/transfer/facts.ts';

const PROBE_TAG = 'transship-probe' as Tag;

/**
 * Pushes a tiny image to the donor, deletes its tag and looks whether it is gone: storage without the right to delete
 * lets registries answer 202 and keep the tag (GitLab container registry: issue 551).
 * @returns what went wrong, or `passed`
 */
export async function probeDonor(
  repository: RepositoryWriter,
  call: Call,
): Promise<'passed' | Finding> {
  const {deleteTag} = repository;
  if (deleteTag === undefined) return 'passed';
  try {
    const config = Buffer.from(
      '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
    );
    const descriptor = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.byteLength,
    };
    const json = {schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: []};
    const manifest = parseManifest(
      Buffer.from(JSON.stringify(json)),
      OCI_MANIFEST,
      undefined,
      'destination',
    );
    await repository.putBlob(descriptor, () => Promise.resolve(chunksOf(config)), call);
    await repository.putManifest(PROBE_TAG, manifest, call);
    await deleteTag(PROBE_TAG, call);
    const left = (await repository.listTags(call)) ?? [];
    return left.includes(PROBE_TAG) ? stillThere(repository.name) : 'passed';
  } catch (error) {
    if (!(error instanceof TransshipError) || error.retry) throw error;
    return error.status === 405 ? readOnly(repository.name) : refused(error);
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function refused({code, message, hint}: TransshipError): Finding {
  return {code, message, hint};
}

function readOnly(name: string): Finding {
  return {
    code: 'REGISTRY_READ_ONLY',
    message: `the registry takes no writes at ${name}: it is read-only (405)`,
    hint: 'wait until its maintenance is over',
  };
}

function stillThere(name: string): Finding {
  return {
    code: 'REPOSITORY_DELETE_FAILED',
    message: `the registry said that it deleted ${name}:${PROBE_TAG}, and still lists it`,
    hint: 'its administrator should look at the right to delete in the storage of the registry',
  };
}
