import {randomUUID} from 'node:crypto';
import {bytesReply, emptyReply, type Exchange, jsonReply, type Reply} from '../exchange.ts';
import type {Gates} from './fault-script.ts';
import type {Fault} from './fault.ts';

type Next = () => Promise<Reply>;

/** The consequences of earlier faults for later requests. */
export interface FaultState {
  readonly gates: Gates;
  /** Ids of lost uploads. */
  readonly lostUploads: Set<string>;
  /** Links in redirects; false: expired. */
  readonly links: Map<string, boolean>;
}

/** Applies a fault to an exchange. */
export async function inject(
  fault: Fault,
  exchange: Exchange,
  next: Next,
  state: FaultState,
): Promise<Reply> {
  switch (fault.kind) {
    case 'reset':
      return breakOff(exchange);
    case 'lose-answer':
      await next();
      return breakOff(exchange);
    case 'cut-request':
      exchange.body = cut(exchange.body, fault.after);
      await next().catch(() => undefined);
      return breakOff(exchange);
    case 'cut-answer':
      return withBody(await next(), (body) => cut(body, fault.after));
    case 'flip-bit':
      return withBody(await next(), (body) => flipped(body, fault.at));
    case 'stall': {
      const wait = () => state.gates.wait(fault.gate, exchange.signal);
      if (fault.body === 'answer')
        return withBody(await next(), (body) => marked(body, fault.after, wait));
      exchange.body = marked(exchange.body, fault.after, wait);
      return next();
    }
    case 'refuse':
      await readSome(exchange.body, fault.after);
      return error(fault.status, fault.code, fault.headers);
    case 'answer':
      if (fault.carriedOut) await next();
      else await readSome(exchange.body, Number.POSITIVE_INFINITY);
      return bytesReply(fault.status, Buffer.from(fault.text), fault.headers);
    case 'lose-upload':
      return loseUpload(exchange, state);
    case 'refuse-digest':
      await readSome(exchange.body, Number.POSITIVE_INFINITY);
      loseUpload(exchange, state);
      return error(400, 'DIGEST_INVALID');
    case 'wrong-offset':
      return withOffset(await next(), fault.by);
    case 'decline-mount':
      exchange.query.delete('mount');
      return next();
    case 'https-location':
      return withHttps(await next(), exchange);
    case 'redirect':
      return redirect(exchange, !fault.expired, state);
    case 'claim-present':
      return {status: 200, headers: {'content-length': '1'}};
  }
}

/** The query parameter that identifies the link of a redirect. */
export const LINK_PARAMETER = 'fault-link';

export function uploadUnknown(): Reply {
  return error(404, 'BLOB_UPLOAD_UNKNOWN');
}

export function linkExpired(): Reply {
  const body = Buffer.from(
    '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
  );
  return {
    status: 403,
    headers: {'content-type': 'application/xml', 'content-length': String(body.byteLength)},
    body,
  };
}

function breakOff({socket}: Exchange): never {
  socket.resetAndDestroy();
  throw new Error('broken off by a fault');
}

function error(status: number, code: string, headers: Reply['headers'] = {}): Reply {
  return jsonReply(status, {errors: [{code, message: 'refused by a fault'}]}, headers);
}

function loseUpload({route}: Exchange, {lostUploads}: FaultState): Reply {
  if (route.kind === 'upload') lostUploads.add(route.id);
  return uploadUnknown();
}

function withBody(
  reply: Reply,
  change: (body: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Reply {
  const {body} = reply;
  if (body === undefined) return reply;
  return {...reply, body: () => change(typeof body === 'function' ? body() : once(body))};
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function withOffset(reply: Reply, by: number): Reply {
  const last = /^0-(\d+)$/.exec(String(reply.headers['range'] ?? ''))?.[1];
  if (last === undefined) return reply;
  return {...reply, headers: {...reply.headers, range: `0-${Math.max(0, Number(last) + by)}`}};
}

function withHttps(reply: Reply, {origin}: Exchange): Reply {
  const location = reply.headers['location'];
  if (typeof location !== 'string') return reply;
  const url = new URL(location, origin);
  url.protocol = 'https:';
  return {...reply, headers: {...reply.headers, location: url.href}};
}

function redirect(exchange: Exchange, works: boolean, {links}: FaultState): Reply {
  const link = randomUUID();
  links.set(link, works);
  // Another name of the same server is another origin.
  const url = new URL(exchange.path, exchange.origin);
  url.hostname = 'localhost';
  url.searchParams.set(LINK_PARAMETER, link);
  return emptyReply(307, {location: url.href});
}

type Body = AsyncIterable<Uint8Array>;

/** Passes on `after` bytes, then calls `atMark` and passes on the rest. */
async function* marked(
  body: Body,
  after: number,
  atMark: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let left = after;
  let isPassed = false;
  for await (const chunk of body) {
    if (isPassed || chunk.byteLength < left) {
      left -= chunk.byteLength;
      yield chunk;
      continue;
    }
    isPassed = true;
    if (left > 0) yield chunk.subarray(0, left);
    await atMark();
    if (left < chunk.byteLength) yield chunk.subarray(left);
  }
}

/** Passes on `after` bytes, or a shorter body, then fails. */
async function* cut(body: Body, after: number): AsyncGenerator<Uint8Array> {
  yield* marked(body, after, () => Promise.reject(new Error('cut by a fault')));
  throw new Error('cut by a fault');
}

/** Changes one bit of the byte at `at`, if there is one. */
async function* flipped(body: Body, at: number): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of body) {
    const index = at - position;
    position += chunk.byteLength;
    if (index < 0 || index >= chunk.byteLength) {
      yield chunk;
    } else {
      const changed = Uint8Array.from(chunk);
      changed[index] = (changed[index] ?? 0) ^ 1;
      yield changed;
    }
  }
}

/** Reads `bytes` bytes of a body, or a shorter body to its end, and leaves the rest. */
async function readSome(body: Body, bytes: number): Promise<void> {
  if (bytes === 0) return;
  let left = bytes;
  for await (const chunk of body) {
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
}
