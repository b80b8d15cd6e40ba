import type {ErrorCode} from './error-codes.ts';
import type {FileProblem} from './file-problem.ts';

/** Which party a failure belongs to, so that a message can say whose fault it is. */
export type Side = 'source' | 'destination' | 'gitlab' | 'local';

export interface TransshipErrorOptions {
  readonly side: Side;
  /** What to do about it, as one sentence. */
  readonly hint: string;
  /** Whether the same call may succeed later with nothing changed. Default: false. */
  readonly retry?: boolean;
  /** How long the other side is to be left alone before trying again, in ms. */
  readonly retryAfterMs?: number | undefined;
  /** It was tried again as often as is of use already: whoever called does not try again. Default: false. */
  readonly exhausted?: boolean;
  /** The HTTP status that led here, where there was one. */
  readonly status?: number | undefined;
  /** All that is wrong with a file written by hand, where there can be several things. */
  readonly problems?: readonly FileProblem[];
  readonly cause?: unknown;
}

/**
 * The one error class of the tool. `code` is a contract (see docs/errors.md); the texts are not.
 * The message says what was wrong, with the wrong value; the hint says what to do.
 */
export class TransshipError extends Error {
  override readonly name = 'TransshipError';
  readonly code: ErrorCode;
  readonly side: Side;
  readonly hint: string;
  readonly retry: boolean;
  readonly retryAfterMs: number | undefined;
  readonly exhausted: boolean;
  readonly status: number | undefined;
  readonly problems: readonly FileProblem[];

  /** @internal Errors are made by the library alone. */
  constructor(code: ErrorCode, message: string, options: TransshipErrorOptions) {
    super(clipped(message), options.cause === undefined ? undefined : {cause: options.cause});
    this.code = code;
    this.side = options.side;
    this.hint = clipped(options.hint);
    this.retry = options.retry ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.exhausted = options.exhausted ?? false;
    this.status = options.status;
    this.problems = options.problems ?? [];
  }
}

/** Characters of one word, and of all, that are quoted of others. */
const WORD_LIMIT = 500;
const TEXT_LIMIT = 8000;

/**
 * A text for people without what is longer than anyone reads: servers choose the length of the URLs, names and words that
 * messages quote.
 */
export function clipped(text: string): string {
  const shorter =
    text.length <= WORD_LIMIT
      ? text
      : text.replace(/\S+/g, (word) =>
          word.length <= WORD_LIMIT ? word : `${word.slice(0, WORD_LIMIT / 2)}…`,
        );
  return shorter.length <= TEXT_LIMIT ? shorter : `${shorter.slice(0, TEXT_LIMIT)}…`;
}

/** The same error, for a caller who knows that another try may succeed. */
export function retryable(error: TransshipError): TransshipError {
  const {code, message, side, hint, retryAfterMs, status} = error;
  return new TransshipError(code, message, {
    side,
    hint,
    retry: true,
    ...(retryAfterMs === undefined ? {} : {retryAfterMs}),
    ...(status === undefined ? {} : {status}),
    cause: error.cause,
  });
}

/** Puts any thrown value into a TransshipError; one that is a TransshipError already stays as it is. */
export function asTransshipError(thrown: unknown, side: Side): TransshipError {
  if (thrown instanceof TransshipError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TransshipError('INTERNAL', message, {
    side,
    hint: 'this is a bug in transship: please report it with the output of --debug',
    cause: thrown,
  });
}

/** What a run that is told to stop ends its unfinished work with. */
export function interrupted(): TransshipError {
  return new TransshipError('INTERRUPTED', 'interrupted', {
    side: 'local',
    hint: 'run the command again to resume; completed work is kept',
  });
}

/** Whether nothing failed but that the run was to stop. */
export function isInterrupted(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'INTERRUPTED';
}

/** @throws TransshipError INTERRUPTED */
export function throwIfStopping(stopping: AbortSignal): void {
  if (stopping.aborted) throw interrupted();
}
