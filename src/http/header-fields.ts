/** One entry of a `Link` header. */
export interface Link {
  /** As in the header; resolve it against the URL of the response. */
  readonly target: string;
  /** Relation types in lower case. */
  readonly rel: readonly string[];
}

/**
 * Reads a `Link` header (RFC 8288, section 3): several links, parameters with or without quotes, commas and semicolons
 * inside of both. Invalid entries are ignored.
 */
export function parseLinks(value: string | undefined): readonly Link[] {
  const links: Link[] = [];
  const text = value ?? '';
  let at = 0;
  for (;;) {
    const open = text.indexOf('<', at);
    const close = text.indexOf('>', open);
    if (open < 0 || close < 0) return links;
    const parameters = readParameters(text, close + 1);
    at = parameters.end;
    links.push({
      target: text.slice(open + 1, close).trim(),
      rel: parameters.rel.toLowerCase().split(/\s+/).filter(Boolean),
    });
  }
}

/**
 * The target of the first link with `rel="next"`, or else of the first link without a relation, which crane and oras
 * accept. A target without brackets ends at the first semicolon (containers/image: docker_client.go,
 * `GetRepositoryTags`).
 */
export function nextLink(value: string | undefined): string | undefined {
  const links = parseLinks(value);
  const next = links.find(({rel}) => rel.includes('next')) ?? links.find(({rel}) => !rel.length);
  if (next || links.length > 0 || !/;\s*rel\s*=\s*["']?next\b/i.test(value ?? ''))
    return next?.target;
  return value?.split(';')[0]?.replaceAll(/[<>]/g, '').trim();
}

const PARAMETER = /\s*;\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;

function readParameters(text: string, from: number): {rel: string; end: number} {
  let rel: string | undefined;
  PARAMETER.lastIndex = from;
  let end = from;
  for (let match = PARAMETER.exec(text); match; match = PARAMETER.exec(text)) {
    end = PARAMETER.lastIndex;
    // RFC 8288, section 3.3: only the first rel counts.
    if (match[1]?.toLowerCase() === 'rel') {
      rel ??= match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3]?.replaceAll("'", '') ?? '';
    }
  }
  return {rel: rel ?? '', end};
}

/** One challenge of a `WWW-Authenticate` header. */
export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case, values as they are. */
  readonly parameters: Readonly<Record<string, string>>;
}

const SPACE = /[\s,]*/y;
const TOKEN = /[\w!#$%&'*+.^`|~-]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"?/y;
/** The token68 that some schemes use in place of parameters (RFC 9110, section 11.2). */
const TOKEN68 = /[ \t]+[\w.~+/-]+=*(?=\s*(?:,|$))/y;
const BARE = /[^\s,"]*/y;

/**
 * Reads all challenges of a header, or of several headers joined by commas (RFC 9110, section 11.6.1). A scheme is a
 * token that no `=` follows, so commas inside of quotes (`scope="repository:a:pull,push"`) do not separate challenges.
 */
export function parseChallenges(value: string | undefined): readonly Challenge[] {
  const text = value ?? '';
  const challenges: {scheme: string; parameters: Record<string, string>}[] = [];
  const cursor = {at: 0};
  const take = (pattern: RegExp) => {
    pattern.lastIndex = cursor.at;
    const match = pattern.exec(text);
    if (match) cursor.at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(SPACE);
    const token = take(TOKEN)?.[0];
    if (token === undefined) return challenges;
    const current = challenges.at(-1);
    if (!take(EQUALS) || !current) {
      challenges.push({scheme: token.toLowerCase(), parameters: {}});
      take(TOKEN68);
      continue;
    }
    const quoted = take(QUOTED)?.[1];
    current.parameters[token.toLowerCase()] =
      quoted?.replaceAll(/\\(.)/g, '$1') ?? take(BARE)?.[0] ?? '';
  }
}

/** The byte range of a response; `end` is exclusive. */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  /** Undefined: unknown (`*`). */
  readonly total: number | undefined;
}

/** Reads `Content-Range: bytes 0-9/100` (RFC 9110, section 14.4); undefined: invalid. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const match = /^\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/i.exec(value ?? '');
  if (!match) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  const total = match[3] === '*' ? undefined : Number(match[3]);
  if (end <= start || (total !== undefined && end > total)) return undefined;
  return {start, end, total};
}

/** `bytes=5-` or `bytes=5-9`; `end` is exclusive. */
export function formatByteRange(start: number, end?: number): string {
  return `bytes=${start}-${end === undefined ? '' : end - 1}`;
}

/**
 * `RateLimit-Reset` is a number of seconds from now (draft-ietf-httpapi-ratelimit-headers-04), or, from GitLab, since
 * the epoch: values from here on are the latter.
 */
const LEAST_EPOCH_S = 1_000_000_000;

/**
 * The time in `RateLimit-Reset`, in ms from `now`, never below 0; undefined: absent or invalid.
 * @param now ms since the epoch
 */
export function parseRateLimitReset(value: string | undefined, now: number): number | undefined {
  if (!/^\d{1,12}$/.test(value ?? '')) return undefined;
  const seconds = Number(value);
  return seconds < LEAST_EPOCH_S ? seconds * 1000 : Math.max(0, seconds * 1000 - now);
}

/**
 * Reads `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). Gives ms from `now`, never below 0;
 * undefined if absent or invalid.
 * @param now ms since the epoch
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  if (!/^[A-Za-z]/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
