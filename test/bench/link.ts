import {fork} from 'node:child_process';
import {once} from 'node:events';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {LineSpeed} from './delayed-line.ts';

const PROCESS = fileURLToPath(new URL('./link-process.ts', import.meta.url));
const ASK_EVERY_MS = 10;

/** What a link has delivered so far. */
export interface LinkCounts {
  readonly connections: number;
  /** Bytes that reached the registry, heads of requests included. */
  readonly up: number;
  /** Bytes that came from the registry. */
  readonly down: number;
}

/** A slow way to a registry. */
export interface Link extends AsyncDisposable {
  /** `127.0.0.1:PORT`, to be used instead of the registry's own. */
  readonly host: string;
  counts(): Promise<LinkCounts>;
  /** Resolves when so many bytes have reached the registry, or when the signal is aborted. */
  delivered(bytes: number, signal: AbortSignal): Promise<void>;
}

/** @param target `host:port` of the registry */
export async function startLink(target: string, speed: LineSpeed): Promise<Link> {
  const [host, port] = target.split(':');
  const child = fork(PROCESS, [JSON.stringify({...speed, host, port: Number(port)})]);
  const [ready] = (await once(child, 'message')) as [{readonly port: number}];
  const counts = async (): Promise<LinkCounts> => {
    const answer = once(child, 'message');
    child.send('counts');
    const [counted] = (await answer) as [LinkCounts];
    return counted;
  };
  return {
    host: `127.0.0.1:${ready.port}`,
    counts,
    async delivered(bytes, signal) {
      while (!signal.aborted && (await counts()).up < bytes) await delay(ASK_EVERY_MS);
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
