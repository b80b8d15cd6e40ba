import {HttpClient, type HttpClientOptions} from '../../src/http/client.ts';
import type {TestAuthority} from './certificates.ts';

/** A policy without a second attempt. */
export const ONCE = {attempts: 1, attemptsAt500: 1, baseMs: 1, capMs: 1, budgetMs: 1};

/** A client that trusts the authority and sends each request once, so that no failure is hidden by another attempt. */
export function singleAttemptClient(
  {authority}: TestAuthority,
  options: HttpClientOptions = {},
): HttpClient {
  return new HttpClient({
    retry: ONCE,
    settings: {
      connectOptions: () => Promise.resolve({ca: [authority.cert]}),
      proxyFor: () => undefined,
    },
    ...options,
  });
}
