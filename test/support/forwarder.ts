import {once} from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request as openRequest,
  type ServerResponse,
} from 'node:http';
import type {AddressInfo} from 'node:net';

/** A point in the traffic: a request, and how far it has got. */
export interface Moment {
  /** From 1; for `during` only requests with a body are counted. */
  readonly number: number;
  /** `before` it is passed on; `during` its body, half of it passed on; `after`: answered, and the answer kept back. */
  readonly when: 'before' | 'during' | 'after';
}

export interface Forwarded {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly hasBody: boolean;
  /** Bytes of the request's body that were passed on. */
  sent: number;
}

/** Stands before a registry, counts, and stops the world at a chosen moment. */
export interface Forwarder extends AsyncDisposable {
  readonly host: string;
  /** What was passed on, oldest first. */
  readonly requests: readonly Forwarded[];
  forget(): void;
  /** Settles when nothing is on its way any more. */
  idle(): Promise<void>;
  /** Calls `act` at that moment; the request ends there, without an answer. */
  at(moment: Moment, act: (request: Forwarded) => Promise<void>): void;
}

/** @param target `127.0.0.1:PORT` of a registry that makes its URLs of the Host header */
export async function startForwarder(target: string): Promise<Forwarder> {
  let requests: Forwarded[] = [];
  let trap:
    | {readonly moment: Moment; readonly act: (request: Forwarded) => Promise<void>}
    | undefined;
  const underWay = new Set<Promise<void>>();
  /** Requests of the kind that a moment counts. */
  let count = 0;
  const isChosen = ({hasBody}: Forwarded): boolean => {
    if (trap === undefined || (trap.moment.when === 'during' && !hasBody)) return false;
    count += 1;
    return count === trap.moment.number;
  };

  const forward = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const {method = '', url = '', headers} = incoming;
    const length = Number(headers['content-length'] ?? 0);
    const entry: Forwarded = {method, path: url, hasBody: length > 0, sent: 0};
    requests.push(entry);
    const chosen = isChosen(entry) ? trap : undefined;
    if (chosen?.moment.when === 'before') return chosen.act(entry);
    const [hostname, port] = target.split(':');
    const outgoing = openRequest({hostname, port, method, path: url, headers, agent: false});
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    try {
      const half = Math.ceil(length / 2);
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        if (chosen?.moment.when === 'during' && entry.sent + chunk.byteLength >= half) {
          const piece = chunk.subarray(0, half - entry.sent);
          await new Promise((resolve) => outgoing.write(piece, resolve));
          entry.sent += piece.byteLength;
          await chosen.act(entry);
          outgoing.destroy();
          return;
        }
        entry.sent += chunk.byteLength;
        if (!outgoing.write(chunk)) await once(outgoing, 'drain');
      }
    } catch (error) {
      // The registry sees the connection end as well.
      outgoing.destroy();
      throw error;
    }
    outgoing.end();
    const [answer] = await answered;
    if (chosen !== undefined) {
      answer.resume();
      return chosen.act(entry);
    }
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    for await (const chunk of answer) response.write(chunk);
    response.end();
  };

  const server = createServer((incoming, response) => {
    incoming.on('error', () => undefined);
    const work = forward(incoming, response)
      // Whatever broke, the client sees its connection end.
      .catch(() => undefined)
      .finally(() => {
        if (!response.writableEnded) response.destroy();
        underWay.delete(work);
      });
    underWay.add(work);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    forget() {
      requests = [];
      count = 0;
      trap = undefined;
    },
    async idle() {
      await Promise.all(underWay);
    },
    at(moment, act) {
      trap = {moment, act};
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
