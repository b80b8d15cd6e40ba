import {type ChildProcess, spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {open, readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import {needTool} from './debian-tool.ts';
import {type LoggedRequest, parseAccessLog} from './access-log.ts';
import {cleanEnvironment} from './program.ts';
import {tempDirectory} from './temp.ts';

const START_ATTEMPTS = 5;
/** How long a registry may take to start, in ms; it takes about 30. */
const START_LIMIT = 30_000;

export interface DockerRegistryOptions {
  /** Bearer tokens from a token service; the certificate that signs them is in the PEM file `rootcertbundle`. */
  readonly tokenAuth?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly rootcertbundle: string;
  };
  /** Accept Docker schema 1. Default: refused. */
  readonly schema1?: boolean;
  /** Accept layers with http(s) URLs. Default: refused, with status 500. */
  readonly foreignUrls?: boolean;
  /** Further top-level sections of the configuration file; they win. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Variables such as `REGISTRY_STORAGE_DELETE_ENABLED`. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A docker-registry process with a storage of its own on a port of 127.0.0.1. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The directory of its storage. */
  readonly storage: string;
  /**
   * What was asked of it, oldest first, from its access log, since the start or the last `forgetRequests`. An answer
   * without a large body is in the log before the client has it; the end of a large blob may come a moment later.
   */
  requests(): Promise<readonly LoggedRequest[]>;
  forgetRequests(): Promise<void>;
  /** Ends the process and waits until it is gone. The storage stays. */
  stop(): Promise<void>;
  /** Starts it again, on the same storage and port; stops it first if need be. */
  restart(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** @throws Error where docker-registry is not there or does not start, with the end of its log */
export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const program = await needTool('docker-registry');
  const temp = await tempDirectory();
  const accessLog = temp.join('access.log');
  const errorLog = temp.join('error.log');
  let child: ChildProcess | undefined;
  let port = 0;
  let forgotten = 0;

  const start = async (): Promise<boolean> => {
    const config = temp.join('config.yml');
    // JSON is YAML.
    await writeFile(config, JSON.stringify(configuration(options, temp.join('storage'), port)));
    child = await launch(program, config, {accessLog, errorLog}, options.env);
    if (await answers(child, port, accessLog)) return true;
    await end(child);
    return false;
  };
  const stop = async (): Promise<void> => {
    if (child !== undefined) await end(child);
    child = undefined;
  };
  const failed = async (): Promise<Error> => {
    const log = await readFile(errorLog, 'utf8');
    await temp[Symbol.asyncDispose]();
    return new Error(`docker-registry did not start on port ${port}: ${log.slice(-2000)}`);
  };

  for (let attempt = 1; ; attempt += 1) {
    port = await freePort();
    if (await start()) break;
    if (attempt === START_ATTEMPTS) throw await failed();
  }
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    storage: temp.join('storage'),
    async requests() {
      return parseAccessLog((await readFile(accessLog)).subarray(forgotten).toString());
    },
    async forgetRequests() {
      forgotten = (await readFile(accessLog)).byteLength;
    },
    stop,
    async restart() {
      await stop();
      if (!(await start())) throw await failed();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await temp[Symbol.asyncDispose]();
    },
  };
}

function configuration(
  options: DockerRegistryOptions,
  rootdirectory: string,
  port: number,
): Record<string, unknown> {
  return {
    version: 0.1,
    log: {level: 'error', accesslog: {disabled: false}},
    storage: {filesystem: {rootdirectory}, delete: {enabled: true}},
    http: {addr: `127.0.0.1:${port}`},
    ...(options.tokenAuth === undefined ? {} : {auth: {token: options.tokenAuth}}),
    ...(options.schema1 === true ? {compatibility: {schema1: {enabled: true}}} : {}),
    ...(options.foreignUrls === true
      ? {validation: {manifests: {urls: {allow: ['^https?://']}}}}
      : {}),
    ...options.config,
  };
}

/** The access log goes to stdout, all else to stderr (registry/registry.go, `configureLogging`). */
async function launch(
  program: string,
  config: string,
  logs: {readonly accessLog: string; readonly errorLog: string},
  env: Readonly<Record<string, string>> | undefined,
): Promise<ChildProcess> {
  await using stdout = await open(logs.accessLog, 'a');
  await using stderr = await open(logs.errorLog, 'a');
  const child = spawn(program, ['serve', config], {
    // Its heap is so small that with Go's default it collects garbage all the time: a quarter of its CPU time.
    env: {...cleanEnvironment(), GOGC: '400', ...env},
    stdio: ['ignore', stdout.fd, stderr.fd],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  await once(child, 'spawn');
  return child;
}

/**
 * Waits until the registry answers; false: it ended. The answer must be in its own log: another program may have
 * taken the port in the meantime.
 */
async function answers(child: ChildProcess, port: number, accessLog: string): Promise<boolean> {
  const probe = `probe-${randomUUID()}`;
  const limit = AbortSignal.timeout(START_LIMIT);
  while (child.exitCode === null && child.signalCode === null && !limit.aborted) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/v2/`, {
        headers: {'user-agent': probe, connection: 'close'},
        signal: limit,
      });
      await response.arrayBuffer();
      if ((await readFile(accessLog, 'utf8')).includes(probe)) return true;
    } catch {
      // Not yet listening.
    }
    await delay(10);
  }
  return false;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  // SIGTERM makes it wait for open connections; nothing here is worth waiting for.
  child.kill('SIGKILL');
  await closed;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}
