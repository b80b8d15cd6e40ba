import type {Socket} from 'node:net';

/** How a line behaves, in each direction of each of its connections. */
export interface LineSpeed {
  /** From one end to the other and back, in ms. */
  readonly roundTripMs: number;
  /** Undefined: as fast as the machine. */
  readonly bytesPerSecond?: number | undefined;
}

/** Bytes that are under way at most in one direction of a connection: about the largest TCP window of Linux. */
const WINDOW = 4 * 1024 * 1024;

/** One direction of a connection: passes on what it receives half a round trip later, and no faster than the line. */
export class DelayedLine {
  /** Bytes that have arrived. */
  arrived = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #speed: LineSpeed;
  readonly #done = Promise.withResolvers<void>();
  readonly #underWay: {readonly due: number; readonly chunk: Buffer | 'end'}[] = [];
  #bytesUnderWay = 0;
  /** When the last byte that was sent is on the line, in ms of `performance.now`. */
  #freeAt: number;
  /** Delivers are waited for: by a timer, or until `to` takes more. */
  #isWaiting = false;

  /** @param notBefore nothing leaves before this time: the handshake takes its round trip too */
  constructor(from: Socket, to: Socket, speed: LineSpeed, notBefore: number) {
    this.#from = from;
    this.#to = to;
    this.#speed = speed;
    this.#freeAt = notBefore;
    from.on('data', (chunk) => this.#send(chunk));
    // The end of a killed process as well: what it sent before still arrives.
    from.once('end', () => this.#send('end'));
    from.once('close', () => this.#send('end'));
    to.once('close', () => {
      from.pause();
      this.#done.resolve();
    });
  }

  /** Resolves when the end has arrived, or nobody is there to receive it. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  #send(chunk: Buffer | 'end'): void {
    const {roundTripMs, bytesPerSecond = Infinity} = this.#speed;
    this.#freeAt = Math.max(this.#freeAt, performance.now());
    if (chunk !== 'end') {
      this.#freeAt += (chunk.byteLength * 1000) / bytesPerSecond;
      this.#bytesUnderWay += chunk.byteLength;
      if (this.#bytesUnderWay >= WINDOW) this.#from.pause();
    }
    this.#underWay.push({due: this.#freeAt + roundTripMs / 2, chunk});
    if (!this.#isWaiting) this.#deliver();
  }

  #deliver(): void {
    this.#isWaiting = false;
    for (let next = this.#underWay[0]; next !== undefined; next = this.#underWay[0]) {
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.#isWaiting = true;
        setTimeout(() => this.#deliver(), wait);
        return;
      }
      this.#underWay.shift();
      if (next.chunk === 'end') {
        this.#to.end();
        this.#done.resolve();
        return;
      }
      this.arrived += next.chunk.byteLength;
      this.#bytesUnderWay -= next.chunk.byteLength;
      if (this.#bytesUnderWay < WINDOW / 2 && !this.#to.destroyed) this.#from.resume();
      if (!this.#to.write(next.chunk)) {
        this.#isWaiting = true;
        this.#to.once('drain', () => this.#deliver());
        return;
      }
    }
  }
}
