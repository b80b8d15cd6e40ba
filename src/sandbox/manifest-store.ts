import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {parseManifest, type Manifest} from '../model/manifest.ts';
import {isTag, type RepositoryPath, type Tag} from '../model/reference.ts';
import type {FileTree} from './file-tree.ts';
import {contentFile, manifestLink, referrerFolder, tagFile, tagFolder} from './layout-paths.ts';

const NOTHING = new Uint8Array();

/** The manifests of all repositories, their tags, and who refers to whom. */
export class ManifestStore {
  readonly #tree: FileTree;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  async get(repository: RepositoryPath, digest: Digest): Promise<Manifest | undefined> {
    const mediaType = await this.#text(manifestLink(repository, digest));
    const bytes = await this.#tree.load(contentFile(digest));
    if (mediaType === undefined || bytes === undefined) return undefined;
    return parseManifest(bytes, mediaType, digest, 'local');
  }

  async has(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    return (await this.#tree.size(manifestLink(repository, digest))) !== undefined;
  }

  /** Keeps a manifest byte for byte, under its digest and, last of all, under a tag. */
  async put(repository: RepositoryPath, manifest: Manifest, tag?: Tag): Promise<void> {
    const {digest, mediaType} = manifest.descriptor;
    await this.#tree.store(contentFile(digest), manifest.bytes);
    const subject = subjectOf(manifest);
    if (subject) await this.#tree.store(referrerLink(repository, subject, digest), NOTHING);
    await this.#tree.store(manifestLink(repository, digest), Buffer.from(mediaType));
    if (tag !== undefined) await this.#tree.store(tagFile(repository, tag), Buffer.from(digest));
  }

  /** Deletes a manifest with all its tags. False: it was not there. */
  async delete(repository: RepositoryPath, digest: Digest): Promise<boolean> {
    const manifest = await this.get(repository, digest);
    if (!manifest) return false;
    for (const tag of await this.tags(repository)) {
      if ((await this.resolve(repository, tag)) === digest) await this.untag(repository, tag);
    }
    const subject = subjectOf(manifest);
    if (subject) await this.#tree.remove(referrerLink(repository, subject, digest));
    return this.#tree.remove(manifestLink(repository, digest));
  }

  /** What a tag points to; undefined: there is no such tag. */
  async resolve(repository: RepositoryPath, tag: Tag): Promise<Digest | undefined> {
    const text = await this.#text(tagFile(repository, tag));
    return text !== undefined && isDigest(text) ? text : undefined;
  }

  async untag(repository: RepositoryPath, tag: Tag): Promise<boolean> {
    return this.#tree.remove(tagFile(repository, tag));
  }

  /** All tags in lexical order. */
  async tags(repository: RepositoryPath): Promise<readonly Tag[]> {
    return (await this.#tree.list(tagFolder(repository))).filter(isTag).sort();
  }

  /** What refers to `subject`, as a referrers list shows it (distribution-spec, "Listing Referrers"). */
  async referrers(repository: RepositoryPath, subject: Digest): Promise<readonly Descriptor[]> {
    const names = [...(await this.#tree.list(referrerFolder(repository, subject)))].sort();
    const found: Descriptor[] = [];
    for (const digest of names.filter(isDigest)) {
      const manifest = await this.get(repository, digest);
      if (!manifest || manifest.view.kind === 'schema1') continue;
      const {annotations} = manifest.view;
      found.push({...manifest.descriptor, ...(annotations ? {annotations} : {})});
    }
    return found;
  }

  async #text(path: string): Promise<string | undefined> {
    const bytes = await this.#tree.load(path);
    return bytes && new TextDecoder().decode(bytes);
  }
}

function subjectOf({view}: Manifest): Digest | undefined {
  return view.kind === 'schema1' ? undefined : view.subject?.digest;
}

function referrerLink(repository: RepositoryPath, subject: Digest, digest: Digest): string {
  return `${referrerFolder(repository, subject)}/${digest}`;
}
