import {errors} from 'undici';
import {BodyDecoder} from './body-decoder.ts';
import type {BulkConnection} from './bulk-connection.ts';
import type {BodyFraming} from './response-head.ts';
import {Watch} from './watch.ts';

/** How a body came to its end: with a connection that is as before, or with one that is of no more use. */
export type BodyEnd = 'whole' | 'broken';

/** The body of an answer, once. Each piece is borrowed: it is overwritten when the next one is asked for. */
export class BulkBody implements AsyncIterator<Uint8Array, undefined> {
  readonly #connection: BulkConnection;
  readonly #endsWithConnection: boolean;
  readonly #decoder: BodyDecoder;
  readonly #idleMs: number;
  readonly #watch = new Watch();
  readonly #ended: (end: BodyEnd) => void;
  readonly #late = (): void => this.#connection.destroy(new errors.BodyTimeoutError());
  #isOver = false;

  /**
   * @param idleMs how long may pass without a byte
   * @param ended told once, when nothing of the connection is lent any more
   */
  constructor(
    connection: BulkConnection,
    framing: BodyFraming,
    idleMs: number,
    ended: (end: BodyEnd) => void,
  ) {
    this.#connection = connection;
    this.#endsWithConnection = framing.kind === 'close';
    this.#decoder = new BodyDecoder(framing);
    this.#idleMs = idleMs;
    this.#ended = ended;
  }

  /** Whether all of it was given away; the last piece may still be lent. */
  get isComplete(): boolean {
    return this.#decoder.isOver;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isOver) return {done: true, value: undefined};
    try {
      while (!this.#decoder.isOver) {
        this.#watch.start(this.#idleMs, this.#late);
        const bytes = await this.#connection.read();
        this.#watch.stop();
        if (bytes === undefined) {
          if (this.#endsWithConnection) break;
          throw new errors.SocketError('other side closed');
        }
        const {content, used} = this.#decoder.take(bytes);
        this.#connection.unread(bytes.byteLength - used);
        if (content.byteLength > 0) return {done: false, value: content};
      }
    } catch (error) {
      this.#end('broken');
      throw error;
    }
    this.#end(this.#endsWithConnection ? 'broken' : 'whole');
    return {done: true, value: undefined};
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#end(this.isComplete ? 'whole' : 'broken');
    return Promise.resolve({done: true, value: undefined});
  }

  #end(end: BodyEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch.end();
    this.#ended(end);
  }
}
