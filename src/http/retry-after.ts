/** `RateLimit-Reset` counts seconds from now (draft-ietf-httpapi-ratelimit-headers-04); GitLab's since the epoch. */
const LEAST_EPOCH_S = 1_000_000_000;

/** The time in `RateLimit-Reset`, in ms from `now`, never below 0; undefined where there is none. */
export function parseRateLimitReset(value: string | undefined, now: number): number | undefined {
  if (!/^\d{1,12}$/.test(value ?? '')) return undefined;
  const seconds = Number(value);
  return seconds < LEAST_EPOCH_S ? seconds * 1000 : Math.max(0, seconds * 1000 - now);
}

/**
 * Reads `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). Gives ms from `now`, never below 0;
 * undefined where there is none or it cannot be read.
 * @param now ms since the epoch
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  if (!/^[A-Za-z]/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
