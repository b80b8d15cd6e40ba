import type {Dispatcher} from 'undici';
import type {Handler} from './exchange.ts';

/** A request as undici's dispatchers take it. */
export interface DispatchedRequest {
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly method: Dispatcher.HttpMethod;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | null;
  /** For the answer, once the body is sent, in ms. */
  readonly headersTimeout: number;
  /** Of undici's: whether the connection is to be closed after it. */
  readonly reset: false;
}

/** A dispatcher of undici's, or one that works by its contract. */
export interface SmallDispatcher {
  /** What becomes of the request, its handler is told. @returns whether more can be sent now, as undici says it */
  dispatch(request: DispatchedRequest, handler: Handler): boolean;
  /**
   * So many requests are about to come, when an answer has come: where that takes time, connections for them are opened
   * meanwhile. 0: it has come, or never will.
   */
  expect?(count: number): void;
  /** Breaks what is still under way, and lets nothing begin. */
  destroy(): Promise<void>;
}
