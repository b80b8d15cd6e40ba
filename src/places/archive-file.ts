import {createReadStream, createWriteStream} from 'node:fs';
import {mkdir, open, readdir, rename, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {extract, pack} from 'tar-stream';
import {TransshipError} from '../model/error.ts';
import {hasCode} from './file-error.ts';
import {removeFile} from './remove-file.ts';

/** What an image layout is made of (image-spec image-layout.md); an archive's other entries are passed over. */
const LAYOUT_FILE =
  /^(?:\.\/)?(oci-layout|index\.json|blobs\/(?:sha256|sha512)\/[a-f0-9]{64,128})$/;

/**
 * Unpacks the image layout in a tar file. Only names of a layout's files are taken, so that no entry gets out of the
 * folder. The content is checked when it is read.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function unpackLayout(
  file: string,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const archive = extract();
  const reading = pipeline(createReadStream(file), archive, {signal});
  let files = 0;
  try {
    for await (const entry of archive) {
      const name = LAYOUT_FILE.exec(entry.header.name)?.[1];
      if (name === undefined || entry.header.type !== 'file') {
        entry.resume();
        continue;
      }
      const target = join(directory, name);
      await mkdir(dirname(target), {recursive: true});
      await pipeline(entry, createWriteStream(target), {signal});
      files += 1;
    }
    await reading;
  } catch (error) {
    await reading.catch(() => undefined);
    signal.throwIfAborted();
    throw unreadable(file, error);
  }
  if (files === 0) throw unreadable(file, new Error('it holds no image layout'));
}

/**
 * Packs a layout into a tar file: the whole file or none of it.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function packLayout(
  directory: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    const archive = pack();
    const writing = pipeline(archive, createWriteStream(temporary), {signal});
    await Promise.all([writing, addFiles(directory, archive, signal)]);
    const handle = await open(temporary, 'r+');
    await handle.sync();
    await handle.close();
    await rename(temporary, file);
  } catch (error) {
    await removeFile(temporary);
    signal.throwIfAborted();
    throw new TransshipError('FILE_WRITE_FAILED', `${file} cannot be written: ${String(error)}`, {
      side: 'local',
      hint: 'name a file in a writable folder with enough space',
      cause: error,
    });
  }
}

async function addFiles(
  directory: string,
  archive: ReturnType<typeof pack>,
  signal: AbortSignal,
): Promise<void> {
  for (const name of await layoutFiles(directory)) {
    const path = join(directory, name);
    const {size} = await stat(path);
    // Times and owners say nothing about the images.
    await pipeline(createReadStream(path), archive.entry({name, size, mtime: new Date(0)}), {
      signal,
    });
  }
  archive.finalize();
}

/** Small files that say what it is first, then the content in the order of its names. */
async function layoutFiles(directory: string): Promise<readonly string[]> {
  const files = ['oci-layout', 'index.json'];
  for (const algorithm of ['sha256', 'sha512']) {
    const folder = join('blobs', algorithm);
    const names = await readdir(join(directory, folder)).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    });
    files.push(...names.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => `${folder}/${name}`));
  }
  return files;
}

function unreadable(file: string, cause: unknown): TransshipError {
  const isMissing = hasCode(cause, 'ENOENT');
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TransshipError(
    isMissing ? 'FILE_UNREADABLE' : 'FILE_INVALID',
    `${file} is not an archive of an image layout: ${why}`,
    {side: 'local', hint: 'name a tar file as "skopeo copy … oci-archive:FILE" writes it', cause},
  );
}
