import {constants, createReadStream} from 'node:fs';
import {open, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import {parseJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {
  isManifestType,
  MANIFEST_SIZE_LIMIT,
  ManifestFormatError,
  readManifest,
  type StoredManifest,
} from './manifest-format.ts';
import {isDigest, isTag, splitDigest} from './names.ts';
import type {Storage} from './storage.ts';

/** The annotation with the tag of an entry (image-spec annotations.md). */
const REF_NAME = 'org.opencontainers.image.ref.name';

/** The largest index.json of a layout in bytes; it lists manifests only. */
const INDEX_SIZE_LIMIT = 4 * 1024 * 1024;

const indexSchema = z.object({
  manifests: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string().refine(isDigest, {error: 'not a digest'}),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

/**
 * Copies an OCI image layout (image-spec image-layout.md) into a repository, byte for byte, with its tags. Content that
 * is listed but absent is left out: foreign layers, other platforms of a sparse image.
 * @param tagOf the tag for an entry of this name; undefined: the entry is left out
 * @returns the tags
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE, MANIFEST_INVALID, BLOB_DIGEST_MISMATCH
 */
export async function loadLayout(
  storage: Storage,
  directory: string,
  repository: RepositoryPath,
  tagOf: (name: Tag) => Tag | undefined = (name) => name,
): Promise<readonly Tag[]> {
  const load: Load = {storage, directory, repository, done: new Set()};
  const tags: Tag[] = [];
  for (const {mediaType, digest, annotations} of await readIndex(directory)) {
    const name = annotations?.[REF_NAME];
    const tag = name !== undefined && isTag(name) ? tagOf(name) : undefined;
    const isLeftOut = name !== undefined && isTag(name) && tag === undefined;
    if (isManifestType(mediaType) && !isLeftOut) await loadManifest(load, digest, mediaType, tag);
    if (tag !== undefined) tags.push(tag);
  }
  return tags;
}

interface Load {
  readonly storage: Storage;
  readonly directory: string;
  readonly repository: RepositoryPath;
  /** Content that is already in the repository. */
  readonly done: Set<Digest>;
}

async function readIndex(directory: string): Promise<z.infer<typeof indexSchema>['manifests']> {
  const file = join(directory, 'index.json');
  const bytes = await readSmallFile(file, INDEX_SIZE_LIMIT).catch((cause: unknown) => {
    throw new TransshipError('FILE_UNREADABLE', `cannot read "${file}"`, {
      side: 'local',
      hint: 'specify the directory of an OCI image layout, as written by `skopeo copy … oci:DIR`',
      cause,
    });
  });
  try {
    return indexSchema.parse(parseJson(bytes)).manifests;
  } catch (cause) {
    throw new TransshipError('FILE_INVALID', `"${file}" is not a valid index of an image layout`, {
      side: 'local',
      hint: 'create the layout again',
      cause,
    });
  }
}

/** Children first, so that clients never see an incomplete image. */
async function loadManifest(
  load: Load,
  digest: Digest,
  mediaType: string,
  tag?: Tag,
): Promise<void> {
  if (load.done.has(digest) && tag === undefined) return;
  const file = blobFile(load, digest);
  if (!(await exists(file))) return;
  const manifest = parsed(file, await readSmallFile(file, MANIFEST_SIZE_LIMIT), mediaType, digest);
  if (manifest.digest !== digest) throw mismatch(file);
  for (const child of manifest.manifests) await loadManifest(load, child.digest, child.mediaType);
  for (const child of manifest.blobs) await loadBlob(load, child.digest);
  await load.storage.manifests.put(load.repository, manifest, tag);
  load.done.add(digest);
}

async function loadBlob(load: Load, digest: Digest): Promise<void> {
  const {storage, repository, done} = load;
  const file = blobFile(load, digest);
  if (done.has(digest) || !(await exists(file))) return;
  const id = await storage.uploads.begin(repository);
  await storage.uploads.append(repository, id, createReadStream(file));
  if (!(await storage.uploads.commit(repository, id, digest))) throw mismatch(file);
  await storage.blobs.link(repository, digest);
  done.add(digest);
}

function blobFile({directory}: Load, digest: Digest): string {
  const {algorithm, hex} = splitDigest(digest);
  return join(directory, 'blobs', algorithm, hex);
}

function parsed(
  file: string,
  bytes: Uint8Array,
  mediaType: string,
  digest: Digest,
): StoredManifest {
  try {
    return readManifest(bytes, mediaType, digest);
  } catch (cause) {
    if (!(cause instanceof ManifestFormatError)) throw cause;
    throw new TransshipError('MANIFEST_INVALID', `"${file}" ${cause.message}`, {
      side: 'local',
      hint: 'the layout is damaged; create it again',
      cause,
    });
  }
}

/**
 * Reads a whole regular file: a pipe or a device may never end.
 * @param limit bytes
 * @throws Error if it is larger or not a regular file; the system's error
 */
export async function readSmallFile(file: string, limit: number): Promise<Buffer> {
  // What delivers nothing, such as a pipe or a file of the kernel's, must not block.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await handle.stat();
  if (!stats.isFile()) throw new Error('is not a regular file');
  if (stats.size > limit) throw new Error(`is larger than ${limit} bytes`);
  return await handle.readFile();
}

async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined)) !== undefined;
}

function mismatch(file: string): TransshipError {
  return new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `the content of "${file}" does not match the digest in its name`,
    {
      side: 'local',
      hint: 'the layout is damaged; create it again',
    },
  );
}
