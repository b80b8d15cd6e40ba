import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import type {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/**
 * A source that several routes of a plan read: each request is sent once, and its result, or its failure, is kept in
 * memory for all of them while the plan is made. Blobs are not kept.
 */
export class MemoizedReader implements RepositoryReader {
  readonly name: string;
  readonly #source: RepositoryReader;
  /** The results by request. */
  readonly #results = new Map<string, Promise<unknown>>();

  constructor(source: RepositoryReader) {
    this.name = source.name;
    this.#source = source;
  }

  listTags(call: Call): Promise<readonly string[] | undefined> {
    return this.#once('tags', () => this.#source.listTags(call));
  }

  listNotUsed(why: TransshipError, instead: string): void {
    this.#source.listNotUsed?.(why, instead);
  }

  listUnnamed(call: Call): Promise<readonly Digest[]> {
    return this.#once('unnamed', async () => (await this.#source.listUnnamed?.(call)) ?? []);
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    const read = this.#results.get(`manifest ${reference}`);
    if (read !== undefined) return ((await read) as Manifest | undefined)?.descriptor;
    return await this.#once(`head ${reference}`, () => this.#source.head(reference, call));
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const manifest = await this.#once(`manifest ${reference}`, () =>
      this.#source.getManifest(reference, call),
    );
    if (manifest !== undefined && !isDigest(reference))
      void this.#once(`manifest ${manifest.descriptor.digest}`, () => Promise.resolve(manifest));
    return manifest;
  }

  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return this.#once(`referrers ${subject}`, () => this.#source.listReferrers(subject, call));
  }

  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return this.#once(`blob ${blob.digest} ${blob.size}`, () => this.#source.hasBlob(blob, call));
  }

  listUncopied(call: Call): Promise<readonly string[]> {
    return this.#once('uncopied', async () => (await this.#source.listUncopied?.(call)) ?? []);
  }

  whyNewDigests(call: Call): Promise<string | undefined> {
    return this.#once('new digests', async () => await this.#source.whyNewDigests?.(call));
  }

  blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return this.#once(`size ${digest}`, () => this.#source.blobSize(digest, call));
  }

  openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return this.#source.openBlob(blob, range, call);
  }

  #once<T>(request: string, send: () => Promise<T>): Promise<T> {
    const known = this.#results.get(request) as Promise<T> | undefined;
    const result = known ?? send();
    if (known === undefined) this.#results.set(request, result);
    return result;
  }
}
