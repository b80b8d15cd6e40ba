import {SingleFlight} from '../http/single-flight.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import type {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/** Maximum bytes of manifests in memory, for all sources of a plan: each takes several times its size. */
const RECENT_BYTES = 32 * 1024 * 1024;

/** The manifests that were read last, of all sources of a plan. Others are read again when they are needed. */
export class RecentManifests {
  readonly #limit: number;
  /** The oldest first. */
  readonly #manifests = new Map<string, Manifest>();
  #bytes = 0;

  /** @param limit in bytes */
  constructor(limit = RECENT_BYTES) {
    this.#limit = limit;
  }

  get(name: string, digest: Digest): Manifest | undefined {
    return this.#manifests.get(`${name}@${digest}`);
  }

  add(name: string, manifest: Manifest): void {
    const key = `${name}@${manifest.descriptor.digest}`;
    if (this.#manifests.has(key)) return;
    this.#manifests.set(key, manifest);
    this.#bytes += manifest.bytes.byteLength;
    for (const [oldest, {bytes}] of this.#manifests) {
      if (this.#bytes <= this.#limit) return;
      this.#manifests.delete(oldest);
      this.#bytes -= bytes.byteLength;
    }
  }
}

/**
 * A source that several routes of a plan read. Each request is sent once, and its result, or its failure, is kept for
 * all of them while the plan is made. Manifests are kept as long as there is memory for them, blobs are not.
 */
export class MemoizedReader implements RepositoryReader {
  readonly name: string;
  readonly #source: RepositoryReader;
  readonly #recent: RecentManifests;
  readonly #reading = new SingleFlight<Manifest | undefined>();
  /** The results by request. */
  readonly #results = new Map<string, Promise<unknown>>();

  constructor(source: RepositoryReader, recent: RecentManifests) {
    this.name = source.name;
    this.#source = source;
    this.#recent = recent;
  }

  listTags(call: Call): Promise<readonly string[] | undefined> {
    return this.#once('tags', () => this.#source.listTags(call));
  }

  listDigests(call: Call): Promise<ReadonlyMap<string, Digest> | undefined> {
    return this.#once('digests', async () => await this.#source.listDigests?.(call));
  }

  listNotUsed(why: TransshipError, instead: string): void {
    this.#source.listNotUsed?.(why, instead);
  }

  listUnnamed(call: Call): Promise<readonly Digest[]> {
    return this.#once('unnamed', async () => (await this.#source.listUnnamed?.(call)) ?? []);
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    if (isDigest(reference)) {
      const read = this.#recent.get(this.name, reference);
      if (read !== undefined) return read.descriptor;
    } else if (this.#results.has(`tag ${reference}`)) return await this.#readTag(reference, call);
    return await this.#once(`head ${reference}`, () => this.#source.head(reference, call));
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    if (isDigest(reference)) return await this.#readDigest(reference, call);
    const descriptor = await this.#readTag(reference, call);
    return descriptor && (await this.#readDigest(descriptor.digest, call));
  }

  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return this.#once(`referrers ${subject}`, async () => {
      const listed = await this.#source.listReferrers(subject, call);
      // Annotations may take megabytes, and nobody needs them.
      return listed?.map(({mediaType, digest, size}) => ({mediaType, digest, size}));
    });
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

  /** Reads the manifest of a tag once: for all routes, the tag has the digest that it had then. */
  #readTag(tag: Tag, call: Call): Promise<Descriptor | undefined> {
    return this.#once(`tag ${tag}`, async () => {
      const manifest = await this.#source.getManifest(tag, call);
      if (manifest !== undefined) this.#recent.add(this.name, manifest);
      return manifest?.descriptor;
    });
  }

  async #readDigest(digest: Digest, call: Call): Promise<Manifest | undefined> {
    const known = this.#recent.get(this.name, digest);
    if (known !== undefined) return known;
    return await this.#reading.run(digest, call.signal, async (signal) => {
      const manifest = await this.#source.getManifest(digest, {...call, signal});
      if (manifest !== undefined) this.#recent.add(this.name, manifest);
      return manifest;
    });
  }

  #once<T>(request: string, send: () => Promise<T>): Promise<T> {
    const known = this.#results.get(request) as Promise<T> | undefined;
    const result = known ?? send();
    if (known === undefined) this.#results.set(request, result);
    return result;
  }
}
