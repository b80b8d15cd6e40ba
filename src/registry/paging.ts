import type {HttpAnswer} from '../http/answer.ts';
import {nextLink} from '../http/link.ts';
import {TransshipError} from '../model/error.ts';
import type {Connection, RegistryRequest} from './connection.ts';

/** Names asked for per page; a registry may give fewer or all. */
export const PAGE_SIZE = 1000;

/**
 * Follows a listing over its pages (distribution-spec, "Listing Tags", `Link` with `rel="next"`). Pages without end
 * are an error, and so is a next page that was there before.
 * @param first where the listing begins; every page is asked for in the same way
 */
export async function* pages(
  connection: Connection,
  first: RegistryRequest,
): AsyncGenerator<HttpAnswer> {
  const visited = new Set<string>();
  let {target} = first;
  for (;;) {
    const answer = await connection.send({...first, target, readLimit: PAGE_LIMIT});
    yield answer;
    const link = answer.status === 200 ? nextLink(answer.header('link')) : undefined;
    if (link === undefined) return;
    const next = nextPage(link, answer);
    visited.add(pathOf(answer.request.url));
    if (visited.has(pathOf(next))) throw circle(connection, next);
    target = next;
  }
}

/** Registries behind a proxy name hosts of their own for the next page; it is where the last one was. */
function nextPage(link: string, answer: HttpAnswer): URL {
  const {url} = answer.request;
  const next = URL.parse(link, url.href);
  if (!next) throw unreadable(answer, 'names a next page that is not a URL');
  return new URL(pathOf(next), url.origin);
}

function pathOf({pathname, search}: URL): string {
  return pathname + search;
}

/** The most of one page that is read, in bytes: registries that page not at all send everything at once. */
export const PAGE_LIMIT = 32 * 1024 * 1024;

/** @throws TransshipError RESPONSE_INVALID */
export async function readPage(answer: HttpAnswer): Promise<unknown> {
  const {bytes, complete} = await answer.read(PAGE_LIMIT);
  try {
    if (complete) return JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw unreadable(answer, 'is not JSON', cause);
  }
  throw unreadable(answer, `is larger than ${PAGE_LIMIT} bytes`);
}

/** A page in HTML, whatever its status, is no registry's: a web application before it, or in its place, answers. */
export function unreadable(answer: HttpAnswer, why: string, cause?: unknown): TransshipError {
  const {request, status} = answer;
  const isHtml = /^text\/html\b/i.test(answer.header('content-type') ?? '');
  const list = `the list at ${request.url.host}${request.url.pathname}`;
  return new TransshipError(isHtml ? 'NOT_A_REGISTRY' : 'RESPONSE_INVALID', `${list} ${why}`, {
    side: request.side,
    hint: 'check host and port: is it a registry?',
    status,
    cause,
  });
}

function circle(connection: Connection, next: URL): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `the list at ${connection.host}${next.pathname} runs in a circle: its next page was there before`,
    {side: connection.side, hint: 'this is a defect of the registry; ask its administrator'},
  );
}
