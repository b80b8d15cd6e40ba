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

/** A server may be about to close one on which it was asked nothing for longer, in ms. */
const USABLE_MS = 2000;

interface EarlySocket {
  readonly target: Target;
  readonly socket: Socket;
  /** In ms of the monotonic clock. */
  readonly usableUntil: number;
}

/**
 * Connections that are begun before it is known what will be asked over them, for the first requests to their hosts.
 * Those that nobody takes do not keep the process, and what becomes of them is told to nobody: who finds none here
 * connects as ever.
 */
export class EarlySockets implements Disposable {
  readonly #begun: EarlySocket[] = [];

  /** Begins to connect, without TLS. */
  begin(target: Target): void {
    const socket = connect({...target, ...SOCKET_SETTINGS}).unref();
    socket.on('error', ignore);
    this.#begun.push({target, socket, usableUntil: performance.now() + USABLE_MS});
  }

  /** One to this target that is connected or still on its way there, and from now on the caller's. */
  take({host, port}: Target): Socket | undefined {
    for (;;) {
      const at = this.#begun.findIndex(({target}) => target.host === host && target.port === port);
      const [early] = at < 0 ? [] : this.#begun.splice(at, 1);
      if (early === undefined) return undefined;
      if (isUsable(early)) return early.socket.off('error', ignore).ref();
      early.socket.destroy();
    }
  }

  [Symbol.dispose](): void {
    for (const {socket} of this.#begun.splice(0)) socket.destroy();
  }
}

/**
 * Has a socket that was made without `onread` do what that says.
 * @param onread its buffer takes at least 64 KiB, the most that Node gives at once
 */
export function readInto(socket: Socket, onread: OnReadOpts): void {
  socket.on('data', (bytes) => {
    const into = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
    into.set(bytes);
    if (!onread.callback(bytes.byteLength, into)) socket.pause();
  });
}

/** Whatever a server says unasked is no answer. */
function isUsable({socket, usableUntil}: EarlySocket): boolean {
  return !socket.destroyed && socket.readableLength === 0 && performance.now() < usableUntil;
}

function ignore(): void {}
