/** What may be seen of a query: keys that a registry's own API uses. Signed URLs carry secrets under any name. */
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

/** The URL as it may stand in a message or a log: no user, no fragment, unknown query values blanked. */
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
