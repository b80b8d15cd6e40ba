import {jsonReply, type Reply} from './reply.ts';

/** The codes of distribution-spec, "Error Codes", and those that registries of the distribution family add. */
export type RefusalCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'CONTENT_RANGE_INVALID'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'IMMUTABLE_TAG'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_REFERENCED'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'PROTECTED_MANIFEST'
  | 'PROTECTED_TAG'
  | 'RESUMABLE_BLOB_UPLOAD_INVALID'
  | 'SIZE_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

/** One entry of an error answer. */
export interface RefusalEntry {
  readonly code: RefusalCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** A request that is refused: thrown by whoever finds out, answered in one place. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reply: Reply;

  constructor(status: number, errors: readonly RefusalEntry[], headers: Reply['headers'] = {}) {
    super(errors.map(({code, message}) => `${code}: ${message}`).join(', '));
    this.reply = jsonReply(status, {errors}, headers);
  }
}

/**
 * A refusal with one entry.
 * @param detail what was wrong, for the client
 */
export function refusal(
  status: number,
  code: RefusalCode,
  message: string,
  detail?: unknown,
  headers: Reply['headers'] = {},
): Refusal {
  return new Refusal(status, [{code, message, detail}], headers);
}
