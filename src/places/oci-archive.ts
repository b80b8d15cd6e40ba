import {mkdir, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {
  BlobStream,
  ByteRange,
  Call,
  OpenBody,
  RepositoryWriter,
  SavedUpload,
  Upload,
} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {isMissing, unwritable} from './file-error.ts';
import {digestsIn, isVacant, removeLayout, SCRATCH, strangerInLayout} from './layout-folder.ts';
import {OciLayout} from './oci-layout.ts';

/** In the scratch folder of a layout beside an archive: that it is ours, and whether the archive is whole in it. */
const MARK = join(SCRATCH, 'archive');

/**
 * An OCI image layout in a tar file. A tar file can neither be read at random nor changed in place, so it is worked on
 * as a folder: one that is only read in the system's folder for temporary files, one that is written in `FILE.layout`,
 * which stays when a run is cut, so that the next one goes on there.
 */
export class OciArchive implements RepositoryWriter {
  readonly name: string;
  readonly #file: string;
  readonly #writes: boolean;
  #opened: Promise<{readonly layout: OciLayout; readonly directory: string}> | undefined;

  constructor(file: string, use: 'read' | 'write') {
    this.name = `oci-archive:${file}`;
    this.#file = file;
    this.#writes = use === 'write';
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    return await (await this.#layout(call)).listTags(call);
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return await (await this.#layout(call)).head(reference, call);
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    return await (await this.#layout(call)).getManifest(reference, call);
  }

  async listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[]> {
    return await (await this.#layout(call)).listReferrers(subject, call);
  }

  async hasBlob(digest: Digest, call: Call): Promise<boolean> {
    return await (await this.#layout(call)).hasBlob(digest, call);
  }

  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return await (await this.#layout(call)).openBlob(blob, range, call);
  }

  async putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    return await (await this.#layout(call)).putManifest(reference, manifest, call);
  }

  async putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    await (await this.#layout(call)).putBlob(blob, open, call);
  }

  async beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    return await (await this.#layout(call)).beginUpload(blob, call);
  }

  async resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    return await (await this.#layout(call)).resumeUpload(saved, call);
  }

  /**
   * Writes the file, if this archive is written and was worked on. To be called once all that belongs into it is there.
   * @throws TransshipError FILE_WRITE_FAILED
   */
  async pack(call: Call): Promise<void> {
    if (!this.#writes || this.#opened === undefined) return;
    const {directory} = await this.#opened;
    const {packLayout} = await archiveFile();
    await packLayout(directory, this.#file, call.signal);
    await removeWhole(directory);
    this.#opened = undefined;
  }

  /** Removes what was unpacked only to be read. */
  async close(): Promise<void> {
    if (this.#writes || this.#opened === undefined) return;
    const opened = await this.#opened.catch(() => undefined);
    if (opened) await rm(opened.directory, {recursive: true, force: true});
  }

  async #layout(call: Call): Promise<OciLayout> {
    this.#opened ??= this.#open(call);
    return (await this.#opened).layout;
  }

  async #open({signal}: Call): Promise<{layout: OciLayout; directory: string}> {
    const directory = this.#writes
      ? await this.#openBeside(signal)
      : await mkdtemp(join(tmpdir(), 'transship-archive-'));
    if (!this.#writes) await this.#unpack(directory, signal);
    return {layout: new OciLayout(directory), directory};
  }

  /**
   * What an earlier run left is newer than the file it was made from, if that was unpacked to its end.
   * @throws TransshipError DESTINATION_CONFLICT where the folder is not one that we made: it is removed in the end
   */
  async #openBeside(signal: AbortSignal): Promise<string> {
    const directory = `${this.#file}.layout`;
    const mark = await readFile(join(directory, MARK), 'utf8').catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    const stranger = await strangerInLayout(directory);
    const isOurs = mark !== undefined || (await isVacant(directory));
    if (!isOurs || stranger !== undefined) throw notOurs(stranger ?? directory, this.#file);
    if (mark === 'whole') return directory;
    if (mark !== undefined) await removeWhole(directory);
    try {
      await mkdir(join(directory, SCRATCH), {recursive: true});
      await writeFile(join(directory, MARK), 'part');
      if (await isThere(this.#file)) await this.#unpack(directory, signal);
      await writeFile(join(directory, MARK), 'whole');
    } catch (error) {
      throw unwritable(directory, error);
    }
    return directory;
  }

  async #unpack(directory: string, signal: AbortSignal): Promise<void> {
    const {unpackLayout} = await archiveFile();
    await unpackLayout(this.#file, directory, signal);
  }
}

/** Removes a layout of ours. */
async function removeWhole(directory: string): Promise<void> {
  await removeLayout(directory, await digestsIn(directory));
}

function notOurs(path: string, file: string): TransshipError {
  return new TransshipError(
    'DESTINATION_CONFLICT',
    `${path} is in the way: images for ${file} are gathered in ${file}.layout`,
    {side: 'local', hint: `move ${file}.layout away, or name another archive`},
  );
}

/** Loaded only where there is an archive, with the library that reads it. */
const archiveFile = () => import('./archive-file.ts');

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
