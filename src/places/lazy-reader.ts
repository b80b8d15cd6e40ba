import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import type {Manifest} from '../model/manifest.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/** A source that takes time to open, such as an archive. It is opened by the first call. */
export class LazyReader implements RepositoryReader {
  readonly name: string;
  readonly #open: (call: Call) => Promise<RepositoryReader>;
  #opened: Promise<RepositoryReader> | undefined;

  /** @param open called again if it failed */
  constructor(name: string, open: (call: Call) => Promise<RepositoryReader>) {
    this.name = name;
    this.#open = open;
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    return await (await this.#reader(call)).listTags(call);
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return (await (await this.#reader(call)).listUnnamed?.(call)) ?? [];
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return await (await this.#reader(call)).head(reference, call);
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    return await (await this.#reader(call)).getManifest(reference, call);
  }

  async listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return await (await this.#reader(call)).listReferrers(subject, call);
  }

  async hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return await (await this.#reader(call)).hasBlob(blob, call);
  }

  async blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return await (await this.#reader(call)).blobSize(digest, call);
  }

  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return await (await this.#reader(call)).openBlob(blob, range, call);
  }

  async whyNewDigests(call: Call): Promise<string | undefined> {
    return await (await this.#reader(call)).whyNewDigests?.(call);
  }

  #reader(call: Call): Promise<RepositoryReader> {
    this.#opened ??= this.#open(call).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }
}
