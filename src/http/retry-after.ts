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
