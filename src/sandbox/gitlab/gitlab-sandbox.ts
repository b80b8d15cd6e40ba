import type {Exchange, Intercept} from '../exchange.ts';
import {startHttpServer} from '../http-server.ts';
import {RequestLog} from '../request-log.ts';
import type {Reply} from '../reply.ts';
import {Storage, type StorageOptions} from '../storage.ts';
import {Api} from './api.ts';
import {Background} from './background.ts';
import {runCleanup} from './cleanup.ts';
import {EventLog} from './event-log.ts';
import type {Instance, RegistryMode, Switches} from './instance.ts';
import type {RateLimitOptions} from './rate-limit.ts';
import {RegistryFront} from './registry-front.ts';
import {RegistryTokens} from './registry-tokens.ts';
import type {Seed} from './seed.ts';
import {seedWorld} from './seed-world.ts';
import {World} from './world.ts';

export interface GitLabSandboxOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly seed: Seed;
  /** Default: `metadata-db`, as GitLab installs it today. */
  readonly mode?: RegistryMode;
  /** Default: in memory. */
  readonly storage?: StorageOptions;
  /** Of the registry's tokens. Default: 300, as GitLab's. */
  readonly tokenLifeSeconds?: number;
  /** Of the REST API. Default: none, as GitLab's. */
  readonly rateLimit?: RateLimitOptions;
  /** What is to be different from a GitLab in good health; it can be changed later, too. */
  readonly switches?: Partial<Switches>;
  readonly intercept?: Intercept;
  /** The time in ms, for tests. */
  readonly clock?: () => number;
}

/** A GitLab-like instance in this process: REST API, token service and registry on one port of the loopback. */
export interface GitLabSandbox extends AsyncDisposable {
  /** `127.0.0.1:PORT`, as it stands in image references. */
  readonly host: string;
  /** `http://127.0.0.1:PORT`: GitLab's address. */
  readonly url: string;
  readonly storage: Storage;
  readonly log: RequestLog;
  readonly events: EventLog;
  readonly switches: Switches;
  /** Lets the cleanup policies that are enabled do their work now. */
  runCleanup(): Promise<void>;
  /** Settles when GitLab has nothing left to do in the background. */
  settled(): Promise<void>;
  /** Breaks all connections, drops what was to be done, and settles when the last request has ended. */
  close(): Promise<void>;
}

/** Short, and still long enough to be seen: GitLab takes minutes. */
const DELETION_DELAY_MS = 200;

/** @throws Error EADDRINUSE, EACCES for the port; what `seedWorld` throws */
export async function startGitLabSandbox(options: GitLabSandboxOptions): Promise<GitLabSandbox> {
  const {clock = Date.now, intercept} = options;
  const instance: Instance = {
    mode: options.mode ?? 'metadata-db',
    world: new World(),
    storage: new Storage(options.storage ?? {kind: 'memory'}),
    events: new EventLog(clock),
    background: new Background(),
    switches: {
      readOnly: false,
      nativeMove: 'works',
      undeletable: new Set(),
      deletionDelayMs: DELETION_DELAY_MS,
      transferDelayMs: undefined,
      ...options.switches,
    },
    clock,
  };
  await seedWorld(instance, options.seed);
  const answer = answerer(instance, options);
  const log = new RequestLog();
  const server = await startHttpServer(options.port ?? 0, log, (exchange) =>
    intercept ? intercept(exchange, () => answer(exchange)) : answer(exchange),
  );
  const {host} = server;
  const {storage, events, switches, background} = instance;
  const close = async () => {
    await server.close();
    await background.close();
  };
  return {
    host,
    url: `http://${host}`,
    storage,
    log,
    events,
    switches,
    runCleanup: () => runCleanup(instance),
    settled: () => background.settled(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function answerer(
  instance: Instance,
  {tokenLifeSeconds = 300, rateLimit}: GitLabSandboxOptions,
): (exchange: Exchange) => Promise<Reply> {
  const tokens = new RegistryTokens(instance, tokenLifeSeconds);
  const registry = new RegistryFront(instance, tokens);
  const api = new Api(instance, rateLimit);
  return async (exchange) => {
    if (exchange.path.startsWith('/api/v4')) return api.answer(exchange);
    if (exchange.route.kind === 'token') return tokens.answer(exchange);
    return registry.answer(exchange);
  };
}
