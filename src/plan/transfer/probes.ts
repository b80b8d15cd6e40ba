import {childBlobs, childManifests, type SeenManifest} from '../../model/manifest.ts';
import type {ProbedManifest} from '../../model/transfer-plan.ts';
import type {RepositoryFacts} from './facts.ts';

/** A manifest that is put again to see whether the registry still takes its kind. */
export interface Probe extends ProbedManifest {
  readonly manifest: SeenManifest;
}

/**
 * One manifest of each kind that a registry may judge differently: by its media types (GitLab container registry:
 * docs/supported-media-types.md), by whether it refers to something, and whether an index is empty. Manifests with
 * layers that are elsewhere are judged by their URLs, so each of them is a kind of its own.
 */
export function probesOf(repositories: readonly RepositoryFacts[]): readonly Probe[] {
  const probes = new Map<string, Probe>();
  for (const {from, source} of repositories) {
    const manifests = [...source.manifests.values()].toSorted((a, b) =>
      a.descriptor.digest < b.descriptor.digest ? -1 : 1,
    );
    for (const manifest of manifests) {
      const {digest} = manifest.descriptor;
      const isForeign = childBlobs(manifest.view).some((blob) =>
        source.absentForeign.has(blob.digest),
      );
      const kind = isForeign ? digest : kindOf(manifest);
      if (kind !== undefined && !probes.has(kind))
        probes.set(kind, {repository: from, digest, manifest});
    }
  }
  return [...probes.values()];
}

/** Undefined: schema 1, which no registry takes and another check tells of. */
function kindOf({descriptor, view}: SeenManifest): string | undefined {
  if (view.kind === 'schema1') return undefined;
  const config = view.kind === 'image' ? view.config.mediaType : '';
  const isEmpty = view.kind === 'index' && childManifests(view).length === 0;
  const refers = view.subject !== undefined;
  return JSON.stringify([descriptor.mediaType, config, view.artifactType ?? '', refers, isEmpty]);
}
