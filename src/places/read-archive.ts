import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {type EntryTable, REF_NAME, tabulate} from './layout-entries.ts';
import {type IndexEntry, readEntries} from './layout-index.ts';
import {layoutPath} from './oci-layout.ts';
import {nameIn, readSavedImages, SavedImages} from './saved-images.ts';
import {type PlaceFiles, StoredRepository} from './stored-repository.ts';
import {notAnArchive, type TarArchive} from './tar-archive.ts';

/**
 * The annotation in which containerd and Docker store the full name of an image (containerd:
 * images/archive/exporter.go).
 */
const IMAGE_NAME = 'io.containerd.image.name';

/**
 * Opens the image layout in a tar file.
 * @throws TransshipError FILE_INVALID
 */
export async function readOciArchive(
  name: string,
  file: string,
  archive: TarArchive,
): Promise<RepositoryReader> {
  const entries = await readEntries(archive);
  if (entries === undefined) throw notAnArchive(file, new Error('it contains no image layout'));
  return new ArchivedLayout({name, side: 'source', files: archive}, entries);
}

/**
 * Opens an archive of `docker save`. Since Docker 25, it is an image layout, whose manifests are preserved. Older
 * archives, and those of other programs, have no manifests; see `SavedImages`.
 * @param index the index of the only image to read, from 0; undefined: all
 * @throws TransshipError FILE_INVALID, REFERENCE_INVALID
 */
export async function readDockerArchive(
  name: string,
  file: string,
  archive: TarArchive,
  index: number | undefined,
): Promise<RepositoryReader> {
  try {
    const entries = await readEntries(archive);
    if (entries !== undefined)
      return new NamedLayout({name, side: 'source', files: archive}, chosen(entries, name, index));
    const images = await readSavedImages(archive);
    if (images !== undefined)
      return new SavedImages(
        name,
        archive,
        index === undefined ? images : [at(images, name, index)],
      );
  } catch (error) {
    throw notAnArchive(file, error);
  }
  throw notAnArchive(file, new Error('it contains neither manifest.json nor an image layout'));
}

/**
 * Opens the only image of an archive that an engine created, under the requested name: engines write names in various
 * forms.
 * @throws TransshipError FILE_INVALID
 */
export async function readOnlyImage(
  place: string,
  archive: TarArchive,
  name: string,
): Promise<RepositoryReader> {
  try {
    const [entry] = (await readEntries(archive)) ?? [];
    if (entry !== undefined) {
      const named = {...entry, annotations: {...entry.annotations, [REF_NAME]: name}};
      return new ArchivedLayout({name: place, side: 'source', files: archive}, [named]);
    }
    const [image] = (await readSavedImages(archive)) ?? [];
    if (image !== undefined)
      return new SavedImages(
        place,
        archive,
        [{...image, RepoTags: [name]}],
        'the daemon stores no manifests',
      );
  } catch (error) {
    throw notAnArchive(place, error);
  }
  throw notAnArchive(place, new Error('it contains no image'));
}

/** The entries, with the names that were given to `docker save`. */
function chosen(
  entries: readonly IndexEntry[],
  name: string,
  index: number | undefined,
): readonly IndexEntry[] {
  const named = entries.map((entry) => {
    const whole = entry.annotations?.[IMAGE_NAME];
    if (whole === undefined) return entry;
    return {...entry, annotations: {...entry.annotations, [REF_NAME]: whole}};
  });
  if (index === undefined) return named;
  const digest = at([...new Set(named.map((entry) => entry.digest))], name, index);
  return named.filter((entry) => entry.digest === digest);
}

function at<T>(images: readonly T[], name: string, index: number): T {
  const image = images[index];
  if (image !== undefined) return image;
  throw new TransshipError(
    'REFERENCE_INVALID',
    `${name} does not exist: the archive contains ${images.length} images`,
    {side: 'source', hint: 'count from 0, or name the image: docker-archive:FILE:busybox:1.35'},
  );
}

/** An OCI image layout in files that do not change, as in an archive. */
class ArchivedLayout extends StoredRepository {
  readonly #table: EntryTable;

  constructor(
    options: {readonly name: string; readonly side: Side; readonly files: PlaceFiles},
    entries: readonly IndexEntry[],
  ) {
    super(options);
    this.#table = tabulate(entries);
  }

  async listTags(call: Call): Promise<readonly string[]> {
    return (await this.entries(call)).names;
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return (await this.entries(call)).unnamed;
  }

  protected entries(call: Call): Promise<EntryTable> {
    call.signal.throwIfAborted();
    return Promise.resolve(this.#table);
  }

  protected blobPath(digest: Digest): string {
    return layoutPath(digest);
  }

  protected manifestPath(digest: Digest): string {
    return layoutPath(digest);
  }
}

/** A layout in which images are found by docker's names. */
class NamedLayout extends ArchivedLayout {
  protected override async find(
    reference: Tag | Digest,
    call: Call,
  ): Promise<Descriptor | undefined> {
    if (isDigest(reference)) return await super.find(reference, call);
    const {tags} = await this.entries(call);
    return await super.find(nameIn([...tags.keys()], reference), call);
  }
}
