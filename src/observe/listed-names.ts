import type {Digest} from '../model/digest.ts';
import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';

/*
 * Lists save requests, but single images are copied even if listing fails: other clients copy them without a list, so
 * there are registries, proxies and permissions with which lists have never worked.
 */

/** The names that a place lists; undefined: the repository does not exist; an error: it cannot be listed. */
export type Names = readonly string[] | undefined | TransshipError;

/** Statuses of temporary failures and rate limits, which concern the host. */
const OF_THE_HOST = new Set([408, 429, 502, 503, 504]);

/**
 * Lists the tags of a place if the list is optional.
 * @throws failures that do not concern lists: other requests would fail, too
 */
export async function listIfAble(place: RepositoryReader, call: Call): Promise<Names> {
  try {
    return await place.listTags(call);
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
    if (error.status === undefined || OF_THE_HOST.has(error.status)) throw error;
    return error;
  }
}

/** The more specific of two failures: that of the list, and that of its fallback. */
export function moreSpecificFailure(names: Names, error: unknown): unknown {
  if (!(names instanceof TransshipError) || !(error instanceof TransshipError)) return error;
  const isNoRegistry = names.code === 'NOT_A_REGISTRY' || names.code === 'RESPONSE_INVALID';
  const isSame = names.code === error.code || (isNoRegistry && error.code === 'MANIFEST_INVALID');
  return isSame ? names : error;
}

/** Up to this many tags are requested one by one, which costs about as much as the list. */
const FEW = 16;

/**
 * The digests of the tags of a place, if it lists them and that saves requests. If the list fails, the tags are
 * requested one by one.
 * @param wanted how many tags would be requested
 */
export async function listedDigests(
  place: RepositoryReader,
  wanted: number,
  call: Call,
): Promise<ReadonlyMap<string, Digest>> {
  if (wanted <= FEW) return new Map();
  try {
    return (await place.listDigests?.(call)) ?? new Map();
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
    place.listNotUsed?.(error, 'tags are requested one by one');
    return new Map();
  }
}
