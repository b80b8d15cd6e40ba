import type {Digest} from '../model/digest.ts';
import type {Manifest} from '../model/manifest.ts';
import {DOCKER_LIST, OCI_INDEX, OCI_MANIFEST} from '../model/media-type.ts';
import {type Refusal, refusal} from './refusal.ts';

/**
 * Which manifest to send for the one that was found, as registries of the distribution family choose
 * (registry/handlers/manifests.go, `GetManifest`): an OCI type has to be named, `*` + `/*` does not do; a Docker list
 * that was asked for by tag becomes its linux/amd64 image for those who do not name lists.
 * @throws Refusal MANIFEST_UNKNOWN
 */
export function negotiate(found: Manifest, accept: string, byTag: boolean): Digest {
  const {mediaType, digest} = found.descriptor;
  const named = new Set(accept.split(',').map((type) => type.split(';')[0]?.trim()));
  if (named.has(mediaType)) return digest;
  if (mediaType === OCI_MANIFEST) throw notAccepted('OCI manifest', 'OCI manifests');
  if (mediaType === OCI_INDEX) throw notAccepted('OCI index', 'OCI indexes');
  if (mediaType !== DOCKER_LIST || !byTag || found.view.kind !== 'index') return digest;
  const fallback = found.view.manifests.find(
    ({platform}) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  if (fallback) return fallback.digest;
  throw refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown: no image for linux/amd64', digest);
}

function notAccepted(what: string, which: string): Refusal {
  return refusal(
    404,
    'MANIFEST_UNKNOWN',
    `${what} found, but accept header does not support ${which}`,
  );
}
