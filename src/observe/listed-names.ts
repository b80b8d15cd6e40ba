import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader} from '../model/port.ts';

/*
 * Lists save requests, and single images are copied without: other clients ask for none, so registries, their proxies
 * and rights to them are in use whose lists nobody has seen work.
 */

/** The names that a place lists; undefined: the repository does not exist; an error: why it cannot be listed. */
export type Names = readonly string[] | undefined | TransshipError;

/** Statuses of a host that fails, or wants fewer requests, for a time: whatever is asked. */
const OF_THE_HOST = new Set([408, 429, 502, 503, 504]);

/**
 * Lists the tags of a place where that can be done without.
 * @throws what is no answer about lists: nothing else would be answered either
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

/** Of the failure of a list and that of what was tried in its place, the one that says more. */
export function tellingFailure(names: Names, error: unknown): unknown {
  if (!(names instanceof TransshipError) || !(error instanceof TransshipError)) return error;
  const isNoRegistry = names.code === 'NOT_A_REGISTRY' || names.code === 'RESPONSE_INVALID';
  const isSame = names.code === error.code || (isNoRegistry && error.code === 'MANIFEST_INVALID');
  return isSame ? names : error;
}
