import {DOCUMENT_LIMITS, readJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {ATTESTED, childManifests, type SeenManifest} from '../model/manifest.ts';
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

/** What to read from configs, each of which costs a request. */
export interface ConfigQuestion {
  /** The creation times of the roots, from one config each. */
  readonly times: boolean;
  /** The platforms of images for which no index names one, from one config each. */
  readonly platforms: boolean;
}

/** Facts from the configs of images, as far as they contain them. */
export interface ConfigFacts {
  /** Creation time of the root's (first) image, ISO 8601. */
  readonly created: ReadonlyMap<Digest, string>;
  /** The platform of each image whose config was read. */
  readonly platformOf: ReadonlyMap<Digest, Platform>;
}

/** Reads the configs that are needed for these facts. */
export async function readConfigs(
  source: RepositoryReader,
  roots: readonly SourceRoot[],
  manifests: ReadonlyMap<Digest, SeenManifest>,
  {times, platforms}: ConfigQuestion,
  call: Call,
): Promise<ConfigFacts> {
  const created = new Map<Digest, string>();
  const platformOf = new Map<Digest, Platform>();
  const wanted = new Set([
    ...(times ? roots.map((root) => root.digest) : []),
    ...(platforms ? withoutPlatform(roots, manifests) : []),
  ]);
  await mapAtOnce(wanted, CONFIG_CONCURRENCY, async (digest) => {
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

/** The images at or below the roots for which no index names a platform. */
function withoutPlatform(
  roots: readonly SourceRoot[],
  manifests: ReadonlyMap<Digest, SeenManifest>,
): ReadonlySet<Digest> {
  const seen = new Set<Digest>();
  const found = new Set<Digest>();
  const visit = (digest: Digest): void => {
    if (seen.has(digest)) return;
    seen.add(digest);
    const view = manifests.get(digest)?.view;
    if (view?.kind === 'image') found.add(digest);
    if (view?.kind !== 'index') return;
    for (const {digest: child, platform, annotations} of childManifests(view)) {
      const isNamed = platform !== undefined || annotations?.[ATTESTED] !== undefined;
      if (!isNamed || manifests.get(child)?.view.kind === 'index') visit(child);
    }
  };
  for (const {digest} of roots) visit(digest);
  return found;
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
