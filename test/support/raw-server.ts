import {once} from 'node:events';
import {type AddressInfo, createServer, type Socket} from 'node:net';

/** A server that speaks no protocol of its own. */
export interface RawServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/` */
  readonly url: string;
  /** Of all connections, in the order in which they were made. */
  readonly sockets: readonly Socket[];
}

/** @param onData told each piece that comes on a connection, and the connection's number, from 1 */
export async function startRawServer(
  onData: (socket: Socket, text: string, connection: number) => void,
): Promise<RawServer> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => onData(socket, bytes.toString('latin1'), connection));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
