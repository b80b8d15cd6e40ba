import {createHash, randomBytes} from 'node:crypto';
import {HttpClient} from '../../src/http/client.ts';
import type {Timeouts} from '../../src/http/dispatcher.ts';
import type {OnRetry, RetryPolicy} from '../../src/http/retry.ts';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import type {SavedUpload} from '../../src/model/port.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {Credentials} from '../../src/registry/credentials/credentials.ts';
import {Registry, type RegistryRepository} from '../../src/registry/registry.ts';
import type {Exchange, Reply} from '../../src/sandbox/exchange.ts';
import {FaultScript} from '../../src/sandbox/faults/fault-script.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {type Sandbox, type SandboxOptions, startSandbox} from '../../src/sandbox/sandbox.ts';
import {type BlobJob, relayBlob, type RelaySettings} from '../../src/relay/relay-blob.ts';
import {ChunkSize} from '../../src/relay/chunk-size.ts';
import {ReadConnections} from '../../src/relay/read-connections.ts';
import {collect, NEVER, streamOf} from './streams.ts';

export const KiB = 1024;
export const CHUNK = 64 * KiB;

/** The usual patience, with waits too short to notice. */
export const HASTY: RetryPolicy = {
  attempts: 6,
  attemptsAt500: 3,
  baseMs: 1,
  capMs: 4,
  budgetMs: 60_000,
};

const FROM = 'from/here' as RepositoryPath;
const TO = 'to/there' as RepositoryPath;

export interface TransferRigOptions {
  /** Faults of the source and of the destination. */
  readonly source?: readonly FaultRuleInput[];
  readonly destination?: readonly FaultRuleInput[];
  readonly sandbox?: SandboxOptions;
  /** Changes the destination's answers. */
  readonly rewrite?: (exchange: Exchange, reply: Reply) => Reply;
  readonly timeouts?: Partial<Timeouts>;
  /** Bytes of an upload chunk and of a ranged read. Default: 64 KiB each. */
  readonly chunk?: number;
  readonly part?: number;
  /** For a destination that wants a login. */
  readonly credentials?: Credentials;
  /** The destination's clock and ours, in ms. */
  readonly now?: () => number;
}

/** What a transfer told and did. */
export interface Told {
  readonly acknowledged: number[];
  readonly saved: SavedUpload[];
  sent: number;
  retries: number;
}

/** Two registries in this process with faults, and clients of them that are quick to try again. */
export class TransferRig implements AsyncDisposable {
  readonly source: RegistryRepository;
  readonly destination: RegistryRepository;
  readonly sourceFaults: FaultScript;
  readonly destinationFaults: FaultScript;
  readonly sandboxes: {readonly source: Sandbox; readonly destination: Sandbox};
  readonly notices: string[] = [];
  /** When each request arrived at the destination, in ms since the epoch. */
  readonly arrivals: readonly number[];
  readonly http: HttpClient;
  readonly #chunk: number;
  readonly #part: number;

  private constructor(
    sandboxes: {readonly source: Sandbox; readonly destination: Sandbox},
    faults: {readonly source: FaultScript; readonly destination: FaultScript},
    arrivals: readonly number[],
    {timeouts, credentials, now, chunk = CHUNK, part = CHUNK}: TransferRigOptions,
  ) {
    this.sandboxes = sandboxes;
    this.arrivals = arrivals;
    this.#chunk = chunk;
    this.#part = part;
    this.sourceFaults = faults.source;
    this.destinationFaults = faults.destination;
    this.http = new HttpClient({retry: HASTY, ...(timeouts ? {timeouts} : {})});
    const {http, notices} = this;
    const notice = ({code}: {readonly code: string}) => void notices.push(code);
    const {host} = sandboxes.source;
    this.source = new Registry({host, side: 'source', http, notice}).repository(FROM);
    this.destination = new Registry({
      host: sandboxes.destination.host,
      side: 'destination',
      http,
      notice,
      ...(credentials ? {credentials: () => Promise.resolve(credentials)} : {}),
      ...(now ? {now} : {}),
    }).repository(TO);
  }

  static async start(options: TransferRigOptions = {}): Promise<TransferRig> {
    const faults = {
      source: new FaultScript(options.source ?? []),
      destination: new FaultScript(options.destination ?? []),
    };
    const source = await startSandbox({intercept: faults.source.intercept});
    const arrivals: number[] = [];
    const destination = await startSandbox({
      ...options.sandbox,
      intercept: async (exchange, next) => {
        arrivals.push(Date.now());
        const reply = await faults.destination.intercept(exchange, next);
        return options.rewrite?.(exchange, reply) ?? reply;
      },
    });
    return new TransferRig({source, destination}, faults, arrivals, options);
  }

  /** Puts a blob of so many random bytes into the source's storage, past its faults. */
  async blob(size: number, content: Buffer = randomBytes(size)): Promise<Descriptor> {
    const digest = digestOf(content);
    const {blobs, uploads} = this.sandboxes.source.storage;
    const id = await uploads.begin(FROM);
    const pieces = Math.ceil(size / CHUNK);
    await uploads.append(
      FROM,
      id,
      streamOf(
        Array.from({length: pieces}, (_, at) => content.subarray(at * CHUNK, (at + 1) * CHUNK)),
      ),
    );
    await uploads.commit(FROM, id, digest);
    await blobs.link(FROM, digest);
    return {mediaType: 'application/octet-stream', digest, size};
  }

  /** Brings the blob over in chunks, or in one request where it is no larger than one. */
  async transfer(
    blob: Descriptor,
    more: Partial<BlobJob> & {
      readonly settings?: Partial<RelaySettings>;
      readonly onSaved?: (saved: SavedUpload) => void;
      readonly onRetry?: OnRetry;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<Told> {
    const {settings, onSaved, onRetry, signal = NEVER, ...job} = more;
    const told: Told = {acknowledged: [], saved: [], sent: 0, retries: 0};
    await relayBlob(
      {blob, source: this.source, destination: this.destination, ...job},
      {
        chunkSize: new ChunkSize({min: this.#chunk, max: this.#chunk}),
        retry: HASTY,
        connections: new ReadConnections(10, this.#part),
        stopping: NEVER,
        ...settings,
      },
      {
        acknowledged: (bytes) => told.acknowledged.push(bytes),
        resized: () => undefined,
        sending: () => undefined,
        sent: (bytes) => {
          told.sent += bytes;
        },
        saved: async (saved) => {
          told.saved.push(saved);
          onSaved?.(saved);
        },
        retrying: (...what) => {
          told.retries += 1;
          onRetry?.(...what);
        },
      },
      {signal},
    );
    return told;
  }

  /** The digest of what the destination's storage really holds; undefined: it does not have the blob. */
  async kept({digest, size}: Descriptor): Promise<Digest | undefined> {
    const {blobs} = this.sandboxes.destination.storage;
    const found = await blobs.size(TO, digest);
    if (found === undefined) return undefined;
    const bytes = await collect(blobs.read(digest, {start: 0, end: size}));
    return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.http[Symbol.asyncDispose]();
    await Promise.all([this.sandboxes.source.close(), this.sandboxes.destination.close()]);
  }
}
