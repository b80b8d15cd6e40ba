import {TransshipError} from '../model/error.ts';

/** A filter that cannot be understood. */
export function filterInvalid(message: string, hint: string, cause?: unknown): TransshipError {
  return new TransshipError('FILTER_INVALID', message, {side: 'local', hint, cause});
}
