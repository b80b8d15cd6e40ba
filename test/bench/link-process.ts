import {connect, createServer, type Socket} from 'node:net';
import {DelayedLine, type LineSpeed} from './delayed-line.ts';

/**
 * A process of its own, so that the work of the line is not counted as the work of what is measured. It gets its
 * settings as one argument, says `{port}` when it listens and answers every message with its counts.
 */

const {host, port, ...speed} = JSON.parse(process.argv[2] ?? '') as LineSpeed & {
  readonly host: string;
  readonly port: number;
};
const lines: {readonly up: DelayedLine; readonly down: DelayedLine}[] = [];

async function closeAfter(both: readonly DelayedLine[], sockets: readonly Socket[]): Promise<void> {
  await Promise.all(both.map(({done}) => done));
  for (const socket of sockets) socket.destroySoon();
}

const server = createServer({allowHalfOpen: true, noDelay: true}, (client) => {
  const target = connect({host, port, allowHalfOpen: true, noDelay: true});
  // A broken connection is what happens on lines; its end is passed on.
  for (const socket of [client, target]) socket.on('error', () => undefined);
  const connected = performance.now() + speed.roundTripMs;
  const up = new DelayedLine(client, target, speed, connected);
  const down = new DelayedLine(target, client, speed, connected);
  lines.push({up, down});
  void closeAfter([up, down], [client, target]);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({port: typeof address === 'object' ? address?.port : undefined});
});
process.on('message', () => {
  process.send?.({
    connections: lines.length,
    up: lines.reduce((sum, {up}) => sum + up.arrived, 0),
    down: lines.reduce((sum, {down}) => sum + down.arrived, 0),
  });
});
process.on('disconnect', () => process.exit());
