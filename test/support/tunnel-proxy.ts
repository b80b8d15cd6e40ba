import {once} from 'node:events';
import {createServer} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import {type AddressInfo, connect, type Socket} from 'node:net';

export interface TunnelProxy extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, or `https:` with TLS of its own. */
  readonly url: string;
  /** `host:port`, as asked for. */
  readonly targets: readonly string[];
}

/** A proxy that makes tunnels (RFC 9110, section 9.3.6), to ports of this machine whatever their hosts are called. */
export async function startTunnelProxy(
  tls?: Readonly<Record<'cert' | 'key', string>>,
): Promise<TunnelProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = tls ? createTlsServer({...tls}) : createServer();
  server.on('request', (_request, response) => response.writeHead(501).end());
  server.on('connect', (request, client: Socket) => {
    targets.push(request.url ?? '');
    const target = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(target).pipe(client);
    });
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
