import {type Digest, digestOf, isDigest} from './digest.ts';
import {parseJson} from './json.ts';
import {DOCKER_MANIFEST} from './media-type.ts';
import {list, z} from './schema.ts';

/** A layer of an image converted from Docker schema 1, whose manifest states neither sizes nor diff ids. */
export interface ConvertedLayer {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes, compressed. */
  readonly size: number;
  /** The digest of its decompressed content. */
  readonly diffId: Digest;
}

/** A Docker schema 2 image, converted from one of schema 1. */
export interface Schema2Image {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
}

/** Why an image of schema 1 cannot be converted, as a clause. */
class Schema1Error extends Error {
  override readonly name = 'Schema1Error';
}

const CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json';

/** Fields that a config of schema 2 does not have (moby: image/v1/imagev1.go, `MakeConfigFromV1Config`). */
const V1_FIELDS = ['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway'];

const signatures = z.object({
  signatures: list(z.object({protected: z.string()})),
});
const protection = z.object({
  formatLength: z.int().nonnegative(),
  formatTail: z.string(),
});
const schema1 = z.object({
  fsLayers: list(z.object({blobSum: z.string().refine(isDigest)})),
  history: list(z.object({v1Compatibility: z.string()})),
});
const v1Image = z.object({
  id: z.string(),
  parent: z.string().nullish(),
  created: z.string().nullish(),
  author: z.string().nullish(),
  comment: z.string().nullish(),
  container_config: z.object({Cmd: list(z.string()).nullish()}).nullish(),
  throwaway: z.boolean().nullish(),
});

/** One entry of the history, with its layer. */
interface Entry {
  readonly layer: Digest;
  readonly raw: Record<string, unknown>;
  readonly image: z.infer<typeof v1Image>;
}

/**
 * The bytes that the digest of a signed manifest covers: those without the signatures, which registries generate for
 * each response (docker/libtrust: jsonsign.go, `ParsePrettySignature`); undefined: not signed.
 */
export function signedPayload(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const {signatures: all} = signatures.parse(parseJson(bytes));
    const text = Buffer.from(all[0]?.protected ?? '', 'base64url');
    const {formatLength, formatTail} = protection.parse(parseJson(text));
    if (formatLength > bytes.byteLength) return undefined;
    const tail = Buffer.from(formatTail, 'base64url');
    return Buffer.concat([bytes.subarray(0, formatLength), tail]);
  } catch {
    return undefined;
  }
}

/**
 * The layers of the converted image, the base first, each as often as it is listed, without the empty layers of
 * commands that only changed the config ("throwaway").
 * @throws Schema1Error
 */
export function schema1Layers(bytes: Uint8Array): readonly Digest[] {
  return entriesOf(bytes)
    .filter(({image}) => image.throwaway !== true)
    .map(({layer}) => layer);
}

/**
 * Converts an image to Docker schema 2, as docker does when it pulls one of schema 1 (moby: distribution/pull_v2.go,
 * `pullSchema1`). The same bytes and layers give the same image.
 * @param layers those of `schema1Layers`, in that order
 * @throws Schema1Error
 */
export function convertSchema1(bytes: Uint8Array, layers: readonly ConvertedLayer[]): Schema2Image {
  const entries = entriesOf(bytes);
  const [newest] = entries.slice(-1);
  const kept = entries.filter(({image}) => image.throwaway !== true);
  if (newest === undefined || kept.length !== layers.length)
    throw new Schema1Error(`has ${kept.length} layers, but ${layers.length} were read`);
  const rest = Object.entries(newest.raw).filter(([key]) => !V1_FIELDS.includes(key));
  const config = Buffer.from(
    JSON.stringify({
      ...Object.fromEntries(rest),
      rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
      history: entries.map(({image}) => historyEntry(image)),
    }),
  );
  const manifest = (digest: Digest) =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: DOCKER_MANIFEST,
        config: {mediaType: CONFIG_TYPE, size: config.byteLength, digest},
        layers: layers.map(({mediaType, size, digest: layer}) => ({
          mediaType,
          size,
          digest: layer,
        })),
      }),
    );
  return {config, manifest: manifest(digestOf(config))};
}

function historyEntry({
  created,
  author,
  comment,
  container_config: config,
  throwaway,
}: Entry['image']) {
  const command = config?.Cmd?.join(' ');
  return {
    ...(created ? {created} : {}),
    ...(author ? {author} : {}),
    ...(command ? {created_by: command} : {}),
    ...(comment ? {comment} : {}),
    ...(throwaway === true ? {empty_layer: true} : {}),
  };
}

/**
 * The entries, the base first. Consecutive entries with the same id, of an image built twice by the same command, are
 * merged.
 */
function entriesOf(bytes: Uint8Array): readonly Entry[] {
  const {fsLayers, history} = parsed(schema1, bytes, 'it');
  if (fsLayers.length !== history.length)
    throw new Schema1Error(`has ${fsLayers.length} layers and ${history.length} history entries`);
  const all = fsLayers.map(({blobSum}, at): Entry => {
    const text = history[at]?.v1Compatibility ?? '';
    const name = `history entry ${at}`;
    const image = parsed(v1Image, text, name);
    return {layer: blobSum, image, raw: parseJson(text) as Record<string, unknown>};
  });
  const entries = all.filter(({image}, at) => image.id !== all[at + 1]?.image.id);
  for (const [at, {image}] of entries.entries()) {
    const parent = entries[at + 1]?.image.id;
    if (parent !== undefined && image.parent !== parent)
      throw new Schema1Error(
        `names ${image.parent ?? 'nothing'} as the parent of ${image.id}, but lists ${parent}`,
      );
  }
  return entries.toReversed();
}

function parsed<T>(schema: z.ZodType<T>, text: Uint8Array | string, what: string): T {
  let json: unknown;
  try {
    json = parseJson(text);
  } catch {
    throw new Schema1Error(`is not valid: ${what} is not JSON`);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Schema1Error(
    `is not valid: ${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}
