import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR');
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const DAMAGED: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_DIGEST_MISMATCH',
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
]);

/** Whether a manifest was read, and is not what its name says. */
export function isDamage(error: unknown): boolean {
  return error instanceof TransshipError && DAMAGED.has(error.code);
}

/** What a failing read of a file is to the user. A TransshipError stays as it is. */
export function unreadable(path: string, cause: unknown): Error {
  if (cause instanceof TransshipError) return cause;
  return new TransshipError('FILE_UNREADABLE', `cannot read ${path}: ${reason(cause)}`, {
    side: 'local',
    hint: 'check that the path is right and that you may read it',
    cause,
  });
}

/** What a failing write is to the user. A TransshipError stays as it is. */
export function unwritable(path: string, cause: unknown): Error {
  if (cause instanceof TransshipError) return cause;
  const full = hasCode(cause, 'ENOSPC') || hasCode(cause, 'EDQUOT');
  return new TransshipError('FILE_WRITE_FAILED', `cannot write ${path}: ${reason(cause)}`, {
    side: 'local',
    hint: full ? 'free some space, then run the command again' : 'check that you may write there',
    cause,
  });
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
