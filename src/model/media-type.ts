/** Media types of manifests, as the image spec 1.1 and the Docker image spec v2 name them. */
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/**
 * From release candidates of the image spec 1.1. ORAS, Notation and others wrote it, so registries still contain it.
 */
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';
const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/**
 * The `Accept` header of manifest requests. Registries of the distribution family ignore `*` + `/*`: for an OCI
 * manifest whose type is not listed they answer 404 MANIFEST_UNKNOWN, and in place of a Docker list requested by tag
 * they send its linux/amd64 image (registry/handlers/manifests.go). Schema 1 is accepted, last, so that it can be
 * reported.
 */
export const MANIFEST_ACCEPT = [
  OCI_INDEX,
  DOCKER_LIST,
  OCI_MANIFEST,
  DOCKER_MANIFEST,
  OCI_ARTIFACT,
  DOCKER_SCHEMA1_SIGNED,
  DOCKER_SCHEMA1,
].join(', ');

export function isIndexType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_LIST;
}

export function isImageType(mediaType: string): boolean {
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST;
}

export function isArtifactType(mediaType: string): boolean {
  return mediaType === OCI_ARTIFACT;
}

export function isSchema1Type(mediaType: string): boolean {
  return mediaType === DOCKER_SCHEMA1 || mediaType === DOCKER_SCHEMA1_SIGNED;
}

/** Whether content of this type is stored under `/manifests/`, not under `/blobs/`. */
export function isManifestType(mediaType: string): boolean {
  return (
    isIndexType(mediaType) ||
    isImageType(mediaType) ||
    isArtifactType(mediaType) ||
    isSchema1Type(mediaType)
  );
}

/** Whether this is the config of an image, the only kind of blob that planning reads. */
export function isConfigType(mediaType: string): boolean {
  return (
    mediaType === 'application/vnd.oci.image.config.v1+json' ||
    mediaType === 'application/vnd.docker.container.image.v1+json'
  );
}

/** Layers that a registry need not have, because their `urls` name their location. */
const FOREIGN_LAYER =
  /^application\/vnd\.(?:docker\.image\.rootfs\.foreign|oci\.image\.layer\.nondistributable)\b/;

export function isForeignLayerType(mediaType: string): boolean {
  return FOREIGN_LAYER.test(mediaType);
}
