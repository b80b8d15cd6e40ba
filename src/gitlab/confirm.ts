import {pause} from '../http/retry.ts';
import {asTransshipError, TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/** How long to wait for something that GitLab does in the background, in ms. */
export interface Patience {
  /** Between two looks. */
  readonly everyMs: number;
  /** In all. */
  readonly limitMs: number;
}

export const DEFAULT_PATIENCE: Patience = {everyMs: 2_000, limitMs: 120_000};

export interface Change<T> {
  /** Asks for the change. */
  readonly request: () => Promise<'accepted' | 'ignored'>;
  /** Reads what the change is about. */
  readonly read: () => Promise<T>;
  readonly isDone: (value: T) => boolean;
  /** What was asked for, as the end of a sentence: `project 9 is not at a/b`. */
  readonly unseen: (value: T) => string;
}

/**
 * Makes a change and believes only what is there afterwards: GitLab may answer 200 and change nothing, answer 502
 * and have changed it, or change it in the background.
 * @returns what was read last, with the change in it; undefined: GitLab ignored the request
 * @throws TransshipError the refusal, if the change is not there; CHANGE_NOT_SEEN
 */
export async function confirm<T>(
  change: Change<T>,
  patience: Patience,
  {signal}: Call,
): Promise<T | undefined> {
  const {request, read, isDone, unseen} = change;
  const outcome = await request().catch((error: unknown) => asTransshipError(error, 'gitlab'));
  signal.throwIfAborted();
  let value = await read();
  if (isDone(value)) return value;
  if (outcome === 'ignored') return undefined;
  // What failed on the way may go on at the other side; what was refused does not.
  if (outcome instanceof TransshipError && !mayGoOn(outcome)) throw outcome;
  for (let waitedMs = 0; waitedMs < patience.limitMs; waitedMs += patience.everyMs) {
    await pause(patience.everyMs, signal);
    value = await read();
    if (isDone(value)) return value;
  }
  if (outcome instanceof TransshipError) throw outcome;
  throw new TransshipError('CHANGE_NOT_SEEN', `GitLab accepted the request, but ${unseen(value)}`, {
    side: 'gitlab',
    hint: 'GitLab may still be working on it; check in GitLab, then run the command again to resume',
    retry: true,
  });
}

/** A missing response, or one from a gateway, does not tell what GitLab did. */
function mayGoOn({code, status}: TransshipError): boolean {
  return code === 'TIMEOUT' || code === 'CONNECTION_FAILED' || status === 502 || status === 504;
}
