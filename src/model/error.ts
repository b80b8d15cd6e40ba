import type {ErrorCode} from './error-codes.ts';
import type {FileProblem} from './file-problem.ts';

/** The party that caused a failure. */
export type Side = 'source' | 'destination' | 'gitlab' | 'local';

export interface TransshipErrorOptions {
  readonly side: Side;
  /** What to do, as a clause without a full stop. */
  readonly hint: string;
  /** Whether the same call may succeed later with nothing changed. Default: false. */
  readonly retry?: boolean;
  /** How long to wait before the next attempt, in ms, as requested by the other side. */
  readonly retryAfterMs?: number | undefined;
  /** The other side asked for that pause; otherwise it is the client's own. Default: false. */
  readonly isPauseAsked?: boolean;
  /** All retries were already made, so callers must not retry. Default: false. */
  readonly exhausted?: boolean;
  /** The HTTP status that caused the error, if any. */
  readonly status?: number | undefined;
  /** All errors in a file written by hand, of which there may be several. */
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
  readonly isPauseAsked: boolean;
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
    this.isPauseAsked = options.isPauseAsked ?? false;
    this.exhausted = options.exhausted ?? false;
    this.status = options.status;
    this.problems = options.problems ?? [];
  }
}

/** Maximum characters of a word, of the part of a longer word that is shown, and of a whole text. */
const WORD_LIMIT = 500;
const CUT_WORD_LIMIT = 250;
const TEXT_LIMIT = 8000;

/**
 * Shortens a text for people: messages quote URLs, names and texts of any length, which servers choose.
 */
export function clipped(text: string): string {
  const shorter =
    text.length <= WORD_LIMIT
      ? text
      : text.replace(/\S+/g, (word) =>
          word.length <= WORD_LIMIT ? word : cutAt(word, CUT_WORD_LIMIT),
        );
  return cutAt(shorter, TEXT_LIMIT);
}

/** Characters of tokens, and of their percent-encodings. */
const END_OF_TOKEN = /[\w.~+%=-]+$/;
/** Maximum characters that are left of a token that is cut: much less than there are in one that is this long. */
const TOKEN_LIMIT = 32;

/**
 * The beginning of a text that is longer than the limit. Output is redacted later, which finds whole secrets only, so a
 * token that would be cut is left out.
 * @param limit at least 32
 */
export function cutAt(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const whole = text.slice(0, limit).replace(END_OF_TOKEN, '');
  const end = Math.max(whole.length, TOKEN_LIMIT);
  return `${text.slice(0, end).trimEnd()}…`;
}

/** The same error, marked as temporary, by a caller that knows that a retry may succeed. */
export function retryable(error: TransshipError): TransshipError {
  const {code, message, side, hint, retryAfterMs, isPauseAsked, status} = error;
  return new TransshipError(code, message, {
    side,
    hint,
    retry: true,
    ...(retryAfterMs === undefined ? {} : {retryAfterMs, isPauseAsked}),
    ...(status === undefined ? {} : {status}),
    cause: error.cause,
  });
}

/** Wraps any thrown value in a TransshipError INTERNAL. A TransshipError is returned unchanged. */
export function asTransshipError(thrown: unknown, side: Side): TransshipError {
  if (thrown instanceof TransshipError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TransshipError('INTERNAL', message, {
    side,
    hint: 'this is a bug in transship: please report it with the output of --debug',
    cause: thrown,
  });
}

/** The error of work that a stopping run does not finish. */
export function interrupted(): TransshipError {
  return new TransshipError('INTERRUPTED', 'interrupted', {
    side: 'local',
    hint: 'run the command again to resume; completed work is kept',
  });
}

/** Whether the error only says that the run was stopped. */
export function isInterrupted(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'INTERRUPTED';
}

/** @throws TransshipError INTERRUPTED */
export function throwIfStopping(stopping: AbortSignal): void {
  if (stopping.aborted) throw interrupted();
}
