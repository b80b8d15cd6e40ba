import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import type {Manifest} from '../model/manifest.ts';
import type {
  BlobStream,
  ByteRange,
  Call,
  MountBlob,
  OpenBody,
  RepositoryReader,
  RepositoryWriter,
  SavedUpload,
  Upload,
} from '../model/port.ts';
import {isTag, splitLayoutName, type Tag} from '../model/reference.ts';

/**
 * The repositories whose images are in a layout under their full names, `host/path:tag`, in the order of the layout.
 * @throws errors of reading the layout
 */
export async function repositoriesInside(
  layout: RepositoryReader,
  call: Call,
): Promise<readonly string[]> {
  const names = (await layout.listTags(call)) ?? [];
  const found = names.flatMap((name) => {
    const {repository, tag} = splitLayoutName(name);
    return tag !== undefined && repository.includes('/') ? [repository] : [];
  });
  return [...new Set(found)];
}

/**
 * One of several repositories in an image layout: its tags are names in the layout, after `host/path:`. Content and
 * referrers are those of the whole layout.
 */
export class ReadLayoutRepository implements RepositoryReader {
  readonly name: string;
  readonly #layout: RepositoryReader;
  readonly #prefix: string;

  /** @param repository `host/path` */
  constructor(name: string, layout: RepositoryReader, repository: string) {
    this.name = name;
    this.#layout = layout;
    this.#prefix = `${repository}:`;
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    const tags = await this.tags(call);
    return tags === undefined || tags.length === 0 ? undefined : tags;
  }

  head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return this.#layout.head(this.named(reference), call);
  }

  getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    return this.#layout.getManifest(this.named(reference), call);
  }

  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return this.#layout.listReferrers(subject, call);
  }

  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return this.#layout.hasBlob(blob, call);
  }

  blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return this.#layout.blobSize(digest, call);
  }

  openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return this.#layout.openBlob(blob, range, call);
  }

  /** The tags of the repository; undefined: the layout does not exist. */
  protected async tags(call: Call): Promise<readonly string[] | undefined> {
    const names = await this.#layout.listTags(call);
    return names?.flatMap((name) => {
      const tag = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : '';
      return isTag(tag) ? [tag] : [];
    });
  }

  protected named(reference: Tag | Digest): Tag | Digest {
    return isDigest(reference) ? reference : (`${this.#prefix}${reference}` as Tag);
  }
}

/** The same, for writing. */
export class LayoutRepository extends ReadLayoutRepository implements RepositoryWriter {
  /** All repositories of a layout have the same blobs. */
  readonly mount: MountBlob;
  readonly #layout: RepositoryWriter;

  constructor(name: string, layout: RepositoryWriter, repository: string) {
    super(name, layout, repository);
    this.#layout = layout;
    this.mount = async (blob, _from, call) =>
      (await layout.hasBlob(blob, call)) ? {kind: 'mounted'} : {kind: 'declined'};
  }

  /** Empty if only other repositories are in the layout: the repository then exists, since it shares their blobs. */
  override async listTags(call: Call): Promise<readonly string[] | undefined> {
    return await this.tags(call);
  }

  putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    return this.#layout.putManifest(this.named(reference), manifest, call);
  }

  putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    return this.#layout.putBlob(blob, open, call);
  }

  beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    return this.#layout.beginUpload(blob, call);
  }

  resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    return this.#layout.resumeUpload(saved, call);
  }
}
