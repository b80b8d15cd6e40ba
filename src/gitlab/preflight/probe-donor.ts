import type {Descriptor} from '../../model/descriptor.ts';
import {digestOf} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import {childBlobs, type Manifest, parseManifest} from '../../model/manifest.ts';
import {OCI_MANIFEST} from '../../model/media-type.ts';
import type {Call, RepositoryWriter} from '../../model/port.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import type {DonorFacts, RepositoryFacts, TransferProblem} from '../../plan/transfer/facts.ts';
import {hasContent} from '../../plan/transfer/steps.ts';
import {given} from '../entities.ts';
import {pathAt, rightsAt} from './registry.ts';
import type {InstanceRegistry, Surroundings} from './surroundings.ts';

/** Asked for at the very repository that the first images are going to wait in. */
export async function proveDonor(
  donor: DonorFacts,
  repositories: readonly RepositoryFacts[],
  opened: InstanceRegistry,
  {openDonor, trial}: Surroundings,
  call: Call,
): Promise<DonorFacts> {
  const {donor: place, problem} = donor;
  if (place.kind === 'directory' || place.id === undefined || problem !== undefined) return donor;
  const name = repositories.find(hasContent)?.donor;
  const path = pathAt(name, opened);
  if (name === undefined || path === undefined) return donor;
  const missing = (await rightsAt(opened, path, call))?.missing;
  const isFree = missing !== undefined && missing.length === 0;
  const sample = smallestImage(repositories, opened);
  return {
    ...donor,
    ...given({
      missingActions: missing,
      probe: isFree ? await probeDonor(openDonor(name), sample, trial) : undefined,
    }),
  };
}

/** The tagged image with the fewest blobs; undefined: there are indexes and artifacts only. */
function smallestImage(
  repositories: readonly RepositoryFacts[],
  opened: InstanceRegistry,
): Sample | undefined {
  const samples = repositories.flatMap(({source}) =>
    source.roots.flatMap(({digest}): Sample[] => {
      const manifest = source.manifests.get(digest);
      const from = pathAt(source.repository, opened);
      if (manifest?.bytes === undefined || from === undefined) return [];
      const {bytes, view} = manifest;
      const isPlain = view.kind === 'image' && view.subject === undefined;
      return isPlain ? [{manifest: {...manifest, bytes}, from}] : [];
    }),
  );
  return samples.toSorted((a, b) => countBlobs(a) - countBlobs(b))[0];
}

function countBlobs({manifest}: Sample): number {
  return childBlobs(manifest.view).length;
}

/** Pushed to a donor and deleted there; a plan that was killed may leave it, and it is nobody's image. */
export const PROBE_TAG = 'transship-probe' as Tag;

/** An image that is going to wait at the donor. */
export interface Sample {
  readonly manifest: Manifest;
  /** Where it is now. */
  readonly from: RepositoryPath;
}

/**
 * Pushes an image to the donor, deletes its tag and looks whether it is gone: storage without the right to delete lets
 * registries answer 202 and keep the tag (GitLab container registry: issue 551). The image is one that is to wait
 * there, its blobs mounted; where that is not to be had, one of a hundred bytes.
 * @returns what went wrong, or `passed`
 */
async function probeDonor(
  repository: RepositoryWriter,
  sample: Sample | undefined,
  call: Call,
): Promise<'passed' | TransferProblem> {
  const {deleteTag} = repository;
  if (deleteTag === undefined) return 'passed';
  try {
    const isMounted = sample !== undefined && (await mountAll(repository, sample, call));
    const manifest = isMounted ? sample.manifest : await pushTiny(repository, call);
    await repository.putManifest(PROBE_TAG, manifest, call);
    await deleteTag(PROBE_TAG, call);
    const left = (await repository.listTags(call)) ?? [];
    return left.includes(PROBE_TAG) ? stillThere(repository.name) : 'passed';
  } catch (error) {
    if (!(error instanceof TransshipError) || error.retry) throw error;
    return error.status === 405 ? readOnly(repository.name) : refused(error);
  }
}

/** False: the registry does not mount one of them. */
async function mountAll(
  {mount}: RepositoryWriter,
  {manifest, from}: Sample,
  call: Call,
): Promise<boolean> {
  if (mount === undefined) return false;
  for (const blob of childBlobs(manifest.view)) {
    const answer = await mount(blob, from, call);
    if (answer.kind === 'upload') await answer.upload.cancel(call);
    if (answer.kind !== 'mounted') return false;
  }
  return true;
}

async function pushTiny(repository: RepositoryWriter, call: Call): Promise<Manifest> {
  const bytes = Buffer.from(
    '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
  );
  const config: Descriptor = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOf(bytes),
    size: bytes.byteLength,
  };
  const json = {schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: []};
  await repository.putBlob(config, () => Promise.resolve(bytes), call);
  return parseManifest(Buffer.from(JSON.stringify(json)), OCI_MANIFEST, undefined, 'destination');
}

function refused({code, message, hint}: TransshipError): TransferProblem {
  return {code, message, hint};
}

function readOnly(name: string): TransferProblem {
  return {
    code: 'REGISTRY_READ_ONLY',
    message: `the registry rejects writes to ${name}: it is read-only (405)`,
    hint: 'wait until its maintenance is finished',
  };
}

function stillThere(name: string): TransferProblem {
  return {
    code: 'REPOSITORY_DELETE_FAILED',
    message: `the registry accepted the deletion of ${name}:${PROBE_TAG}, but still lists the tag`,
    hint: 'ask its administrator to check that the registry may delete from its storage',
  };
}
