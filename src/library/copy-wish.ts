import {isDigest, type Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {
  archiveIndex,
  DIRECTORY_IMAGE,
  engineImageName,
  type FilePlace,
  formatPlace,
  isSourceOnly,
  notADestination,
  parsePlace,
  type Place,
  repositoryInside,
} from '../model/place.ts';
import type {CopyPlan, Wish, WishFilters} from '../model/plan.ts';
import {
  formatRepository,
  isLayoutName,
  normalizedImage,
  splitLayoutName,
  type Tag,
} from '../model/reference.ts';
import type {PlanFindings} from '../plan/copy-plan.ts';
import {type PruneWish, throwUnlessDeletable} from './plan-deletions.ts';

/** What docker, crane and skopeo call an image where nobody says how. */
export const LATEST = 'latest' as Tag;

/** One side of a copy. */
export interface CopyEnd {
  /** The repository as plans name it: `host/path`, or a transport with a file, such as `oci:DIR`. */
  readonly repository: string;
  /** A layout on this machine: its images have names by another grammar than tags, or none. */
  readonly isLayout: boolean;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** What is asked for, and between which places. */
export interface CopyWish {
  readonly wish: Wish;
  readonly routes: readonly WantedRoute[];
  /** What was found out about the wish before anything was looked at. */
  readonly findings?: PlanFindings;
  readonly prune?: PruneWish;
  /** What this earlier plan brought is left out: it is elsewhere. */
  readonly since?: CopyPlan;
  /** The platforms of all images that are copied are needed, whatever the filters. */
  readonly platforms?: boolean;
}

/** Two places that a wish names. */
export interface WantedRoute {
  /** The index of the wish for a route that it belongs to. */
  readonly wish: number;
  readonly source: CopyEnd;
  readonly destination: CopyEnd;
  /** The tag at the destination, where one image is copied and it gets one. A source without a name is that image. */
  readonly toTag?: Tag;
  /** The source was found in a list, not named: it may be gone meanwhile. */
  readonly isListed?: boolean;
  /** Nothing is at the destination, and it need not be asked: its project does not exist yet. */
  readonly isAbsent?: boolean;
}

/** One image or repository, and where it is to be copied. */
export interface CopyRequest {
  /**
   * As on the command line: `host/repository[:tag][@digest]`, `oci:DIR[:name]`, `oci-archive:FILE[:name]`, `dir:DIR`,
   * `docker-archive:FILE[:name]`, `docker-daemon:NAME` or `containers-storage:NAME`. A repository without a tag means
   * all of its tags.
   */
  readonly source: string;
  /** `host/repository[:tag]`, `oci:DIR[:name]`, `oci-archive:FILE[:name]` or `dir:DIR`. */
  readonly destination: string;
  /** More tags that one image gets at the destination. */
  readonly additionalTags?: readonly string[];
  /** Which tags and platforms, and in which form. Default: everything, as it is. */
  readonly filters?: WishFilters;
  /** Delete each tag at the source once its image is verified at the destination. */
  readonly deleteSource?: boolean;
  /** Write archives in numbered parts of this size in bytes, at least 64 KiB. */
  readonly archiveSize?: number;
  /** Read the platforms of all images, so that the plan names them. Default: those that the filters need. */
  readonly readPlatforms?: boolean;
}

/**
 * Reads the places of `copy SOURCE DESTINATION`. A source without tag and digest means all of its tags, but a layout
 * means its only image where the destination names a tag. A single image keeps its tag unless the destination names
 * one.
 * @throws TransshipError REFERENCE_INVALID, TRANSPORT_UNKNOWN, TRANSPORT_UNSUPPORTED, USAGE
 */
export function readCopyWish(request: CopyRequest): CopyWish {
  const {destination: to, additionalTags = [], readPlatforms} = request;
  const first = {
    ...readOneCopy(request),
    ...(readPlatforms === undefined ? {} : {platforms: readPlatforms}),
  };
  if (additionalTags.length === 0) return first;
  const [{toTag, destination} = {}] = first.routes;
  if (toTag === undefined || destination === undefined || isDirectory(destination)) {
    throw usage(
      `--additional-tag is for one image in a registry, a layout or an archive, and ${to} gets others`,
      'name a tag at the source, or leave the flag out',
    );
  }
  const names = new Set(additionalTags.filter((name) => name !== toTag));
  const more = [...names].map((name) =>
    readOneCopy({...request, destination: `${destination.repository}:${name}`}),
  );
  return {
    ...first,
    wish: {...first.wish, routes: [first, ...more].flatMap(({wish}) => wish.routes)},
    routes: [first, ...more].flatMap(({routes}, wish) => routes.map((one) => ({...one, wish}))),
  };
}

function readOneCopy(request: CopyRequest): CopyWish {
  const {source: from, destination: to, filters = {}, deleteSource = false, archiveSize} = request;
  const destinationPlace = parsePlace(to);
  if (isSourceOnly(destinationPlace)) throw notADestination(to);
  const [source, destination] = [copyEnd(parsePlace(from)), copyEnd(destinationPlace)];
  const isWhole = source.tag === undefined && source.digest === undefined;
  if (deleteSource) throwUnlessDeletable(from, source, destination);
  if (destination.digest !== undefined) {
    throw usage(
      `the destination ${to} names a digest`,
      'the digest follows from the source; name a tag or nothing',
    );
  }
  if (isWhole && destination.tag !== undefined && !source.isLayout) {
    throw usage(
      `${from} means all of its tags, but ${to} ${isDirectory(destination) ? 'holds one image' : 'names one'}`,
      isDirectory(destination)
        ? 'name a tag at the source, or copy into an image layout: oci:DIR'
        : 'name a tag at the source, or none at the destination',
    );
  }
  const isSingle = !isWhole || destination.tag !== undefined;
  if (isSingle && TAG_FILTERS.some((filter) => filters[filter] !== undefined)) {
    throw usage(
      `${from} is one image, and the filters of tags choose among many`,
      'leave the tag or digest out, or the filters',
    );
  }
  const toTag = destination.tag ?? tagAt(destination, source.tag);
  if (source.tag !== undefined && toTag === undefined) {
    throw usage(`the name ${source.tag} contains no tag`, `name one at the destination: ${to}:TAG`);
  }
  const [named, namedTo] = [formatPlace(parsePlace(from)), formatPlace(parsePlace(to))];
  return {
    wish: {
      routes: [{source: named, destination: namedTo, filters}],
      ...(deleteSource ? {deleteSource} : {}),
      ...archiveSizeOf(archiveSize, [destination.repository]),
    },
    routes: [{wish: 0, source, destination, ...(toTag === undefined ? {} : {toTag})}],
  };
}

/** @throws TransshipError USAGE where no destination is an archive */
export function archiveSizeOf(
  archiveSize: number | undefined,
  destinations: readonly string[],
): Pick<Wish, 'archiveSize'> {
  if (archiveSize === undefined) return {};
  if (destinations.some((to) => to.startsWith('oci-archive:'))) return {archiveSize};
  throw usage(
    '--archive-size is for archives, and nothing is written into one',
    'leave it out, or write into oci-archive:FILE',
  );
}

function isDirectory({repository}: CopyEnd): boolean {
  return repository.startsWith('dir:');
}

/** What an image with this name is called at the destination; undefined: it has to be named there. */
function tagAt({isLayout}: CopyEnd, name: Tag | undefined): Tag | undefined {
  return isLayout || name === undefined ? name : splitLayoutName(name).tag;
}

const TAG_FILTERS = ['tags', 'excludeTags', 'semver', 'newest', 'newerThan'] as const;

function copyEnd(place: Place): CopyEnd {
  switch (place.transport) {
    case 'docker': {
      const {tag, digest} = place.reference;
      return {
        repository: formatRepository(place.reference),
        isLayout: false,
        ...(tag ? {tag} : {}),
        ...(digest ? {digest} : {}),
      };
    }
    case 'oci':
    case 'oci-archive': {
      const {transport, file, ref} = place;
      if (place.repository !== undefined) return endInside(place, place.repository);
      const repository = `${transport}:${file}`;
      if (ref === undefined) return {repository, isLayout: true};
      if (isDigest(ref)) return {repository, isLayout: true, digest: ref};
      if (isLayoutName(ref)) return {repository, isLayout: true, tag: ref};
      throw usage(
        `"${ref}" in ${repository}:${ref} is neither a name nor a digest`,
        'name one of its images, such as v1 or team/app:v1, or write @sha256:… after the directory',
      );
    }
    case 'dir':
      return {repository: formatPlace(place), isLayout: true, tag: DIRECTORY_IMAGE};
    case 'docker-archive': {
      const {file, ref} = place;
      const repository = `docker-archive:${file}`;
      if (archiveIndex(ref) !== undefined) return {repository: formatPlace(place), isLayout: true};
      if (ref === undefined) return {repository, isLayout: true};
      if (isDigest(ref)) return {repository, isLayout: true, digest: ref};
      if (normalizedImage(ref) === undefined) {
        throw usage(
          `"${ref}" in ${repository}:${ref} names no image`,
          'write a name such as busybox:1.35, or @0 for the first image',
        );
      }
      const isTagged = ref.lastIndexOf(':') > ref.lastIndexOf('/');
      return {repository, isLayout: true, tag: (isTagged ? ref : `${ref}:${LATEST}`) as Tag};
    }
    case 'docker-daemon':
    case 'containers-storage':
      return {repository: formatPlace(place), isLayout: true, tag: engineImageName(place.ref)};
  }
}

/** A repository in a layout: its images have tags, as in a registry. */
function endInside({ref, ...place}: FilePlace, repository: string): CopyEnd {
  const named = ref === undefined ? {} : isDigest(ref) ? {digest: ref} : {tag: ref as Tag};
  return {repository: repositoryInside(place, repository), isLayout: false, ...named};
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
