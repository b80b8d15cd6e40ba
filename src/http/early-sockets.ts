import {connect, type OnReadOpts, type Socket} from 'node:net';

/** What all connections have, over TLS or not. */
export const SOCKET_SETTINGS = {
  // Nagle would hold back the last piece of each request until the one before is acknowledged.
  noDelay: true,
  keepAlive: true,
} as const;

/** Where a connection leads to; the host is a name in lower case or an address, without brackets. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** One that nobody has taken, or that is not connected, is given up after so long, in ms: servers do the same. */
const USABLE_MS = 2000;

interface EarlySocket {
  readonly target: Target;
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections that are begun before it is known what will be asked over them, for the first requests to their hosts.
 * Those that nobody takes do not keep the process, but for the lookup of their names, and what becomes of them is told
 * to nobody: who finds none here connects as ever.
 */
export class EarlySockets implements Disposable {
  /** In the order in which they are to be taken. */
  readonly #begun: EarlySocket[] = [];
  /** Taken before they were connected. */
  readonly #awaited = new Set<EarlySocket>();

  /** Begins to connect, without TLS. */
  begin(target: Target): void {
    const socket = connect({...target, ...SOCKET_SETTINGS}).unref();
    // Who takes it listens too.
    socket.on('error', () => undefined);
    const timer = setTimeout(() => socket.destroy(), USABLE_MS).unref();
    this.#begun.push({target, socket, timer});
  }

  /**
   * One to this target, from now on the caller's, once it is connected: until then Node may put another handle into the
   * socket, for another address of the host, of which TLS over it would know nothing and crash. Resolves with undefined
   * where it comes to nothing; undefined at once: none was begun.
   */
  take({host, port}: Target): Promise<Socket | undefined> | undefined {
    const at = this.#begun.findIndex(({target}) => target.host === host && target.port === port);
    const [early] = at < 0 ? [] : this.#begun.splice(at, 1);
    return early && this.#connected(early);
  }

  /** Gives up what nobody has got. */
  [Symbol.dispose](): void {
    for (const {socket, timer} of [...this.#begun.splice(0), ...this.#awaited]) {
      clearTimeout(timer);
      socket.destroy();
    }
  }

  async #connected(early: EarlySocket): Promise<Socket | undefined> {
    const {socket, timer} = early;
    socket.ref();
    if (socket.connecting) {
      this.#awaited.add(early);
      await new Promise<unknown>((resolve) => {
        socket.once('connect', resolve).once('close', resolve);
      });
      this.#awaited.delete(early);
    }
    clearTimeout(timer);
    // Whatever a server says unasked is no answer.
    if (socket.readyState === 'open' && socket.readableLength === 0) return socket;
    socket.destroy();
    return undefined;
  }
}

/**
 * Has a socket that was made without `onread` do what that says.
 * @param onread its buffer takes at least 64 KiB, the most that Node gives at once
 */
export function readInto(socket: Socket, onread: OnReadOpts): Socket {
  return socket.on('data', (bytes) => {
    const into = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
    into.set(bytes);
    if (!onread.callback(bytes.byteLength, into)) socket.pause();
  });
}
