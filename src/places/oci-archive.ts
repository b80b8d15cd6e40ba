import {stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {readRegular} from '../http/regular-file.ts';
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
import {openParts, type PartList, readPartList} from './archive-parts.ts';
import {FILE_MODE, makeDirectory} from './durable-file.ts';
import {isMissing, unreadable, unwritable} from './file-error.ts';
import {SCRATCH} from './directory-files.ts';
import {digestsIn, isVacant, removeLayout, strangerInLayout} from './layout-directory.ts';
import {OciLayout} from './oci-layout.ts';

/**
 * A file in the layout beside an archive: shows that transship created the layout, and whether it was unpacked
 * completely.
 */
const MARK = join(SCRATCH, 'archive');
/** Bytes. */
const MARK_LIMIT = 16;

/** Options of an archive. */
export interface OciArchiveOptions {
  /**
   * The size of numbered parts in bytes, queried when writing starts. Default: as the existing archive, else one file.
   */
  readonly partSize?: () => number | undefined;
  /** Directories with parts of the archive, besides its own directory. */
  readonly partDirectories?: readonly string[];
}

/**
 * An OCI image layout in a tar file, for writing. A tar file cannot be changed in place, so its content is collected in
 * `FILE.layout`, which remains after an interrupted run, so that the next run can resume.
 */
export class OciArchive implements RepositoryWriter {
  readonly name: string;
  readonly #file: string;
  readonly #partDirectories: readonly string[];
  readonly #wantedPartSize: () => number | undefined;
  /** The part size of the existing archive. */
  #partSize: number | undefined;
  #opened: Promise<{readonly layout: OciLayout; readonly directory: string}> | undefined;
  #marked: Promise<void> | undefined;

  constructor(file: string, {partSize, partDirectories = []}: OciArchiveOptions = {}) {
    this.name = `oci-archive:${file}`;
    this.#file = file;
    this.#wantedPartSize = partSize ?? (() => undefined);
    this.#partDirectories = partDirectories;
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    return await (await this.#layout(call)).listTags(call);
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return await (await this.#layout(call)).listUnnamed(call);
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

  async hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return await (await this.#layout(call)).hasBlob(blob, call);
  }

  async blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return await (await this.#layout(call)).blobSize(digest, call);
  }

  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return await (await this.#layout(call)).openBlob(blob, range, call);
  }

  async putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    return await (await this.#toWrite(call)).putManifest(reference, manifest, call);
  }

  async putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    await (await this.#toWrite(call)).putBlob(blob, open, call);
  }

  async beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    return await (await this.#toWrite(call)).beginUpload(blob, call);
  }

  async resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    return await (await this.#toWrite(call)).resumeUpload(saved, call);
  }

  /**
   * Writes the file, if there were changes. Call this when the content is complete.
   * @throws TransshipError FILE_WRITE_FAILED
   */
  async pack(call: Call): Promise<void> {
    if (this.#opened === undefined) return;
    const {directory} = await this.#opened;
    if (await isVacant(directory)) return;
    const {packLayout, packParts} = await archiveFile();
    const partSize = this.#wantedPartSize() ?? this.#partSize;
    await (partSize === undefined
      ? packLayout(directory, this.#file, call.signal)
      : packParts(directory, this.#file, partSize, call.signal));
    await removeWhole(directory);
    this.#opened = undefined;
    this.#marked = undefined;
  }

  async #layout(call: Call): Promise<OciLayout> {
    this.#opened ??= this.#open(call);
    return (await this.#opened).layout;
  }

  /** The layout for writing. Marks its directory as created by transship; reading creates nothing. */
  async #toWrite(call: Call): Promise<OciLayout> {
    this.#opened ??= this.#open(call);
    const {layout, directory} = await this.#opened;
    if (this.#marked === undefined && this.#wantedPartSize() !== undefined)
      await throwUnlessInParts(this.#file);
    this.#marked ??= writeMark(directory, 'whole');
    await this.#marked;
    return layout;
  }

  async #open(call: Call): Promise<{layout: OciLayout; directory: string}> {
    const directory = await this.#openBeside(call);
    return {layout: new OciLayout(directory, {side: 'destination'}), directory};
  }

  /**
   * Opens `FILE.layout`: that of an earlier run, which is newer than the file if that was unpacked completely, or a new
   * one.
   * @throws TransshipError DESTINATION_CONFLICT if transship did not create the directory, since it is removed in the
   * end
   */
  async #openBeside(call: Call): Promise<string> {
    const {throwUnlessOurs} = await archiveFile();
    const isWhole = await isThere(this.#file);
    const parts = await readPartList(this.#file);
    if (isWhole && parts !== undefined) throw inBothForms(this.#file);
    this.#partSize = parts?.partSize;
    const directory = `${this.#file}.layout`;
    await throwUnlessOurs(directory);
    const mark = await readMark(directory);
    const stranger = await strangerInLayout(directory);
    const isOurs = mark !== undefined || (await isVacant(directory));
    if (!isOurs || stranger !== undefined) throw notOurs(stranger ?? directory, this.#file);
    if (mark === 'whole') return directory;
    if (mark !== undefined) await removeWhole(directory);
    if (!isWhole && parts === undefined) return directory;
    await writeMark(directory, 'part');
    try {
      await this.#unpack(directory, parts, call);
    } catch (error) {
      await removeWhole(directory);
      throw error;
    }
    await writeMark(directory, 'whole');
    return directory;
  }

  async #unpack(directory: string, parts: PartList | undefined, {signal}: Call): Promise<void> {
    const {unpackLayout} = await archiveFile();
    const opened = parts && (await openParts(this.#file, parts, this.#partDirectories));
    await unpackLayout(this.#file, directory, signal, opened);
  }
}

async function readMark(directory: string): Promise<string | undefined> {
  try {
    return (await readRegular(join(directory, MARK), MARK_LIMIT)).toString('utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(directory, error);
  }
}

async function writeMark(directory: string, mark: 'part' | 'whole'): Promise<void> {
  try {
    await makeDirectory(join(directory, SCRATCH));
    await writeFile(join(directory, MARK), mark, {mode: FILE_MODE});
  } catch (error) {
    throw unwritable(directory, error);
  }
}

/** Removes a layout created by transship. */
async function removeWhole(directory: string): Promise<void> {
  await removeLayout(directory, await digestsIn(directory));
}

function notOurs(path: string, file: string): TransshipError {
  return new TransshipError(
    'DESTINATION_CONFLICT',
    `${path} already exists: images for ${file} are collected in ${file}.layout`,
    {side: 'local', hint: `move ${file}.layout elsewhere, or name another archive`},
  );
}

/** @throws TransshipError DESTINATION_CONFLICT if the archive exists as one file */
async function throwUnlessInParts(file: string): Promise<void> {
  if (await isThere(file)) throw inBothForms(file);
}

function inBothForms(file: string): TransshipError {
  return new TransshipError(
    'DESTINATION_CONFLICT',
    `${file} exists as one file, but is to be written in parts`,
    {
      side: 'local',
      hint: `move ${file} elsewhere, omit --archive-size, or name another archive`,
    },
  );
}

/** Loaded only for archives, together with the tar library. */
const archiveFile = () => import('./archive-file.ts');

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
