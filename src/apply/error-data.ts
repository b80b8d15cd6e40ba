import {asTransshipError, type Side} from '../model/error.ts';
import type {ErrorData} from '../model/event.ts';

/** An error as data, for events, journals and results. */
export function errorData(thrown: unknown, side: Side = 'local'): ErrorData {
  const {code, side: whose, message, hint} = asTransshipError(thrown, side);
  return {code, side: whose, message, hint};
}
