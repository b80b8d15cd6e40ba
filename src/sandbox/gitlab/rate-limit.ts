import {bytesReply, type Reply} from '../reply.ts';

export interface RateLimitOptions {
  /** Requests of one user in a period. */
  readonly requests: number;
  /** Default: a minute, as GitLab's. */
  readonly periodMs?: number;
}

/** GitLab's limit for authenticated API requests (GitLab: lib/gitlab/rack_attack.rb). */
export class RateLimit {
  readonly #options: Required<RateLimitOptions>;
  readonly #clock: () => number;
  readonly #counted = new Map<string, {period: number; observed: number}>();

  constructor({requests, periodMs = 60_000}: RateLimitOptions, clock: () => number) {
    this.#options = {requests, periodMs};
    this.#clock = clock;
  }

  /** Counts a request; `refused` is the answer to one that is too many. */
  count(who: string): {readonly headers: Reply['headers']; readonly refused: Reply | undefined} {
    const {requests, periodMs} = this.#options;
    const now = this.#clock();
    const period = Math.floor(now / periodMs);
    const before = this.#counted.get(who);
    const observed = before?.period === period ? before.observed + 1 : 1;
    this.#counted.set(who, {period, observed});
    const resetMs = (period + 1) * periodMs;
    const headers = {
      'ratelimit-limit': String(requests),
      'ratelimit-name': 'throttle_authenticated_api',
      'ratelimit-observed': String(observed),
      'ratelimit-remaining': String(Math.max(0, requests - observed)),
      'ratelimit-reset': String(Math.ceil(resetMs / 1000)),
    };
    if (observed <= requests) return {headers, refused: undefined};
    const refused = bytesReply(429, Buffer.from('Retry later\n'), {
      ...headers,
      'content-type': 'text/plain',
      'retry-after': String(Math.ceil((resetMs - now) / 1000)),
    });
    return {headers, refused};
  }
}
