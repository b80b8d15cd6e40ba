/** Loaded only where there is a proxy. */
import type {Readable} from 'node:stream';
import {type Dispatcher, ProxyAgent} from 'undici';
import type {Controller, Handler} from './exchange.ts';
import type {DispatchedRequest, SmallDispatcher} from './small-dispatcher.ts';

/** Sends requests through a proxy. */
export function proxyDispatcher(options: ProxyAgent.Options): SmallDispatcher {
  const agent = new ProxyAgent(options).compose(endingWhenFree);
  return {
    dispatch: ({body, ...request}, handler) =>
      // Undici takes any async iterable; its types name streams only.
      agent.dispatch({...request, body: kept(body) as Readable | Uint8Array | null}, handler),
    destroy: () => agent.destroy(),
  };
}

/** Undici may ask for a piece while the one before is still in a socket's queue, and pieces may be borrowed. */
function kept(body: DispatchedRequest['body']): DispatchedRequest['body'] {
  return body === null || body instanceof Uint8Array ? body : copies(body);
}

async function* copies(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/**
 * Tells the end of an answer when undici can use the connection again: it gives it free one turn of the event loop later
 * (`onMessageComplete` in its lib/dispatcher/client-h1.js). A request that is begun at once would open another
 * connection, which takes two round trips with the proxy's.
 */
function endingWhenFree(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
  return (options, handler) => dispatch(options, new LateEnd(handler));
}

class LateEnd implements Handler {
  readonly #handler: Handler;

  constructor(handler: Handler) {
    this.#handler = handler;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#handler.onRequestStart?.(controller, context);
  }

  onResponseStart(...args: Parameters<NonNullable<Handler['onResponseStart']>>): void {
    this.#handler.onResponseStart?.(...args);
  }

  onResponseData(controller: Controller, piece: Buffer): void {
    this.#handler.onResponseData?.(controller, piece);
  }

  onResponseEnd(...args: Parameters<NonNullable<Handler['onResponseEnd']>>): void {
    // Undici's own immediate comes after the first of these, and before the second.
    setImmediate(() => setImmediate(() => this.#handler.onResponseEnd?.(...args)));
  }

  onResponseError(controller: Controller, error: Error): void {
    this.#handler.onResponseError?.(controller, error);
  }
}
