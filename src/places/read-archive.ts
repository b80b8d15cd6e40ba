import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {ArchivedLayout} from './archived-layout.ts';
import {REF_NAME} from './layout-entries.ts';
import {type IndexEntry, readEntries} from './layout-index.ts';
import {nameIn, readSavedImages, SavedImages} from './saved-images.ts';
import {notAnArchive, type TarArchive} from './tar-archive.ts';

/** Where containerd and Docker store the whole name of an image (containerd: images/archive/exporter.go). */
const IMAGE_NAME = 'io.containerd.image.name';

/**
 * The image layout in a tar file.
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
 * Reads the images of an archive of `docker save`. Since Docker 25 such an archive is an image layout, whose manifests
 * are kept; older ones, and those of other programs, hold no manifests, which are made: see `SavedImages`.
 * @param index only the image at this place of the archive, counted from 0
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
 * The one image of an archive that an engine made, under the name that it was asked for by: engines write names in forms
 * of their own.
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
        'the daemon holds none',
      );
  } catch (error) {
    throw notAnArchive(place, error);
  }
  throw notAnArchive(place, new Error('it contains no image'));
}

/** The entries by the names that `docker save` was given. */
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

/** A layout whose images go by the names of docker. */
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
