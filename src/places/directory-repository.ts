import {dirname, join} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import type {Side} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {
  BlobBody,
  Call,
  OpenBody,
  RepositoryWriter,
  SavedUpload,
  Upload,
} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {makeDirectory, replaceFile} from './durable-file.ts';
import {unwritable} from './file-error.ts';
import {DirectoryFiles, refuseWayOut, SCRATCH} from './directory-files.ts';
import {DirectoryUpload} from './directory-upload.ts';
import {StoredRepository} from './stored-repository.ts';

/** A writable repository in a directory. Nothing is created before the first write. */
export abstract class DirectoryRepository extends StoredRepository implements RepositoryWriter {
  declare protected readonly files: DirectoryFiles;
  protected readonly directory: string;
  protected readonly scratch: string;

  constructor(name: string, directory: string, side: Side) {
    super({name, side, files: new DirectoryFiles(directory, side)});
    this.directory = directory;
    this.scratch = join(directory, SCRATCH);
  }

  abstract putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}>;

  async putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    const upload = await this.beginUpload(blob, call);
    try {
      await upload.append(chunksOf(await open()), blob.size, call);
      await upload.commit(blob, call);
    } catch (error) {
      await upload.cancel(call);
      throw error;
    }
  }

  async beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    const path = await this.#blobToWrite(blob.digest, call);
    return await DirectoryUpload.begin(this.scratch, path, blob.digest);
  }

  async resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    const path = await this.#blobToWrite(saved.digest, call);
    return await DirectoryUpload.resume(this.scratch, path, saved);
  }

  /** Called before each write. */
  protected prepare(_call: Call): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Writes a manifest to its file atomically: if the process is killed, the file has either the old content or the new
   * one.
   * @param path relative to the directory
   */
  protected async writeManifest(path: string, {descriptor, bytes}: Manifest): Promise<void> {
    const target = join(this.directory, path);
    try {
      const there = await this.files.read(path, descriptor.size);
      await this.#refuseWayOut(target);
      if (there instanceof Uint8Array && Buffer.compare(there, bytes) === 0) return;
      await makeDirectory(this.scratch);
      await makeDirectory(dirname(target));
      await replaceFile(target, bytes, this.scratch);
    } catch (error) {
      throw unwritable(target, error);
    }
  }

  async #blobToWrite(digest: Digest, call: Call): Promise<string> {
    call.signal.throwIfAborted();
    await this.prepare(call);
    const path = join(this.directory, await this.blobPath(digest));
    await this.#refuseWayOut(path);
    return path;
  }

  /** Checks both the scratch directory and the target before a write. */
  async #refuseWayOut(path: string): Promise<void> {
    for (const each of [this.scratch, path]) await refuseWayOut(this.directory, each, this.side);
  }
}

async function* chunksOf(body: BlobBody): AsyncGenerator<Uint8Array, void, undefined> {
  if (body instanceof Uint8Array) yield body;
  else yield* body;
}
