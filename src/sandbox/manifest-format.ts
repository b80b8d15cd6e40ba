import {createHash} from 'node:crypto';
import type {Digest, DigestAlgorithm} from '../model/digest.ts';
import {parseJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {isDigest, splitDigest} from './names.ts';

// Media types as image-spec media-types.md and the Docker image spec (manifest-v2-2.md, manifest-v2-1.md) define them.
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** From the release candidates of image-spec 1.1 (artifact.md, removed before the release). */
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';
const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
const SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** The kind of manifest of each media type. */
const KINDS = {
  [OCI_INDEX]: 'index',
  [DOCKER_LIST]: 'index',
  [OCI_MANIFEST]: 'image',
  [DOCKER_MANIFEST]: 'image',
  [OCI_ARTIFACT]: 'artifact',
  [SCHEMA1]: 'schema1',
  [SCHEMA1_SIGNED]: 'schema1',
} as const;

/** The maximum size of a manifest in bytes (distribution: registry/handlers/manifests.go, `maxManifestBodySize`). */
export const MANIFEST_SIZE_LIMIT = 4 * 1024 * 1024;

/** A descriptor in a manifest (image-spec descriptor.md). */
export type ManifestEntry = z.infer<typeof entrySchema>;

/** A manifest as the registry stores it: its bytes, and the content that they refer to. */
export interface StoredManifest {
  readonly kind: (typeof KINDS)[keyof typeof KINDS];
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** Whether the manifest has a `mediaType`, which OCI manifests may leave out. */
  readonly namesItsType: boolean;
  readonly schemaVersion: unknown;
  readonly digest: Digest;
  /** Images only. */
  readonly config: ManifestEntry | undefined;
  /** The manifests in an index. */
  readonly manifests: readonly ManifestEntry[];
  /** Config, layers and any other blobs, also those in an index. */
  readonly blobs: readonly ManifestEntry[];
  readonly subject: Digest | undefined;
  /** As in a list of referrers (distribution-spec, "Listing Referrers"). */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** A manifest that cannot be read. The message is a clause: `is not JSON`. */
export class ManifestFormatError extends Error {
  override readonly name = 'ManifestFormatError';
}

const entrySchema = z.object({
  mediaType: z.string(),
  digest: z.string().refine(isDigest, {error: 'not a digest'}),
  size: z.int().nonnegative(),
  platform: z.object({os: z.string(), architecture: z.string()}).nullish().catch(undefined),
  urls: z.array(z.string()).nullish(),
});
/** Go marshals a nil slice as `null`, or leaves it out (`omitempty`). */
const entries = z
  .array(entrySchema)
  .nullish()
  .transform((list) => list ?? []);
const manifestSchema = z.object({
  config: entrySchema.nullish(),
  layers: entries,
  manifests: entries,
  blobs: entries,
  subject: entrySchema.nullish(),
  artifactType: z.string().nullish(),
  annotations: z.record(z.string(), z.string()).nullish().catch(undefined),
});

/** Whether content of this type is read from `/manifests/`, not from `/blobs/`. */
export function isManifestType(mediaType: string): mediaType is keyof typeof KINDS {
  return Object.hasOwn(KINDS, mediaType);
}

/**
 * Reads a manifest. Its type is its own `mediaType`, else `contentType`, else the one that its fields imply (image-spec
 * manifest.md: `mediaType` SHOULD be used).
 * @param expected the expected digest, whose algorithm is used. Default: sha256. The caller has to compare it.
 * @throws ManifestFormatError
 */
export function readManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  expected: Digest | undefined,
): StoredManifest {
  const json = jsonObject(bytes);
  const mediaType = mediaTypeOf(json, contentType);
  if (!isManifestType(mediaType))
    throw new ManifestFormatError(`has the unknown media type ${mediaType}`);
  const type = KINDS[mediaType];
  const fields = manifestSchema.safeParse(type === 'schema1' ? {} : json);
  if (!fields.success)
    throw new ManifestFormatError(`is not valid: ${z.prettifyError(fields.error)}`);
  const {layers, manifests, blobs, subject, artifactType, annotations} = fields.data;
  const config = type === 'image' ? fields.data.config : undefined;
  if (type === 'image' && config === undefined) throw new ManifestFormatError('has no config');
  // Some registries store artifact manifests as image manifests with a null config.
  const kind = config === null ? 'artifact' : type;
  const listed = kind === 'index' ? manifests : [];
  const content = {
    index: listed.filter((entry) => !isManifestType(entry.mediaType)),
    image: config ? [config, ...layers] : [],
    artifact: config === null ? layers : blobs,
    schema1: [],
  };
  return {
    kind,
    bytes,
    mediaType,
    namesItsType: hasMediaType(json),
    schemaVersion: json['schemaVersion'],
    digest: digestOf(bytes, splitDigest(expected ?? '').algorithm),
    config: config ?? undefined,
    manifests: listed.filter((entry) => isManifestType(entry.mediaType)),
    blobs: content[kind],
    subject: subject?.digest,
    artifactType: artifactType ?? (subject ? config?.mediaType : undefined),
    annotations: annotations ?? undefined,
  };
}

function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

function jsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes.byteLength > MANIFEST_SIZE_LIMIT)
    throw new ManifestFormatError(`is larger than ${MANIFEST_SIZE_LIMIT} bytes`);
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch {
    throw new ManifestFormatError('is not JSON');
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Readonly<Record<string, unknown>>;
  throw new ManifestFormatError('is not a JSON object');
}

function hasMediaType<T extends object>(json: T): json is T & {readonly mediaType: string} {
  return 'mediaType' in json && typeof json.mediaType === 'string' && json.mediaType !== '';
}

function mediaTypeOf(
  json: Readonly<Record<string, unknown>>,
  contentType: string | undefined,
): string {
  if (hasMediaType(json)) return json['mediaType'];
  const sent = contentType?.split(';')[0]?.trim().toLowerCase();
  if (sent !== undefined && isManifestType(sent)) return sent;
  if (json['schemaVersion'] === 1) return SCHEMA1_SIGNED;
  return 'manifests' in json ? OCI_INDEX : OCI_MANIFEST;
}
