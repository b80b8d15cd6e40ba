import {clipped, TransshipError} from '../model/error.ts';
import {addressKind, hostnameOf} from './origin.ts';
import {describeRequest, type HttpRequest, isRepeatable} from './request.ts';
import {redactUrl} from './redaction.ts';

/** Maximum number of redirects of one request. */
const REDIRECT_LIMIT = 6;

/** The redirects of one request: checks each hop and returns the next request. */
export class Redirects {
  readonly #visited = new Set<string>();
  readonly #allowsUnsafeRedirects: AllowsUnsafe;

  constructor(allowsUnsafeRedirects: AllowsUnsafe = never) {
    this.#allowsUnsafeRedirects = allowsUnsafeRedirects;
  }

  /**
   * The request to send after a 3xx response; undefined: the response is final, since the redirect would change the
   * method of a write, or the body cannot be sent again.
   * @throws TransshipError REDIRECT_REFUSED
   */
  next(
    request: HttpRequest,
    status: number,
    location: string | undefined,
  ): HttpRequest | undefined {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (![301, 302, 303, 307, 308].includes(status)) return undefined;
    if (!isRead && (![307, 308].includes(status) || !isRepeatable(request.body))) return undefined;
    if (location === undefined) return undefined;
    const url = resolveHop(location, request, 'redirect', this.#allowsUnsafeRedirects);
    const ledBy = request.ledBy ?? leaderTo(url, request.url, this.#allowsUnsafeRedirects);
    const target = rawTarget(location, url);
    this.#visited.add(`${request.method} ${request.url.href}`);
    if (this.#visited.has(`${request.method} ${url.href}`))
      throw refused(request, 'redirect', 'is part of a loop');
    if (this.#visited.size > REDIRECT_LIMIT) {
      throw refused(request, 'redirect', `exceeds the limit of ${REDIRECT_LIMIT} redirects`);
    }
    if (url.origin === request.url.origin) return {...request, url, target};
    if (request.body?.kind === 'bytes' && request.body.secret === true) {
      const why = `leads to ${url.origin}, which must not receive the credentials in the request body`;
      throw refused(request, 'redirect', why);
    }
    // After the first hop to another origin, headers for the original origin are dropped, even if a later hop returns
    // to it.
    const {authorization: _authorization, originHeaders: _originHeaders, ...rest} = request;
    return {...rest, url, target, ledBy};
  }
}

/** The origin of the next URL, as named in messages. */
type HopKind = 'redirect' | 'upload location' | 'realm of the token service';

/**
 * Checks a URL from a manifest. Anybody may have written it, so the rules for redirects from a public host apply,
 * unless the user allows the URL's host.
 * @throws TransshipError REDIRECT_REFUSED
 */
export function resolveLayerUrl(text: string, allowsUnsafeRedirects: AllowsUnsafe = never): URL {
  const url = URL.parse(text);
  const refuse = (why: string, hint: string): TransshipError =>
    new TransshipError('REDIRECT_REFUSED', `the layer URL ${clipped(redactUrl(text))} ${why}`, {
      side: 'source',
      hint,
    });
  const ask =
    'whoever built the image wrote this URL; leave the image out, or push its layer to the source';
  if (url === null) throw refuse('is not a URL', ask);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refuse('is not http or https', ask);
  if (url.username !== '' || url.password !== '') throw refuse('contains credentials', ask);
  url.hash = '';
  const danger = dangerOf(new URL('https://public.invalid/'), url);
  if (danger === undefined || allowsUnsafeRedirects(url.host)) return url;
  throw refuse(danger, `if this is intended, allow it with --allow-unsafe-redirects ${url.host}`);
}

/** The `ledBy` of a request to a URL that a server named; undefined: it is the server's own, or the user permits it. */
export function leaderTo(
  url: URL,
  {hostname, host}: URL,
  allowsUnsafe: AllowsUnsafe = never,
): string | undefined {
  return hostname === url.hostname || allowsUnsafe(host) ? undefined : host;
}

/** Whether the user allows unsafe redirects from this host. */
type AllowsUnsafe = (host: string) => boolean;

const never: AllowsUnsafe = () => false;

/**
 * Resolves a URL that a server names for the next request, and refuses unsafe ones: another protocol, http after https,
 * or a private address named by a host of another network. The user may allow the last two for a host. Which headers
 * the next request carries is decided by `Redirects.next`.
 * @throws TransshipError REDIRECT_REFUSED
 */
export function resolveHop(
  location: string,
  request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
  kind: HopKind = 'redirect',
  allowsUnsafeRedirects: AllowsUnsafe = never,
): URL {
  const from = request.url;
  const to = URL.parse(location, from.href);
  if (!to) throw refused(request, kind, 'is not a URL');
  to.hash = '';
  if (to.protocol !== 'https:' && to.protocol !== 'http:') {
    throw refused(request, kind, `leads to ${to.protocol}`);
  }
  if (to.username !== '' || to.password !== '')
    throw refused(request, kind, 'contains credentials');
  const danger = dangerOf(from, to);
  if (danger === undefined || allowsUnsafeRedirects(from.host)) return to;
  const hint = `if this is intended, allow it with --allow-unsafe-redirects ${from.host}; otherwise ${ASK}`;
  throw refused(request, kind, danger, hint);
}

/** Why a redirect from one URL to the other is unsafe; undefined: it is safe. */
function dangerOf(from: URL, to: URL): string | undefined {
  const [fromKind, toKind] = [from, to].map(({host}) => addressKind(hostnameOf(host)));
  const isNear = fromKind === 'loopback' && toKind === 'loopback';
  if (from.protocol === 'https:' && to.protocol === 'http:' && !isNear) {
    return `leads from https to ${redactUrl(to)}`;
  }
  // A server on this machine can reach the machine's networks itself. But loopback may also be the end of a tunnel to
  // any registry, which must not name the link-local addresses of cloud metadata services.
  const isReachable = fromKind === 'loopback' && toKind !== 'link-local';
  const isWithin = toKind === undefined || toKind === fromKind || isReachable;
  return isWithin || to.hostname === from.hostname
    ? undefined
    : `leads to the ${toKind} address ${to.host}`;
}

/**
 * Path and query of a redirect as the server wrote them, if `URL` would change them (`'` becomes `%27`): storage
 * signatures cover each character. Undefined: `URL` does not change them.
 */
function rawTarget(location: string, url: URL): string | undefined {
  const query = /^[^?#]*(\?[^#]*)/.exec(location)?.[1] ?? '';
  return query === url.search || !/^[\x21-\x7e]*$/.test(query) ? undefined : url.pathname + query;
}

const ASK =
  'the registry or a proxy in front of it is misconfigured or malicious; ask its administrator';

function refused(
  request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
  kind: HopKind,
  why: string,
  hint = ASK,
): TransshipError {
  const message = `${describeRequest(request)}: the ${kind} ${why}`;
  return new TransshipError('REDIRECT_REFUSED', message, {side: request.side, hint});
}
