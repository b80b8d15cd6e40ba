import type {HttpRequest} from '../../src/http/request.ts';
import {NEVER} from './streams.ts';

/** A GET request to the source. */
export function get(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return {method: 'GET', url: new URL(url), side: 'source', signal: NEVER, ...more};
}
