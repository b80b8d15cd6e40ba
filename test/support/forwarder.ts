import {once} from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request as openRequest,
  type ServerResponse,
} from 'node:http';
import type {AddressInfo} from 'node:net';

/** A point in the traffic: the request with this number (from 1), and how far it has got. */
export interface Moment {
  readonly number: number;
  /** `before` it is passed on; `during` its body, half of it passed on; `after`: answered, and the answer kept back. */
  readonly when: 'before' | 'during' | 'after';
}

export interface Forwarded {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  /** Bytes of the request's body that were passed on. */
  sent: number;
}

/** Stands before a registry, counts, and stops the world at a chosen moment. */
export interface Forwarder extends AsyncDisposable {
  readonly host: string;
  /** What was passed on, oldest first. */
  readonly requests: readonly Forwarded[];
  forget(): void;
  /** Calls `act` at that moment; the request ends there, without an answer. */
  at(moment: Moment, act: (request: Forwarded) => Promise<void>): void;
}

/** @param target `127.0.0.1:PORT` of a registry that makes its URLs of the Host header */
export async function startForwarder(target: string): Promise<Forwarder> {
  let requests: Forwarded[] = [];
  let trap:
    | {readonly moment: Moment; readonly act: (request: Forwarded) => Promise<void>}
    | undefined;
  let count = 0;
  const springs = (number: number, when: Moment['when']) =>
    trap?.moment.number === number && trap.moment.when === when;

  const forward = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    count += 1;
    const {method = '', url = '', headers} = incoming;
    const entry: Forwarded = {number: count, method, path: url, sent: 0};
    requests.push(entry);
    if (springs(entry.number, 'before')) return trap?.act(entry);
    const [hostname, port] = target.split(':');
    const outgoing = openRequest({hostname, port, method, path: url, headers, agent: false});
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    const half = Math.ceil(Number(headers['content-length'] ?? 0) / 2);
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      if (springs(entry.number, 'during') && entry.sent + chunk.byteLength >= half) {
        const piece = chunk.subarray(0, half - entry.sent);
        await new Promise((resolve) => outgoing.write(piece, resolve));
        entry.sent += piece.byteLength;
        await trap?.act(entry);
        outgoing.destroy();
        return;
      }
      entry.sent += chunk.byteLength;
      if (!outgoing.write(chunk)) await once(outgoing, 'drain');
    }
    outgoing.end();
    const [answer] = await answered;
    if (springs(entry.number, 'after')) {
      answer.resume();
      return trap?.act(entry);
    }
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    for await (const chunk of answer) response.write(chunk);
    response.end();
  };

  const server = createServer((incoming, response) => {
    incoming.on('error', () => undefined);
    forward(incoming, response)
      // Whatever broke, the client sees its connection end.
      .catch(() => undefined)
      .finally(() => {
        if (!response.writableEnded) response.destroy();
      });
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
