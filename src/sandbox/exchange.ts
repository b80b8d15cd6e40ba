import type {IncomingHttpHeaders} from 'node:http';
import type {Socket} from 'node:net';
import type {Reply} from './reply.ts';
import type {Route} from './route.ts';

/** One request on its way through the sandbox. */
export interface Exchange {
  readonly method: string;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly route: Route;
  /** Requests are counted from 1, in the order in which they arrive. */
  readonly number: number;
  /** `http://host`, as the client calls this server: it may stand behind a proxy. */
  readonly origin: string;
  /** Aborted when the answer was sent or the connection is gone: every wait ends then. */
  readonly signal: AbortSignal;
  /** For faults below HTTP: `resetAndDestroy`, `pause`. */
  readonly socket: Socket;
  /** The request's body, to be read once. An interceptor may put another in its place. */
  body: AsyncIterable<Uint8Array>;
}

/** Answers an exchange. */
export type Answer = (exchange: Exchange) => Promise<Reply>;

/**
 * Stands between the wire and the registry, for scripted faults. It may answer by itself, change what `next` answers,
 * cut either body (`exchange.body`, `reply.body`) short, wait, or break the connection.
 */
export type Intercept = (exchange: Exchange, next: () => Promise<Reply>) => Promise<Reply>;
