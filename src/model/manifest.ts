import {list, texts, z} from './schema.ts';
import type {Descriptor} from './descriptor.ts';
import {algorithmOf, type Digest, digestOf, isDigest} from './digest.ts';
import {type Side, TransshipError} from './error.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson} from './json.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1_SIGNED,
  isArtifactType,
  isManifestType,
  isSchema1Type,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-type.ts';
import {signedPayload} from './schema1.ts';

/**
 * Registries must accept manifests of 4 MiB, and most accept no larger ones (distribution-spec, "Pushing manifests").
 */
export const MANIFEST_LIMIT = DOCUMENT_LIMITS.size;

/** A manifest. Its bytes are authoritative and always copied unchanged; the view is parsed from them. */
export interface Manifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly view: ManifestView;
}

/** A manifest as kept in memory: its bytes, and annotations that plans do not need, may have been dropped. */
export type SeenManifest = Omit<Manifest, 'bytes'> & Partial<Pick<Manifest, 'bytes'>>;

/** BuildKit's annotation of an attestation: the digest of the image that it describes. */
export const ATTESTED = 'vnd.docker.reference.digest';

/** The parsed content of a manifest, as far as it is used. */
export type ManifestView =
  | {
      readonly kind: 'image';
      readonly config: Descriptor;
      readonly layers: readonly Descriptor[];
      readonly subject?: Descriptor;
      readonly artifactType?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'index';
      readonly manifests: readonly Descriptor[];
      readonly subject?: Descriptor;
      readonly artifactType?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  /** An OCI artifact manifest, or an image manifest without a config: it has only blobs. */
  | {
      readonly kind: 'artifact';
      readonly blobs: readonly Descriptor[];
      readonly subject?: Descriptor;
      readonly artifactType?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  /** Docker schema 1, which is refused with a reason or converted (model/schema1.ts). */
  | {readonly kind: 'schema1'};

const platform = z
  .object({
    os: z.string(),
    architecture: z.string(),
    variant: z.string().optional(),
    'os.version': z.string().optional(),
  })
  .transform(({os, architecture, variant, 'os.version': osVersion}) => ({
    os,
    architecture,
    ...(variant ? {variant} : {}),
    ...(osVersion ? {osVersion} : {}),
  }));
/**
 * A missing size is 0, as for clients written in Go. The digest decides; a blob with another size is copied with a
 * notice.
 */
function sizeOrNone(size: number | null | undefined): number {
  return Math.max(0, size ?? 0);
}

/** Only the fields that are used are checked; all others are kept in the bytes. */
const descriptor = z
  .object({
    mediaType: z.string(),
    digest: z.string().refine(isDigest, {error: 'not a sha256 or sha512 digest'}),
    size: z.int().nullish().transform(sizeOrNone),
    platform: platform.nullish().catch(undefined),
    artifactType: z.string().nullish(),
    urls: list(z.string()).nullish(),
    annotations: texts().nullish().catch(undefined),
  })
  .transform((value) => withoutNullish(value) as unknown as Descriptor);
const shared = () => ({
  mediaType: z.string().optional(),
  artifactType: z.string().optional(),
  subject: descriptor.nullish(),
  annotations: texts().nullish().catch(undefined),
});
/** A list of descriptors. */
export const descriptors = list(descriptor);
/** Go encodes a nil slice as null, or omits it. */
const descriptorsOrNull = () => descriptors.nullable().transform((items) => items ?? []);
const descriptorsOrNone = () => descriptors.nullish().transform((items) => items ?? []);
const image = z.object({...shared(), config: descriptor.nullable(), layers: descriptorsOrNone()});
const artifact = z.object({...shared(), blobs: descriptorsOrNone()});
const index = z.object({...shared(), manifests: descriptorsOrNull()});

/**
 * Parses a manifest. Its media type comes from the bytes, or else from `contentType`, or else from its fields: Helm's
 * manifests name none (image-spec manifest.md: `mediaType` SHOULD be used). The digest of a signed manifest of Docker
 * schema 1 is that of its payload.
 * @param expected the requested digest, whose algorithm is used; the caller must compare the digests
 * @param side the side to report in errors
 * @throws TransshipError MANIFEST_INVALID, MANIFEST_TOO_LARGE
 */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  expected: Digest | undefined,
  side: Side,
): Manifest {
  const name = expected ?? 'the manifest';
  if (bytes.byteLength > MANIFEST_LIMIT) throw manifestTooLarge(name, side);
  const json = jsonObject(bytes, name, side);
  const mediaType = mediaTypeOf(json, contentType);
  const algorithm = expected ? algorithmOf(expected) : 'sha256';
  const digest = digestOf(bytes, algorithm);
  const base = {mediaType, digest, size: bytes.byteLength};
  if (isSchema1Type(mediaType)) {
    const payload = digest === expected ? undefined : signedPayload(bytes);
    const own = payload === undefined ? digest : digestOf(payload, algorithm);
    return {descriptor: {...base, digest: own}, bytes, view: {kind: 'schema1'}};
  }
  const view = parseView(json, mediaType, name, side);
  const artifactType = view.kind === 'schema1' ? undefined : artifactTypeOf(view);
  return {descriptor: artifactType ? {...base, artifactType} : base, bytes, view};
}

/** The error for a manifest above `MANIFEST_LIMIT`. */
export function manifestTooLarge(name: string, side: Side): TransshipError {
  return new TransshipError(
    'MANIFEST_TOO_LARGE',
    `${name} is larger than ${MANIFEST_LIMIT} bytes`,
    {
      side,
      hint: 'registries accept manifests of up to 4 MiB; exclude this image or build it with fewer entries',
    },
  );
}

/** The manifests that an index lists. BuildKit's cache also lists blobs in an index; those are not included. */
export function childManifests(view: ManifestView): readonly Descriptor[] {
  return view.kind === 'index'
    ? view.manifests.filter((child) => isManifestType(child.mediaType))
    : [];
}

/** The blobs of a manifest: config and layers, or everything but manifests that an index lists. */
export function childBlobs(view: ManifestView): readonly Descriptor[] {
  switch (view.kind) {
    case 'image':
      return [view.config, ...view.layers];
    case 'index':
      return view.manifests.filter((child) => !isManifestType(child.mediaType));
    case 'artifact':
      return view.blobs;
    case 'schema1':
      return [];
  }
}

/** The artifact type of a manifest as a referrers list shows it (distribution-spec, "Listing Referrers"). */
function artifactTypeOf(view: Exclude<ManifestView, {kind: 'schema1'}>): string | undefined {
  return (
    view.artifactType ?? (view.kind === 'image' && view.subject ? view.config.mediaType : undefined)
  );
}

function jsonObject(bytes: Uint8Array, name: string, side: Side): Record<string, unknown> {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (cause) {
    throw invalid(`${name} ${(cause as JsonError).message}`, side, cause);
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw invalid(`${name} is not a JSON object`, side);
}

function mediaTypeOf(json: Record<string, unknown>, contentType: string | undefined): string {
  if (typeof json['mediaType'] === 'string' && json['mediaType'] !== '') return json['mediaType'];
  const header = contentType?.split(';')[0]?.trim().toLowerCase();
  // Some servers send all manifests as schema 1, which the version in the bytes disproves.
  const isRuledOut = json['schemaVersion'] === 2 && isSchema1Type(header ?? '');
  if (header !== undefined && isManifestType(header) && !isRuledOut) return header;
  if (json['schemaVersion'] === 1) return DOCKER_SCHEMA1_SIGNED;
  return 'manifests' in json ? OCI_INDEX : OCI_MANIFEST;
}

function parseView(json: unknown, mediaType: string, name: string, side: Side): ManifestView {
  if (mediaType === OCI_INDEX || mediaType === DOCKER_LIST) {
    const {mediaType: _type, ...view} = checked(index, json, name, side);
    return {kind: 'index', ...withoutNullish(view)};
  }
  if (mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST) {
    const {mediaType: _type, config, layers, ...view} = checked(image, json, name, side);
    const rest = withoutNullish(view);
    // The specification requires a config, but registries accept manifests of artifacts without one, and clients copy
    // them.
    return config
      ? {kind: 'image', ...rest, config, layers}
      : {kind: 'artifact', ...rest, blobs: layers};
  }
  if (isArtifactType(mediaType)) {
    const {mediaType: _type, ...view} = checked(artifact, json, name, side);
    return {kind: 'artifact', ...withoutNullish(view)};
  }
  throw invalid(`${name} has the unknown media type ${mediaType}`, side);
}

function checked<T>(schema: z.ZodType<T>, json: unknown, name: string, side: Side): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(
    `${name} is not valid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    side,
  );
}

function invalid(message: string, side: Side, cause?: unknown): TransshipError {
  return new TransshipError('MANIFEST_INVALID', message, {
    side,
    hint: 'the registry has something that is not an image manifest; exclude this tag or push it again',
    cause,
  });
}

function withoutNullish<T extends object>(value: T): {[K in keyof T]: NonNullable<T[K]>} {
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined && item !== null),
  ) as {[K in keyof T]: NonNullable<T[K]>};
}
