import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import type {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/**
 * A source that several routes look at: what was asked once is answered from memory, for as long as a plan is made. A
 * question that failed fails for all. Bytes of blobs are not kept.
 */
export class SharedReader implements RepositoryReader {
  readonly name: string;
  readonly #source: RepositoryReader;
  /** By what was asked. */
  readonly #answers = new Map<string, Promise<unknown>>();

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
    const read = this.#answers.get(`manifest ${reference}`);
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

  #once<T>(question: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(question) as Promise<T> | undefined;
    const answer = known ?? ask();
    if (known === undefined) this.#answers.set(question, answer);
    return answer;
  }
}
