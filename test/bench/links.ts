import {fork} from 'node:child_process';
import {once} from 'node:events';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {LineSpeed} from './delayed-line.ts';
import type {Answer, Order} from './links-process.ts';

const PROCESS = fileURLToPath(new URL('./links-process.ts', import.meta.url));
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

/**
 * A process for links. It serves all runs of a workload: a new one would compile its code in the midst of each, which
 * took as much of the processors as passing on the bytes does.
 */
export interface Links extends AsyncDisposable {
  /** @param target `host:port` of the registry */
  open(target: string, speed: LineSpeed): Promise<Link>;
}

export async function startLinks(): Promise<Links> {
  const child = fork(PROCESS);
  await once(child, 'spawn');
  const waiting: PromiseWithResolvers<Answer>[] = [];
  // It answers in the order in which it is asked.
  child.on('message', (answer: Answer) => waiting.shift()?.resolve(answer));
  child.once('exit', (code) => {
    for (const {reject} of waiting) reject(new Error(`the process of the links ended (${code})`));
  });
  const ask = (order: Order): Promise<Answer> => {
    const answer = Promise.withResolvers<Answer>();
    waiting.push(answer);
    child.send(order, (error) => error && answer.reject(error));
    return answer.promise;
  };
  let opened = 0;
  return {
    async open(target, speed) {
      const [host = '', port] = target.split(':');
      const number = (opened += 1);
      const answer = await ask({kind: 'open', number, host, port: Number(port), speed});
      const counts = async (): Promise<LinkCounts> => {
        const {connections, up, down} = await ask({kind: 'count', number});
        return {connections, up, down};
      };
      return {
        host: `127.0.0.1:${answer.port}`,
        counts,
        async delivered(bytes, signal) {
          while (!signal.aborted && (await counts()).up < bytes) await delay(ASK_EVERY_MS);
        },
        async [Symbol.asyncDispose]() {
          await ask({kind: 'close', number});
        },
      };
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
