import {once} from 'node:events';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {finished} from 'node:stream/promises';
import type {Answer, Exchange} from './exchange.ts';
import {throwUnlessLocal} from './guard.ts';
import {Refusal, refusal} from './refusal.ts';
import type {Reply} from './reply.ts';
import type {RequestLog} from './request-log.ts';
import {parseRoute} from './route.ts';

/** Bytes of bodies that went through. */
interface Traffic {
  bytesIn: number;
  bytesOut: number;
}

/**
 * Serves one request and logs how it went; never rejects. What `answer` throws is answered too: a Refusal as it says,
 * anything else with 500.
 * @param number see `Exchange.number`
 */
export async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  number: number,
  answer: Answer,
  log: RequestLog,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('the connection was closed')));
  const traffic: Traffic = {bytesIn: 0, bytesOut: 0};
  const exchange = toExchange(request, number, gone.signal, traffic);
  const record = (status: number | undefined, failure: Error | undefined) =>
    log.add({
      number,
      method: exchange.method,
      path: request.url ?? '',
      kind: exchange.route.kind,
      status,
      ...traffic,
      range: request.headers.range,
      contentRange: request.headers['content-range'],
      failure: failure?.message,
    });
  let failure: Error | undefined;
  try {
    const guarded = async (): Promise<Reply> => {
      throwUnlessLocal(exchange.headers);
      return await answer(exchange);
    };
    const reply = await guarded().catch((error: unknown) => {
      if (error instanceof Refusal) return error.reply;
      failure = asError(error);
      return refusal(500, 'UNKNOWN', failure.message).reply;
    });
    gone.signal.throwIfAborted();
    await writeReply(response, reply, gone.signal, traffic);
    // Now, so that a client that has the whole answer finds it in the log.
    record(reply.status, failure);
  } catch (error) {
    record(response.headersSent ? response.statusCode : undefined, failure ?? asError(error));
    // The client gets what was sent before the body broke off, and then the end of the connection.
    request.socket.destroySoon();
    return;
  }
  response.end();
  // What was not read of the body is in the way of the connection's next request.
  request.resume();
  // A client that leaves before the last bytes is no concern of ours.
  await finished(response).catch(() => {});
}

function toExchange(
  request: IncomingMessage,
  number: number,
  signal: AbortSignal,
  traffic: Traffic,
): Exchange {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s);
  const {localAddress, localPort} = request.socket;
  return {
    method: request.method ?? '',
    path,
    query: new URLSearchParams(query),
    headers: request.headers,
    route: parseRoute(path),
    number,
    origin: `http://${request.headers.host ?? `${localAddress}:${localPort}`}`,
    signal,
    socket: request.socket,
    body: countedIn(request, traffic),
  };
}

/** Whoever stops reading half-way leaves the connection alone: the answer still has to get through. */
async function* countedIn(request: IncomingMessage, traffic: Traffic): AsyncGenerator<Uint8Array> {
  for await (const chunk of request.iterator({destroyOnReturn: false})) {
    traffic.bytesIn += chunk.byteLength;
    yield chunk;
  }
}

/** Writes all but the end of an answer. */
async function writeReply(
  response: ServerResponse,
  {status, headers, body}: Reply,
  signal: AbortSignal,
  traffic: Traffic,
): Promise<void> {
  response.setHeader('docker-distribution-api-version', 'registry/2.0');
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = status;
  const isBodyless = body === undefined || response.req.method === 'HEAD';
  for await (const chunk of isBodyless ? [] : chunksOf(body)) {
    traffic.bytesOut += chunk.byteLength;
    if (!response.write(chunk)) await once(response, 'drain', {signal});
  }
}

function chunksOf(body: NonNullable<Reply['body']>): AsyncIterable<Uint8Array> | [Uint8Array] {
  return typeof body === 'function' ? body() : [body];
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
