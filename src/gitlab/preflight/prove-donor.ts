import {childBlobs} from '../../model/manifest.ts';
import type {Call} from '../../model/port.ts';
import type {DonorFacts, RepositoryFacts} from '../../plan/transfer/facts.ts';
import {hasContent} from '../../plan/transfer/steps.ts';
import {given} from '../given.ts';
import {probeDonor, type Sample} from './probe-donor.ts';
import {pathAt, rightsAt} from './prove-registry.ts';
import type {InstanceRegistry, Surroundings} from './surroundings.ts';

/** Asked for at the very repository that the first images are going to wait in. */
export async function proveDonor(
  donor: DonorFacts,
  repositories: readonly RepositoryFacts[],
  opened: InstanceRegistry,
  {openDonor}: Surroundings,
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
      probe: isFree ? await probeDonor(openDonor(name), sample, call) : undefined,
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
