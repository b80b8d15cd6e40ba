import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';

/** Whether a path does not exist. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR');
}

/** Whether this is an error of Node with this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

const DAMAGED: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_DIGEST_MISMATCH',
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
]);

/** Whether the error means that a manifest was read and does not match its digest. */
export function isDamage(error: unknown): boolean {
  return error instanceof TransshipError && DAMAGED.has(error.code);
}

/** The error for a failed read of a file. A TransshipError is returned unchanged. */
export function unreadable(path: string, cause: unknown): Error {
  if (cause instanceof TransshipError) return cause;
  return new TransshipError('FILE_UNREADABLE', `cannot read ${path}: ${reason(cause)}`, {
    side: 'local',
    hint: 'check that the path is right and that you may read it',
    cause,
  });
}

/** The error for a failed write. A TransshipError is returned unchanged. */
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
