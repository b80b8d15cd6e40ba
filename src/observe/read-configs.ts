import PQueue from 'p-queue';
import {z} from 'zod';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import {isAttestationPlatform} from '../model/platform.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {SourceRoot} from './inventory.ts';

/** The most that is read of an image config, in bytes; containers/image draws the same line. */
const CONFIG_LIMIT = 4 * 1024 * 1024;
const CONFIG_CONCURRENCY = 32;

const config = z.object({created: z.iso.datetime({offset: true}).optional()});

/** When each root was made, as its (first) image's config says; a root that does not say is not in the map. */
export async function readConfigs(
  source: RepositoryReader,
  roots: readonly SourceRoot[],
  manifests: ReadonlyMap<Digest, Manifest>,
  call: Call,
): Promise<{readonly created: ReadonlyMap<Digest, string>}> {
  const created = new Map<Digest, string>();
  const queue = new PQueue({concurrency: CONFIG_CONCURRENCY});
  await queue.addAll(
    [...new Set(roots.map((root) => root.digest))].map((digest) => async () => {
      const blob = firstConfig(digest, manifests);
      const time = blob && parseCreated(await readSmallBlob(source, blob, call));
      if (time !== undefined) created.set(digest, time);
    }),
  );
  return {created};
}

function firstConfig(
  digest: Digest,
  manifests: ReadonlyMap<Digest, Manifest>,
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
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Artifacts have configs of all kinds; what is no image config has no time. */
function parseCreated(bytes: Uint8Array): string | undefined {
  try {
    const parsed = config.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.success ? parsed.data.created : undefined;
  } catch {
    return undefined;
  }
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
