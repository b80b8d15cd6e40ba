import {TransshipError} from '../model/error.ts';
import {formatPlace, parsePlace, type Place} from '../model/place.ts';
import type {Wish, WishFilters} from '../model/plan.ts';
import type {Reference, Tag} from '../model/reference.ts';

/** What `copy SOURCE DESTINATION` asks for, read from the two places. */
export interface CopyWish {
  readonly wish: Wish;
  readonly source: Reference;
  readonly destination: Reference;
  /** The tag at the destination, where one image is copied and it gets one. */
  readonly toTag?: Tag;
}

/**
 * Reads the places. A source without tag and digest means all of its tags; a single image keeps its tag unless the
 * destination names one.
 * @throws TransshipError REFERENCE_INVALID, TRANSPORT_UNKNOWN, TRANSPORT_UNSUPPORTED, USAGE
 */
export function readCopyWish(from: string, to: string, filters: WishFilters): CopyWish {
  const source = registryReference(parsePlace(from));
  const destination = registryReference(parsePlace(to));
  const isWhole = source.tag === undefined && source.digest === undefined;
  if (destination.digest !== undefined) {
    throw usage(
      `the destination ${to} names a digest`,
      'the digest follows from the source; name a tag or nothing',
    );
  }
  if (isWhole && destination.tag !== undefined) {
    throw usage(
      `${from} means all of its tags, but ${to} names one`,
      'name a tag at the source, or none at the destination',
    );
  }
  const toTag = destination.tag ?? source.tag;
  return {
    wish: {
      source: formatPlace({transport: 'docker', reference: source}),
      destination: formatPlace({transport: 'docker', reference: destination}),
      filters,
    },
    source,
    destination,
    ...(isWhole || toTag === undefined ? {} : {toTag}),
  };
}

function registryReference(place: Place): Reference {
  if (place.transport === 'docker') return place.reference;
  throw new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    `${formatPlace(place)}: images are copied from registry to registry only`,
    {
      side: 'local',
      hint: `push it to a registry first, for example: skopeo copy --all ${place.transport}:… docker://host/repository`,
    },
  );
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
