import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Answer} from './exchange.ts';
import type {RequestLog} from './request-log.ts';
import {serve} from './serve.ts';

/** A server on the loopback interface. */
export interface HttpServer extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Breaks all connections, and settles when the last request has ended. */
  close(): Promise<void>;
}

/** Longer than clients keep a connection, so that it is they who close it. */
const KEEP_ALIVE_MS = 120_000;

/**
 * Listens on 127.0.0.1 and gives each request to `answer`.
 * @param port 0: a free one
 */
export async function startHttpServer(
  port: number,
  log: RequestLog,
  answer: Answer,
): Promise<HttpServer> {
  const underWay = new Set<Promise<void>>();
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    const work = serve(request, response, count, answer, log);
    underWay.add(work);
    void work.then(() => underWay.delete(work));
  });
  // A chunk of a slow upload may take any time.
  server.requestTimeout = 0;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    await Promise.all(underWay);
  };
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {host, close, [Symbol.asyncDispose]: close};
}
