import {DOCUMENT_LIMITS, readJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childManifests, type SeenManifest} from '../model/manifest.ts';
import {isAttestationPlatform, type Platform} from '../model/platform.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {withActualSize} from '../relay/read-blob.ts';
import {mapAtOnce} from './at-once.ts';
import type {SourceRoot} from './inventory.ts';

/** Maximum size of an image config, in bytes, as in containers/image. */
const CONFIG_LIMIT = DOCUMENT_LIMITS.size;
const CONFIG_CONCURRENCY = 32;

const config = z.object({
  created: z.iso.datetime({offset: true}).optional().catch(undefined),
  os: z.string().optional().catch(undefined),
  architecture: z.string().optional().catch(undefined),
  variant: z.string().optional().catch(undefined),
});

/** Facts about roots from the configs of their images. */
export interface ConfigFacts {
  /** Creation time of the root's (first) image, ISO 8601. */
  readonly created: ReadonlyMap<Digest, string>;
  /** The platform of each root that is a single image. */
  readonly platformOf: ReadonlyMap<Digest, Platform>;
}

/** Reads one config for each root, which costs a request each, so it is done only if a filter needs it. */
export async function readConfigs(
  source: RepositoryReader,
  roots: readonly SourceRoot[],
  manifests: ReadonlyMap<Digest, SeenManifest>,
  call: Call,
): Promise<ConfigFacts> {
  const created = new Map<Digest, string>();
  const platformOf = new Map<Digest, Platform>();
  const digests = new Set(roots.map((root) => root.digest));
  await mapAtOnce(digests, CONFIG_CONCURRENCY, async (digest) => {
    const blob = firstConfig(digest, manifests);
    if (blob === undefined) return;
    // Artifacts have configs of any kind; only image configs are used.
    const read = (sized: Descriptor) => readSmallBlob(source, sized, call);
    const said = readJson(await withActualSize(source, blob, read, call), config);
    if (said?.created !== undefined) created.set(digest, said.created);
    const platform = said && platformIn(said);
    const isSingle = manifests.get(digest)?.view.kind === 'image';
    if (platform && isSingle) platformOf.set(digest, platform);
  });
  return {created, platformOf};
}

function firstConfig(
  digest: Digest,
  manifests: ReadonlyMap<Digest, SeenManifest>,
): Descriptor | undefined {
  const view = manifests.get(digest)?.view;
  if (view?.kind === 'image') return view.config;
  if (view === undefined) return undefined;
  const child = childManifests(view).find(({platform}) => !isAttestationPlatform(platform));
  return child && firstConfig(child.digest, manifests);
}

async function readSmallBlob(
  source: RepositoryReader,
  blob: Descriptor,
  call: Call,
): Promise<Uint8Array> {
  if (blob.size > CONFIG_LIMIT) throw tooLarge(source, blob);
  const {chunks} = await source.openBlob(blob, {offset: 0}, call);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > CONFIG_LIMIT) throw tooLarge(source, blob);
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

function platformIn({os, architecture, variant}: z.infer<typeof config>): Platform | undefined {
  if (!os || !architecture) return undefined;
  return variant ? {os, architecture, variant} : {os, architecture};
}

function tooLarge(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError(
    'CONFIG_TOO_LARGE',
    `the config ${source.name}@${blob.digest} is larger than ${CONFIG_LIMIT} bytes`,
    {
      side: 'source',
      hint: 'copy without --newest and --newer-than, which read the configs, or leave the image out',
    },
  );
}
