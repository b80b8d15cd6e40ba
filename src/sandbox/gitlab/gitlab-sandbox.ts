import {type Answer, type Intercept, refusal} from '../exchange.ts';
import {RequestLog, startHttpServer} from '../http-server.ts';
import {Storage, type StorageOptions} from '../storage.ts';
import {Api, type RateLimitOptions} from './api.ts';
import {runCleanup} from './cleanup.ts';
import {EventLog} from './event-log.ts';
import {Background, type Instance, type RegistryMode, type Switches} from './instance.ts';
import {RegistryTokens} from './registry-tokens.ts';
import {RegistryFront} from './registry.ts';
import {type Seed, seedWorld} from './seed.ts';
import {World} from './world.ts';

export interface GitLabSandboxOptions {
  /** Default: a free port. */
  readonly port?: number;
  /** A separate port for the registry; 0: a free port. Default: the same as GitLab's. */
  readonly registryPort?: number;
  readonly seed: Seed;
  /** Default: `metadata-db`, as in new installations of GitLab. */
  readonly mode?: RegistryMode;
  /** Default: in memory. */
  readonly storage?: StorageOptions;
  /** Of the registry's tokens. Default: 300, as in GitLab. */
  readonly tokenLifeSeconds?: number;
  /** Of the REST API. Default: none, as in GitLab. */
  readonly rateLimit?: RateLimitOptions;
  /** Differences from a healthy instance; can be changed later. */
  readonly switches?: Partial<Switches>;
  readonly intercept?: Intercept;
  /** The time in ms, for tests. */
  readonly clock?: () => number;
}

/** A GitLab-like instance in this process, on loopback: REST API, token service and registry. */
export interface GitLabSandbox extends AsyncDisposable {
  /** `127.0.0.1:PORT` of the registry, as in image references. */
  readonly host: string;
  /** `http://127.0.0.1:PORT`: GitLab's address. */
  readonly url: string;
  readonly storage: Storage;
  readonly log: RequestLog;
  readonly events: EventLog;
  readonly switches: Switches;
  /** Runs the enabled cleanup policies now. */
  runCleanup(): Promise<void>;
  /** Settles when GitLab's background work is done. */
  settled(): Promise<void>;
  /** Closes all connections and drops background work; settles when the last request has ended. */
  close(): Promise<void>;
}

/** Short, but observable; GitLab takes minutes. */
const DELETION_DELAY_MS = 200;

/** @throws Error EADDRINUSE, EACCES; the errors of `seedWorld` */
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
    hosts: {gitlab: '', registry: ''},
  };
  await seedWorld(instance, options.seed);
  const {hosts, storage, events, switches, background} = instance;
  const answers = answerer(instance, options);
  const log = new RequestLog();
  const start = (port: number, answer: Answer) =>
    startHttpServer(port, log, (exchange) =>
      intercept ? intercept(exchange, () => answer(exchange)) : answer(exchange),
    );
  const gitlab = await start(options.port ?? 0, answers.gitlab);
  const registry = await (options.registryPort === undefined
    ? gitlab
    : start(options.registryPort, answers.registry).catch(async (error: unknown) => {
        await gitlab.close();
        throw error;
      }));
  hosts.gitlab = gitlab.host;
  hosts.registry = registry.host;
  const close = async () => {
    await Promise.all([...new Set([gitlab, registry])].map((server) => server.close()));
    await background.close();
  };
  return {
    host: registry.host,
    url: `http://${gitlab.host}`,
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

/** The handlers of the two servers. Without a separate registry, GitLab's handles all requests. */
function answerer(
  instance: Instance,
  {tokenLifeSeconds = 300, rateLimit, registryPort}: GitLabSandboxOptions,
): {readonly gitlab: Answer; readonly registry: Answer} {
  const tokens = new RegistryTokens(instance, tokenLifeSeconds);
  const front = new RegistryFront(instance, tokens);
  const api = new Api(instance, rateLimit);
  const registry: Answer = (exchange) => front.answer(exchange);
  const gitlab: Answer = async (exchange) => {
    if (exchange.path.startsWith('/api/v4')) return api.answer(exchange);
    if (exchange.route.kind === 'token') return tokens.answer(exchange);
    if (registryPort === undefined) return registry(exchange);
    throw refusal(404, 'UNKNOWN', 'no such endpoint', exchange.path);
  };
  return {gitlab, registry};
}
