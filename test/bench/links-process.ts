import {connect, createServer, type Server, type Socket} from 'node:net';
import {DelayedLine, type LineSpeed} from './delayed-line.ts';

/**
 * The process in which the links are, so that their work is not counted as the work of what is measured. It does one
 * order after the other and answers each.
 */

/** What is asked of the process. `number` is the link's, chosen by who asks. */
export type Order =
  | {
      readonly kind: 'open';
      readonly number: number;
      readonly host: string;
      readonly port: number;
      readonly speed: LineSpeed;
    }
  | {readonly kind: 'count' | 'close'; readonly number: number};

/** The answer to `open` is the port that the link listens on. */
export interface Answer {
  readonly port: number;
  readonly connections: number;
  readonly up: number;
  readonly down: number;
}

interface OpenLink {
  readonly server: Server;
  readonly lines: {readonly up: DelayedLine; readonly down: DelayedLine}[];
  readonly sockets: Set<Socket>;
}

const links = new Map<number, OpenLink>();

async function open({host, port, speed}: Extract<Order, {kind: 'open'}>): Promise<OpenLink> {
  const lines: OpenLink['lines'] = [];
  const sockets = new Set<Socket>();
  const server = createServer({allowHalfOpen: true, noDelay: true}, (client) => {
    const target = connect({host, port, allowHalfOpen: true, noDelay: true});
    for (const socket of [client, target]) {
      sockets.add(socket);
      // A broken connection is what happens on lines; its end is passed on.
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    }
    const connected = performance.now() + speed.roundTripMs;
    const up = new DelayedLine(client, target, speed, connected);
    const down = new DelayedLine(target, client, speed, connected);
    lines.push({up, down});
    void closeAfter([up, down], [client, target]);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {server, lines, sockets};
}

async function closeAfter(both: readonly DelayedLine[], sockets: readonly Socket[]): Promise<void> {
  await Promise.all(both.map(({done}) => done));
  for (const socket of sockets) socket.destroySoon();
}

async function obey(order: Order): Promise<Answer> {
  if (order.kind === 'open') links.set(order.number, await open(order));
  const link = links.get(order.number);
  if (link === undefined) throw new Error(`there is no link ${order.number}`);
  const {server, lines, sockets} = link;
  if (order.kind === 'close') {
    links.delete(order.number);
    server.close();
    for (const socket of sockets) socket.destroy();
  }
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: lines.length,
    up: lines.reduce((sum, {up}) => sum + up.arrived, 0),
    down: lines.reduce((sum, {down}) => sum + down.arrived, 0),
  };
}

let before: Promise<unknown> = Promise.resolve();
process.on('message', (order: Order) => {
  before = before.then(async () => process.send?.(await obey(order)));
});
process.on('disconnect', () => process.exit());
