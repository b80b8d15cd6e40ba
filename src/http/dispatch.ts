import type {AnswerData} from './answer.ts';
import type {BulkRequest} from './bulk-exchange.ts';
import type {Channel, Timeouts} from './dispatchers.ts';
import {type HttpBody, type HttpRequest, LARGE_BODY} from './message.ts';
import {answerTo} from './answer-handler.ts';

/** A request's body, opened. */
export type Content = Uint8Array | AsyncIterable<Uint8Array>;

interface Outgoing {
  readonly request: HttpRequest;
  /** Of its URL, which takes time to make it. */
  readonly origin: string;
  readonly content: Content | undefined;
}

/**
 * Sends a request once, over the connections that fit its bodies.
 * @throws the errors of Node and undici, as `networkError` understands them; what the body throws
 */
export async function dispatch(
  {request, origin, content}: Outgoing,
  {dispatcher, bulk}: Channel,
  timeouts: Timeouts,
): Promise<AnswerData> {
  const {method, url, body, signal, headersTimeoutMs = timeouts.headersMs} = request;
  const headersMs = headersTimeoutMs + (request.moreHeadersMs ?? 0);
  const {target = `${url.pathname}${url.search}`} = request;
  const headers = headersOf(request);
  if (bulk && isBulk(request)) {
    return bulk.request({
      method,
      target,
      headers: {host: url.host, ...headers},
      ...(body && content && {body: {length: lengthOf(body), chunks: chunksOf(content)}}),
      signal,
      headersMs,
      idleMs: timeouts.bodyIdleMs,
    });
  }
  return await answerTo(
    dispatcher,
    {
      origin,
      path: target,
      method,
      headers,
      body: content ?? null,
      // Undici would close the connection after each HEAD, lest a body follows that should not be there.
      reset: false,
      headersTimeout: headersMs,
    },
    signal,
  );
}

/** Whether a large body goes one way or the other, or does so before or after this. */
function isBulk({body, answerSize = 0, uploadSize = 0}: HttpRequest): boolean {
  return Math.max(answerSize, uploadSize, body ? lengthOf(body) : 0) > LARGE_BODY;
}

const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

function headersOf(request: HttpRequest): Record<string, string> {
  const {method, headers, originHeaders, authorization, body} = request;
  // Where a body could be, its length is said to be 0 (RFC 9110, section 8.6).
  const length = body ? lengthOf(body) : WITH_BODY.has(method) ? 0 : undefined;
  return {
    'accept-encoding': 'identity',
    'user-agent': 'transship',
    ...headers,
    ...originHeaders,
    ...(authorization === undefined ? {} : {authorization}),
    ...(length === undefined ? {} : {'content-length': String(length)}),
  };
}

function lengthOf(body: HttpBody): number {
  return body.kind === 'bytes' ? body.bytes.byteLength : body.length;
}

function chunksOf(content: Content): Exclude<BulkRequest['body'], undefined>['chunks'] {
  if (!(content instanceof Uint8Array)) return content;
  return content.byteLength > 0 ? [content] : [];
}
