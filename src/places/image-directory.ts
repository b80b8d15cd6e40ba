import {join} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, digestOf, hexOf, isDigest} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {type Manifest, MANIFEST_LIMIT, manifestTooLarge, parseManifest} from '../model/manifest.ts';
import {DIRECTORY_IMAGE} from '../model/place.ts';
import type {Call} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {makeDirectory, replaceFile, syncDirectory} from './durable-file.ts';
import {hasCode, isDamage, unwritable} from './file-error.ts';
import {refuseWayOut, SCRATCH} from './directory-files.ts';
import {DirectoryRepository} from './directory-repository.ts';
import type {StoredEntries} from './stored-repository.ts';

/** The content of `version`, which skopeo checks before it replaces the content of a directory. */
const VERSION = 'Directory Transport Version: 1.1\n';
/** 1.2 adds the prefix `sha512-` to the names of content with such a digest, and is otherwise like 1.1. */
const PREFIXING = 'Directory Transport Version: 1.2\n';
const VERSION_LIMIT = 1024;

const ROOT = 'manifest.json';
const SUFFIX = '.manifest.json';
/** A manifest by its digest: `<hex>.manifest.json`. */
const CHILD = /^(?:([a-f0-9]{64})|(?:sha512-)?([a-f0-9]{128}))\.manifest\.json$/;
/** The tags of attachments: cosign's, and the fallback tag of the referrers. */
const ATTACHMENT_TAG = /^sha(?:256|512)-[a-f0-9]{64}(?:\.[\w.-]+)?$/;
/** Signatures as skopeo stores them beside a manifest. */
const SIGNATURE = /^(?:(?:sha512-)?[a-f0-9]+\.)?signature-\d+$/;

/** The listed images, and the files of manifests that are not named by their digest. */
interface DirectoryEntries extends StoredEntries {
  readonly paths: ReadonlyMap<Digest, string>;
}

/**
 * A directory with one image in the format of skopeo's `dir:` (containers/image: directory/directory_transport.go):
 * `manifest.json`, the manifests of an index in `<hex>.manifest.json`, and each blob in `<hex>`. The image has the name
 * `DIRECTORY_IMAGE`. Attachments are in files that skopeo ignores: cosign's tags in `<tag>.manifest.json`, referrers in
 * `<hex>.manifest.json`.
 */
export class ImageDirectory extends DirectoryRepository {
  /** Manifests that were read, by file name. Content that is named by its digest does not change. */
  readonly #children = new Map<string, Descriptor | undefined>();
  #entries: {readonly stamp: string; readonly entries: DirectoryEntries} | undefined;
  #prepared: Promise<void> | undefined;
  /** Whether the version is 1.2. */
  #prefixes = false;

  constructor(directory: string, side: Side) {
    super(`dir:${directory}`, directory, side);
  }

  /** A directory without an image, as left by a killed run, has no names; an empty directory counts as not existing. */
  async listTags(call: Call): Promise<readonly string[] | undefined> {
    const entries = await this.entries(call);
    return entries && [...entries.tags.keys()];
  }

  /** skopeo's signatures, which registries do not store: skopeo keeps them elsewhere (registries.d(5), "lookaside"). */
  async listUncopied(call: Call): Promise<readonly string[]> {
    call.signal.throwIfAborted();
    return (await this.files.names()).filter((name) => SIGNATURE.test(name));
  }

  /**
   * Writes the image, or an attachment. The previous manifest of that name is kept under its digest, since it may be a
   * part of the new one. Referrers are found by reading manifests, so the subject is always kept.
   */
  async putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    call.signal.throwIfAborted();
    await this.prepare(call);
    const {digest} = manifest.descriptor;
    if (isDigest(reference)) {
      if (reference !== digest) throw this.mismatch(reference, digest);
      await this.writeManifest(await this.#childPath(digest), manifest);
      return {subjectKept: true};
    }
    const path = reference === DIRECTORY_IMAGE ? ROOT : attachmentPath(reference);
    if (path === undefined) throw this.#onlyOne(reference);
    await this.#keepOld(path, manifest);
    try {
      // The content to which the manifest refers must be on disk first.
      await syncDirectory(this.directory);
      await this.writeManifest(path, manifest);
      await syncDirectory(this.directory);
    } catch (error) {
      throw unwritable(join(this.directory, path), error);
    }
    return {subjectKept: true};
  }

  protected override prepare(call: Call): Promise<void> {
    this.#prepared ??= this.#makeDirectory(call).catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  protected async entries(call: Call): Promise<DirectoryEntries | undefined> {
    call.signal.throwIfAborted();
    const names = await this.#names();
    if (names.length === 0) return undefined;
    const tagged = new Map<string, Manifest>();
    for (const name of names) {
      const tag = tagOf(name);
      const manifest = tag === undefined ? undefined : await this.#readTagged(name);
      if (tag !== undefined && manifest !== undefined) tagged.set(tag, manifest);
    }
    const children = await this.#readChildren(names);
    const stamp = JSON.stringify([
      [...tagged].map(([tag, {descriptor}]) => [tag, descriptor.digest]),
      children.map(({digest}) => digest),
    ]);
    if (this.#entries?.stamp !== stamp)
      this.#entries = {stamp, entries: tabulate(tagged, children)};
    return this.#entries.entries;
  }

  protected async blobPath(digest: Digest): Promise<string> {
    const path = hexOf(digest);
    if (algorithmOf(digest) === 'sha256') return path;
    const prefixed = `${algorithmOf(digest)}-${path}`;
    const isPrefixed = this.#prefixes || (await this.files.size(prefixed)) !== undefined;
    return isPrefixed ? prefixed : path;
  }

  protected async manifestPath(digest: Digest): Promise<string> {
    const child = await this.#childPath(digest);
    if ((await this.files.size(child)) !== undefined) return child;
    return this.#entries?.entries.paths.get(digest) ?? child;
  }

  /** The file of a manifest that is named by its digest. */
  async #childPath(digest: Digest): Promise<string> {
    const path = hexOf(digest);
    if (algorithmOf(digest) === 'sha256') return `${path}${SUFFIX}`;
    const prefixed = `${algorithmOf(digest)}-${path}${SUFFIX}`;
    const isPrefixed = this.#prefixes || (await this.files.size(prefixed)) !== undefined;
    return isPrefixed ? prefixed : `${path}${SUFFIX}`;
  }

  /** The names in the directory. @throws TransshipError DESTINATION_CONFLICT if a destination has other content */
  async #names(): Promise<readonly string[]> {
    const names = await this.#list();
    const found = names.filter((name) => name !== SCRATCH);
    const version = found.includes('version')
      ? await this.files.read('version', VERSION_LIMIT)
      : undefined;
    const text = version instanceof Uint8Array ? Buffer.from(version).toString() : undefined;
    this.#prefixes = text === PREFIXING;
    const isKnown = text === VERSION || text === PREFIXING;
    if (this.side === 'destination' && found.length > 0 && !isKnown) throw this.#foreign(found);
    // Directories from before the file `version` have the same format, and skopeo reads them, too.
    if (found.includes('version') && !isKnown) throw this.#unknownVersion();
    return found;
  }

  async #list(): Promise<readonly string[]> {
    try {
      return await this.files.names();
    } catch (error) {
      if (this.side === 'destination' && hasCode((error as Error).cause, 'ENOTDIR'))
        throw this.#conflict(`${this.directory} is a file`);
      throw error;
    }
  }

  /** Reads the manifest of a name. A damaged one counts as absent, unless it is the image of a source. */
  async #readTagged(path: string): Promise<Manifest | undefined> {
    const bytes = await this.files.read(path, MANIFEST_LIMIT);
    try {
      if (bytes === undefined) return undefined;
      if (bytes instanceof Uint8Array) return parseManifest(bytes, undefined, undefined, this.side);
      throw manifestTooLarge(this.files.nameOf(path), this.side);
    } catch (error) {
      if (isDamage(error) && (path !== ROOT || this.side === 'destination')) return undefined;
      throw error;
    }
  }

  /** The manifests that are named by their digest. Damaged ones are not listed; reading them by digest fails. */
  async #readChildren(names: readonly string[]): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    for (const name of names) {
      const digest = childDigest(name);
      if (digest === undefined) continue;
      if (!this.#children.has(name)) this.#children.set(name, await this.#readChild(digest));
      const child = this.#children.get(name);
      if (child === undefined) this.#children.delete(name);
      else found.push(child);
    }
    return found;
  }

  async #readChild(digest: Digest): Promise<Descriptor | undefined> {
    try {
      return (await this.readManifest(digest, undefined))?.descriptor;
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  async #makeDirectory(call: Call): Promise<void> {
    // Also refuses a directory with other content.
    await this.entries(call);
    const path = join(this.directory, 'version');
    for (const each of [this.scratch, path]) await refuseWayOut(this.directory, each, this.side);
    try {
      await makeDirectory(this.scratch);
      if ((await this.files.size('version')) === undefined)
        await replaceFile(path, Buffer.from(VERSION), this.scratch);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /**
   * Keeps the previous manifest of a name under its digest.
   * @throws TransshipError DESTINATION_CONFLICT if skopeo's signatures of the old image would then apply to the new one
   */
  async #keepOld(path: string, {descriptor}: Manifest): Promise<void> {
    const old = await this.#readTagged(path);
    if (old === undefined || old.descriptor.digest === descriptor.digest) return;
    const signature = (await this.files.names()).find((name) => SIGNATURE.test(name));
    if (path === ROOT && signature !== undefined)
      throw this.#conflict(`${this.files.nameOf(signature)} signs the existing image`);
    await this.writeManifest(await this.#childPath(old.descriptor.digest), old);
  }

  #foreign(names: readonly string[]): TransshipError {
    const [first = ''] = names;
    return this.#conflict(
      `${this.directory} contains ${first} and is not a directory written by "skopeo copy … dir:"`,
    );
  }

  #conflict(message: string): TransshipError {
    return new TransshipError('DESTINATION_CONFLICT', message, {
      side: 'local',
      hint: 'name an empty directory, or one that does not exist yet',
    });
  }

  #unknownVersion(): TransshipError {
    return new TransshipError(
      'FILE_INVALID',
      `${this.files.nameOf('version')} names an unsupported version of the format; transship supports 1.1 and 1.2`,
      {side: this.side, hint: 'copy the image into an image layout: skopeo copy dir:… oci:DIR'},
    );
  }

  #onlyOne(tag: string): TransshipError {
    return new TransshipError(
      'TRANSPORT_UNSUPPORTED',
      `${this.name} can contain only one image, not the tag ${tag}`,
      {side: 'local', hint: 'copy several images into an image layout: oci:DIR'},
    );
  }
}

/** The name of the manifest in a file; undefined: it is named by its digest, or is not a manifest. */
function tagOf(name: string): string | undefined {
  if (name === ROOT) return DIRECTORY_IMAGE;
  if (!name.endsWith(SUFFIX)) return undefined;
  const stem = name.slice(0, -SUFFIX.length);
  return ATTACHMENT_TAG.test(stem) ? stem : undefined;
}

function attachmentPath(tag: string): string | undefined {
  return ATTACHMENT_TAG.test(tag) ? `${tag}${SUFFIX}` : undefined;
}

function childDigest(name: string): Digest | undefined {
  const [, sha256, sha512] = CHILD.exec(name) ?? [];
  if (sha256 !== undefined) return `sha256:${sha256}` as Digest;
  return sha512 === undefined ? undefined : (`sha512:${sha512}` as Digest);
}

function tabulate(
  tagged: ReadonlyMap<string, Manifest>,
  children: readonly Descriptor[],
): DirectoryEntries {
  const tags = new Map([...tagged].map(([tag, {descriptor}]) => [tag, descriptor]));
  const paths = new Map<Digest, string>();
  for (const [tag, {bytes, descriptor}] of tagged) {
    const path = tag === DIRECTORY_IMAGE ? ROOT : `${tag}${SUFFIX}`;
    // Callers may use either algorithm.
    for (const algorithm of ['sha256', 'sha512'] as const)
      paths.set(digestOf(bytes, algorithm), path);
    // For a signed manifest of schema 1, this is the digest of the payload.
    paths.set(descriptor.digest, path);
  }
  const listed = [...tags.values(), ...children];
  return {tags, paths, digests: new Map(listed.map((each) => [each.digest, each]))};
}
