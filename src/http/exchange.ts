import type {Dispatcher} from 'undici';
import {BodyDecoder} from './body-decoder.ts';
import {HeadReader} from './head-reader.ts';
import type {ResponseHead} from './response-head.ts';

export type Handler = Dispatcher.DispatchHandler;
export type Controller = Dispatcher.DispatchController;

/** What a handler may want of the connection that its answer comes from. */
export interface Line {
  pause(): void;
  resume(): void;
  destroy(reason: Error): void;
}

/** One request on a connection, and its answer, which goes to the handler as it comes. */
export class Exchange implements Controller {
  readonly #handler: Handler;
  readonly #headReader: HeadReader;
  #line: Line | undefined;
  #head: ResponseHead | undefined;
  #decoder: BodyDecoder | undefined;
  #reason: Error | null = null;
  #isPaused = false;

  /** @param method of the request */
  constructor(method: string, handler: Handler) {
    this.#handler = handler;
    this.#headReader = new HeadReader(method);
  }

  get aborted(): boolean {
    return this.#reason !== null;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  get paused(): boolean {
    return this.#isPaused;
  }

  /** Of the answer, as soon as it is there. */
  get head(): ResponseHead | undefined {
    return this.#head;
  }

  get isOver(): boolean {
    return this.#decoder?.isOver === true;
  }

  /** Tells the handler that its turn has come. It may not be wanted any more: then it is `aborted`. */
  begin(): void {
    this.#handler.onRequestStart?.(this, undefined);
  }

  /** From now on the answer comes over this line. */
  comesOver(line: Line): void {
    this.#line = line;
  }

  /**
   * Takes bytes of the answer, from their beginning.
   * @returns how many: all, unless it is over
   * @throws Error with a code of llhttp, where they are not HTTP
   */
  take(bytes: Uint8Array): number {
    let used = 0;
    if (this.#decoder === undefined) {
      const found = this.#headReader.take(bytes);
      used = found.used;
      if (found.head === undefined) return used;
      this.#head = found.head;
      this.#decoder = new BodyDecoder(found.head.body);
      this.#handler.onResponseStart?.(this, found.head.status, found.head.headers);
    }
    // A handler may have had enough of it.
    while (used < bytes.byteLength && !this.#decoder.isOver && !this.aborted) {
      const {content, used: more} = this.#decoder.take(bytes.subarray(used));
      used += more;
      // Copied, as the connection reads on into the same memory.
      if (content.byteLength > 0) this.#handler.onResponseData?.(this, Buffer.from(content));
    }
    return used;
  }

  end(): void {
    this.#line = undefined;
    this.#handler.onResponseEnd?.(this, {});
  }

  fail(error: Error): void {
    this.#line = undefined;
    this.#handler.onResponseError?.(this, error);
  }

  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#line?.destroy(reason);
  }

  pause(): void {
    this.#isPaused = true;
    this.#line?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#line?.resume();
  }
}
