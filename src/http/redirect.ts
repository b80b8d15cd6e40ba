import {TransshipError} from '../model/error.ts';
import {hostnameOf, isPrivateAddress} from './origin.ts';
import {describeRequest, type HttpRequest, isRepeatable} from './message.ts';
import {redactUrl} from './redaction.ts';

/** Redirects of one request, at most. */
const REDIRECT_LIMIT = 6;

/** The redirects of one request: checks each hop and says with what to go on. */
export class Redirects {
  readonly #visited = new Set<string>();

  /**
   * The request that follows a 3xx answer; undefined where the answer has to be taken as it is: a redirect that
   * would change the method of a write, or one whose body cannot be sent again.
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
    const url = resolveHop(location, request);
    this.#visited.add(`${request.method} ${request.url.href}`);
    if (this.#visited.has(`${request.method} ${url.href}`))
      throw refused(request, 'runs in a circle');
    if (this.#visited.size > REDIRECT_LIMIT) {
      throw refused(request, `is the last of more than ${REDIRECT_LIMIT}`);
    }
    if (url.origin === request.url.origin) return {...request, url};
    // Once the chain has left the origin, what was for it alone is gone, also for a hop back.
    const {authorization: _authorization, originHeaders: _originHeaders, ...rest} = request;
    return {...rest, url};
  }
}

/**
 * Resolves what a server names as the next URL, and refuses what no registry has a reason to name: another protocol,
 * http after https, a private address on the word of a public host.
 * @throws TransshipError REDIRECT_REFUSED
 */
export function resolveHop(
  location: string,
  request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
): URL {
  const from = request.url;
  const to = URL.parse(location, from.href);
  if (!to) throw refused(request, 'is not a URL');
  to.hash = '';
  if (to.protocol !== 'https:' && to.protocol !== 'http:') {
    throw refused(request, `leads to ${to.protocol}`);
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw refused(request, `leads from https to ${redactUrl(to)}`);
  }
  if (to.username !== '' || to.password !== '') throw refused(request, 'carries a user name');
  const isElsewhere = to.hostname !== from.hostname;
  if (isElsewhere && isPrivate(to) && !isPrivate(from)) {
    throw refused(request, `leads to the private address ${to.host}`);
  }
  return to;
}

function isPrivate({host}: URL): boolean {
  return isPrivateAddress(hostnameOf(host));
}

function refused(
  request: Pick<HttpRequest, 'method' | 'url' | 'side'>,
  why: string,
): TransshipError {
  return new TransshipError(
    'REDIRECT_REFUSED',
    `${describeRequest(request)}: the redirect ${why}`,
    {
      side: request.side,
      hint: 'the registry, or a proxy before it, is set up wrong or not to be trusted; ask its administrator',
    },
  );
}
