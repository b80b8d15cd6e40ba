/** Query keys whose values are shown: those of the registry API. Signed URLs contain secrets under any name. */
const PUBLIC_QUERY_KEYS = new Set([
  'artifactType',
  'digest',
  'from',
  'last',
  'mount',
  'n',
  'ns',
  'page',
  'per_page',
  'scope',
  'service',
]);

/** The URL for messages and logs: without user and fragment, with unknown query values redacted. */
export function redactUrl(url: URL | string): string {
  const parsed = typeof url === 'string' ? URL.parse(url) : new URL(url);
  if (!parsed) return '(not a URL)';
  parsed.username = '';
  parsed.password = '';
  parsed.hash = '';
  for (const key of new Set(parsed.searchParams.keys())) {
    if (!PUBLIC_QUERY_KEYS.has(key)) parsed.searchParams.set(key, 'REDACTED');
  }
  return parsed.href;
}

/** A text with each web address in it as `redactUrl` shows it. */
export function redactUrlsIn(text: string): string {
  return text.replaceAll(/\bhttps?:\/\/[^\s"'<>\\^`{|}]+/gi, (url) => redactUrl(url));
}
