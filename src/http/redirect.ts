import {clipped, TransshipError} from '../model/error.ts';
import {addressKind, hostnameOf} from './origin.ts';
import {describeRequest, type HttpRequest, isRepeatable} from './message.ts';
import {redactUrl} from './redaction.ts';

/** Redirects of one request, at most. */
const REDIRECT_LIMIT = 6;

/** The redirects of one request: checks each hop and returns the next request. */
export class Redirects {
  readonly #visited = new Set<string>();
  readonly #mayLeadAnywhere: MayLeadAnywhere;

  constructor(mayLeadAnywhere: MayLeadAnywhere = nobody) {
    this.#mayLeadAnywhere = mayLeadAnywhere;
  }

  /**
   * The request that follows a 3xx answer; undefined if the response is final: the redirect would change the method of
   * a write, or the body cannot be sent again.
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
    const url = resolveHop(location, request, 'redirect', this.#mayLeadAnywhere);
    const ledBy = request.ledBy ?? leaderTo(url, request.url, this.#mayLeadAnywhere);
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

/** What names the next URL, in the words of messages. */
type HopKind = 'redirect' | 'upload location' | 'realm of the token service';

/**
 * A URL from a manifest, which anybody may have written: the rules are those of a redirect from a public host. The user may
 * allow the URL's host.
 * @throws TransshipError REDIRECT_REFUSED
 */
export function resolveLayerUrl(text: string, mayLeadAnywhere: MayLeadAnywhere = nobody): URL {
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
  if (danger === undefined || mayLeadAnywhere(url.host)) return url;
  throw refuse(danger, `if this is intended, allow it with --allow-unsafe-redirects ${url.host}`);
}

/** The `ledBy` of a request to a URL that a server named; undefined: it is the server's own, or the user permits it. */
export function leaderTo(
  url: URL,
  {hostname, host}: URL,
  mayLeadAnywhere: MayLeadAnywhere = nobody,
): string | undefined {
  return hostname === url.hostname || mayLeadAnywhere(host) ? undefined : host;
}

/** Whether the user allows unsafe redirects from this host. */
type MayLeadAnywhere = (host: string) => boolean;

const nobody: MayLeadAnywhere = () => false;

/**
 * Resolves the next URL that a server names, and refuses those that no registry has a reason to name: another protocol,
 * http after https, or a private address named by a host of another network. The user may allow the last two for a
 * host. Credentials are handled elsewhere.
 * @throws TransshipError REDIRECT_REFUSED
 */
export function resolveHop(
  location: string,
  request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
  kind: HopKind = 'redirect',
  mayLeadAnywhere: MayLeadAnywhere = nobody,
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
  if (danger === undefined || mayLeadAnywhere(from.host)) return to;
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
  // What runs on this machine sees its networks anyway. A tunnel's end is on loopback, too, with any registry behind it:
  // the metadata services of clouds, at link-local addresses, are not for it to name.
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
