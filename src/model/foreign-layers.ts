import type {Descriptor} from './descriptor.ts';
import type {Digest} from './digest.ts';
import {parseJson} from './json.ts';
import {ATTESTED, childBlobs, type ManifestView} from './manifest.ts';
import {isForeignLayerType} from './media-type.ts';

/** The media types of ordinary layers, by the prefix of the corresponding type of foreign layers. */
const ORDINARY_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.docker\.image\.rootfs\.foreign\./, 'application/vnd.docker.image.rootfs.'],
  [
    /^application\/vnd\.oci\.image\.layer\.nondistributable\.v1\./,
    'application/vnd.oci.image.layer.v1.',
  ],
];

/** The layers that a registry need not have, according to their type or their `urls`. */
export function foreignLayers(view: ManifestView): readonly Descriptor[] {
  return childBlobs(view).filter(
    ({mediaType, urls}) => isForeignLayerType(mediaType) || (urls?.length ?? 0) > 0,
  );
}

/**
 * Changes the foreign layers of a manifest to ordinary ones: another media type, and no `urls`. All other fields are
 * kept.
 * @param bytes an image that `parseManifest` has read
 */
export function withOrdinaryLayers(bytes: Uint8Array): Uint8Array {
  const manifest = parseJson(bytes) as {layers?: unknown};
  const layers = Array.isArray(manifest.layers) ? manifest.layers : [];
  return written({...manifest, layers: layers.map(ordinaryLayer)});
}

function ordinaryLayer(layer: Partial<Descriptor>): unknown {
  const {urls: _urls, ...rest} = layer;
  const {mediaType = ''} = layer;
  const [pattern, instead] = ORDINARY_TYPES.find(([type]) => type.test(mediaType)) ?? [];
  return pattern === undefined || instead === undefined
    ? rest
    : {...rest, mediaType: mediaType.replace(pattern, instead)};
}

/**
 * Replaces manifests of an index. All other fields are kept; attestations refer to the new manifests.
 * @param bytes an index that `parseManifest` has read
 */
export function withOtherManifests(
  bytes: Uint8Array,
  instead: ReadonlyMap<Digest, Pick<Descriptor, 'digest' | 'size' | 'mediaType'>>,
): Uint8Array {
  const index = parseJson(bytes) as {manifests?: unknown};
  const manifests = Array.isArray(index.manifests) ? index.manifests : [];
  const other = (entry: {digest?: unknown; annotations?: unknown}): unknown => {
    const {digest, size, mediaType} = instead.get(entry.digest as Digest) ?? {};
    const annotations = entry.annotations as Readonly<Record<string, string>> | null | undefined;
    const attested = instead.get((annotations?.[ATTESTED] ?? '') as Digest)?.digest;
    return {
      ...entry,
      ...(digest === undefined ? {} : {mediaType, digest, size}),
      ...(attested === undefined ? {} : {annotations: {...annotations, [ATTESTED]: attested}}),
    };
  };
  return written({...index, manifests: manifests.map(other)});
}

function written(manifest: object): Uint8Array {
  return Buffer.from(JSON.stringify(manifest));
}
