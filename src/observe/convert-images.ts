import {createHash} from 'node:crypto';
import {DEFAULT_RETRY} from '../http/retry.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {type ErrorData, errorData} from '../model/event.ts';
import {foreignLayers, withOrdinaryLayers} from '../model/foreign-layers.ts';
import {type Manifest, parseManifest, type SeenManifest} from '../model/manifest.ts';
import {DOCKER_MANIFEST} from '../model/media-type.ts';
import type {Conversion} from '../model/conversion.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {type ConvertedLayer, convertSchema1, schema1Layers} from '../model/schema1.ts';
import {compressionOf, decompressed, MAGIC_SIZE} from '../places/compression.ts';
import {readBlob} from '../relay/read-blob.ts';
import {RetryBudget} from '../relay/retry-budget.ts';
import {mapAtOnce} from './at-once.ts';

/** The requested conversions. */
export interface ConversionWish {
  /** Images of Docker schema 1 as images of schema 2. */
  readonly schema1?: boolean;
  /** Foreign layers are copied, from the source or from their URLs. */
  readonly includeForeign?: boolean;
  /** Foreign layers are copied, and changed to ordinary layers. */
  readonly convertForeign?: boolean;
}

/** The converted images. */
export interface ConversionFacts {
  /** By the digest at the source: the image that is copied in its place, or why it cannot be. */
  readonly conversions: ReadonlyMap<Digest, ConvertedManifest | {readonly error: ErrorData}>;
  /** The URLs of foreign layers to copy that the source does not have. */
  readonly layerUrls: ReadonlyMap<Digest, readonly string[]>;
}

export interface ConvertedManifest {
  readonly manifest: SeenManifest;
  readonly conversion: Conversion;
}

/** Images that are converted concurrently. The layers of each are read one after the other. */
const IMAGES_AT_ONCE = 4;

/** Failures that concern one image, so that the others are still copied. */
const OF_ONE_IMAGE: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_INVALID',
  'BLOB_NOT_FOUND',
  'BLOB_SIZE_MISMATCH',
  'BLOB_DIGEST_MISMATCH',
]);

/**
 * Converts images of a source. A manifest of schema 1 states neither size nor diff id of its layers, so each layer is
 * read once.
 * @param absent layers that the source does not have
 * @throws the source's refusals
 */
export async function convertImages(
  source: RepositoryReader,
  seen: Iterable<SeenManifest>,
  absent: ReadonlySet<Digest>,
  wish: ConversionWish,
  call: Call,
): Promise<ConversionFacts> {
  const conversions = new Map<Digest, ConvertedManifest | {readonly error: ErrorData}>();
  const layerUrls = new Map<Digest, readonly string[]>();
  const layers = new Map<Digest, Promise<ConvertedLayer>>();
  const layerOf = (digest: Digest): Promise<ConvertedLayer> => {
    const known = layers.get(digest) ?? readLayer(source, digest, call);
    layers.set(digest, known);
    return known;
  };
  const concerned = [...seen].filter((manifest) => isConcerned(manifest, wish));
  await mapAtOnce(concerned, IMAGES_AT_ONCE, async ({descriptor: {digest}}) => {
    try {
      const manifest = await wholeManifest(source, digest, call);
      if (manifest.view.kind === 'schema1') {
        conversions.set(digest, await fromSchema1(source.name, manifest, layerOf));
        return;
      }
      const foreign = foreignLayers(manifest.view);
      const toFetch = foreign.filter((layer) => absent.has(layer.digest));
      for (const layer of toFetch) {
        const urls = layer.urls?.filter((url) => /^https?:\/\//i.test(url)) ?? [];
        if (urls.length > 0) layerUrls.set(layer.digest, urls);
        else if (wish.convertForeign === true) throw nowhere(source.name, layer);
      }
      if (wish.convertForeign === true) conversions.set(digest, withoutForeign(manifest));
    } catch (error) {
      if (!(error instanceof TransshipError) || !OF_ONE_IMAGE.has(error.code)) throw error;
      conversions.set(digest, {error: errorData(error)});
    }
  });
  return {conversions, layerUrls};
}

function isConcerned({view}: SeenManifest, wish: ConversionWish): boolean {
  if (view.kind === 'schema1') return wish.schema1 === true;
  const takesForeign = wish.includeForeign === true || wish.convertForeign === true;
  return takesForeign && view.kind === 'image' && foreignLayers(view).length > 0;
}

async function wholeManifest(
  source: RepositoryReader,
  digest: Digest,
  call: Call,
): Promise<Manifest> {
  const manifest = await source.getManifest(digest, call);
  if (manifest !== undefined) return manifest;
  throw new TransshipError('MANIFEST_INVALID', `${source.name}@${digest} is not served by digest`, {
    side: 'source',
    hint: 'it was deleted while planning; plan again',
  });
}

function withoutForeign({bytes, descriptor: {digest, mediaType}}: Manifest): ConvertedManifest {
  const made = parseManifest(withOrdinaryLayers(bytes), mediaType, undefined, 'source');
  return {manifest: made, conversion: {kind: 'foreign-layers', digest}};
}

async function fromSchema1(
  name: string,
  {bytes, descriptor: {digest}}: Manifest,
  layerOf: (digest: Digest) => Promise<ConvertedLayer>,
): Promise<ConvertedManifest> {
  const layers: ConvertedLayer[] = [];
  const damaged = (cause: unknown): TransshipError =>
    new TransshipError('MANIFEST_INVALID', `${name}@${digest} ${(cause as Error).message}`, {
      side: 'source',
      hint: 'the image is damaged; exclude it or push it again',
      cause,
    });
  let wanted: readonly Digest[];
  try {
    wanted = schema1Layers(bytes);
  } catch (cause) {
    throw damaged(cause);
  }
  for (const layer of wanted) layers.push(await layerOf(layer));
  try {
    const {manifest} = convertSchema1(bytes, layers);
    const made = parseManifest(manifest, DOCKER_MANIFEST, undefined, 'source');
    return {manifest: made, conversion: {kind: 'schema1', digest, layers}};
  } catch (cause) {
    throw damaged(cause);
  }
}

const LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar';

/** Reads a whole layer to determine its size, its compression, and the digest of its decompressed content. */
async function readLayer(
  source: RepositoryReader,
  digest: Digest,
  call: Call,
): Promise<ConvertedLayer> {
  const size = await source.blobSize(digest, call);
  if (size === undefined) {
    throw new TransshipError('BLOB_NOT_FOUND', `${source.name} does not have ${digest}`, {
      side: 'source',
      hint: 'the image is incomplete; exclude it or push it again',
    });
  }
  const blob = {mediaType: LAYER_TYPE, digest, size};
  const newBudget = () => new RetryBudget(DEFAULT_RETRY, () => undefined, call.stopping);
  const packed = createHash(algorithmOf(digest));
  const plain = createHash('sha256');
  const chunks = owned(readBlob(source, blob, 0, {newBudget}, call), packed);
  const {head, all} = await peeked(chunks);
  const compression = compressionOf(head);
  try {
    const content = compression === undefined ? all : decompressed(all, compression, size);
    for await (const chunk of content) plain.update(chunk);
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof TransshipError) throw error;
    const message = `the layer ${source.name}@${digest} cannot be read: ${(error as Error).message}`;
    const hint = 'the layer is damaged; exclude its image or push it again';
    throw new TransshipError('MANIFEST_INVALID', message, {side: 'source', hint, cause: error});
  }
  const actual = finishDigest(packed, algorithmOf(digest));
  if (actual !== digest) {
    const message = `${source.name}@${digest} has the digest ${actual}`;
    const hint = 'the source or the network delivers damaged data; plan again';
    throw new TransshipError('BLOB_DIGEST_MISMATCH', message, {side: 'source', hint});
  }
  const mediaType = compression === undefined ? LAYER_TYPE : `${LAYER_TYPE}.${compression.name}`;
  return {digest, mediaType, size, diffId: finishDigest(plain, 'sha256')};
}

/** Copies the chunks, since a decoder keeps them, and hashes them. */
async function* owned(
  chunks: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield Buffer.from(chunk);
  }
}

/** The first bytes of a stream, and the whole stream. */
async function peeked(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<{readonly head: Uint8Array; readonly all: AsyncIterable<Uint8Array>}> {
  let head: Uint8Array = new Uint8Array();
  while (head.byteLength < MAGIC_SIZE) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    if (head.byteLength > 0) yield head;
    yield* chunks;
  };
  return {head, all: all()};
}

function nowhere(name: string, {digest}: Descriptor): TransshipError {
  return new TransshipError(
    'BLOB_NOT_FOUND',
    `${name} does not have ${digest}, and the manifest names no URL for it`,
    {
      side: 'source',
      hint: 'push the layer to the source, or leave the image out',
    },
  );
}
