import {type ApplySettings, DEFAULT_JOBS} from '../../src/apply/apply-context.ts';
import {runPlan} from '../../src/apply/apply-plan.ts';
import {openJournal} from '../../src/apply/journal.ts';
import {HttpClient} from '../../src/http/client.ts';
import type {Timeouts} from '../../src/http/dispatcher.ts';
import {Redactor} from '../../src/http/redaction.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {Patience} from '../../src/gitlab/confirm.ts';
import type {RunEvent} from '../../src/model/event.ts';
import type {RunResult} from '../../src/model/outcome.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {Repositories} from '../../src/model/port.ts';
import {parseReference, type RepositoryPath} from '../../src/model/reference.ts';
import {observeRoute} from '../../src/observe/observe-route.ts';
import {attachmentSubject} from '../../src/plan/candidate.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {selectAllTags} from '../../src/plan/filters.ts';
import {Registry} from '../../src/registry/registry.ts';
import {FaultScript} from '../../src/sandbox/faults/fault-script.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import type {Flavour} from '../../src/sandbox/registry.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {collect, NEVER} from './streams.ts';
import {type TempDirectory, tempDirectory} from './temp.ts';
import {CHUNK, HASTY} from './transfer-rig.ts';

export interface RunOptions {
  readonly source?: FaultScript;
  readonly destination?: FaultScript;
  readonly timeouts?: Partial<Timeouts>;
  readonly settings?: Partial<ApplySettings>;
  readonly patience?: Patience;
  readonly report?: (event: RunEvent) => void;
  readonly stopping?: AbortSignal;
  readonly aborted?: AbortSignal;
}

/** Two sandboxes whose faults are chosen anew for each run of a plan, and a journal that outlives the runs. */
export class CopyRig implements AsyncDisposable {
  readonly source: Sandbox;
  readonly destination: Sandbox;
  readonly #faults: {source: FaultScript; destination: FaultScript};
  readonly #temp: TempDirectory;

  private constructor(
    source: Sandbox,
    destination: Sandbox,
    faults: {source: FaultScript; destination: FaultScript},
    temp: TempDirectory,
  ) {
    this.source = source;
    this.destination = destination;
    this.#faults = faults;
    this.#temp = temp;
  }

  /** @param flavour of the destination */
  static async start(flavour: Partial<Flavour> = {}): Promise<CopyRig> {
    const faults = {source: noFaults(), destination: noFaults()};
    const source = await startSandbox({
      intercept: (exchange, next) => faults.source.intercept(exchange, next),
    });
    const destination = await startSandbox({
      flavour,
      intercept: (exchange, next) => faults.destination.intercept(exchange, next),
    });
    return new CopyRig(source, destination, faults, await tempDirectory());
  }

  /** Plans a copy of a whole repository to others, without faults. The later ones mount what the first one gets. */
  async plan(from: RepositoryPath, ...to: readonly string[]): Promise<CopyPlan> {
    await using http = new HttpClient();
    const source = `${this.source.host}/${from}`;
    const destinations = to.map((path) => `${this.destination.host}/${path}`);
    const found = repositories(http);
    const question = {
      source: found.source(source),
      select: selectAllTags,
      attachmentSubject,
      readAll: false,
      progress: () => undefined,
    };
    const routes = [];
    for (const name of destinations) {
      const destination = found.destination(name);
      const route = await observeRoute({...question, destination}, {signal: NEVER});
      routes.push({...route, single: false, wish: 0});
    }
    const wish = {routes: [{source, destination: destinations.join(' '), filters: {}}]};
    return makeCopyPlan({wish, routes});
  }

  /** Applies a plan as a process of its own would: with connections of its own and what the journal has. */
  async apply(plan: CopyPlan, options: RunOptions = {}): Promise<RunResult> {
    const {source, destination, settings, report, stopping, aborted, timeouts} = options;
    this.#faults.source = source ?? noFaults();
    this.#faults.destination = destination ?? noFaults();
    await using http = new HttpClient({retry: HASTY, ...(timeouts ? {timeouts} : {})});
    await using journal = await openJournal({
      file: this.#temp.join(`${plan.id.slice(7)}.ndjson`),
      plan: plan.id,
      now: () => new Date(0),
      redactor: new Redactor(),
    });
    return await runPlan(
      plan,
      {
        repositories: repositories(http),
        journal,
        report: report ?? (() => undefined),
        settings: {
          chunk: {min: CHUNK, max: CHUNK},
          retry: HASTY,
          jobs: DEFAULT_JOBS,
          onFailure: 'continue',
          ...settings,
        },
        fresh: false,
        ...(options.patience ? {patience: options.patience} : {}),
      },
      {stopping: stopping ?? NEVER, aborted: aborted ?? NEVER},
    );
  }

  /** Walks the destination's storage and tells what is wrong: a tag whose image is not whole, bytes that are others. */
  async problems(): Promise<readonly string[]> {
    const {storage} = this.destination;
    const found: string[] = [];
    for (const repository of await storage.repositories()) {
      const tags = await storage.manifests.tags(repository);
      const roots = await Promise.all(
        tags.map((tag) => storage.manifests.resolve(repository, tag)),
      );
      for (const queue = [...roots]; queue.length > 0; ) {
        const digest = queue.pop();
        const manifest = digest && (await storage.manifests.get(repository, digest));
        if (!manifest) {
          found.push(`${repository}: the manifest ${digest} is missing`);
          continue;
        }
        if (digestOf(manifest.bytes) !== digest) found.push(`${repository}: ${digest} is other`);
        queue.push(...manifest.manifests.map((child) => child.digest));
        for (const blob of manifest.blobs) {
          const size = await storage.blobs.size(repository, blob.digest);
          if (size === undefined) {
            found.push(`${repository}: the blob ${blob.digest} is missing`);
            continue;
          }
          const bytes = await collect(storage.blobs.read(blob.digest, {start: 0, end: size}));
          if (digestOf(bytes) !== blob.digest) found.push(`${repository}: ${blob.digest} is other`);
        }
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source.close(), this.destination.close()]);
    await this.#temp[Symbol.asyncDispose]();
  }
}

export function scriptOf(rules: readonly FaultRuleInput[]): FaultScript {
  return new FaultScript(rules);
}

function noFaults(): FaultScript {
  return new FaultScript([]);
}

function repositories(http: HttpClient): Repositories {
  const opened = new Map<string, Registry>();
  const open = (name: string, side: 'source' | 'destination') => {
    const {registry: host, path} = parseReference(name);
    const registry = opened.get(`${side} ${host}`) ?? new Registry({host, side, http});
    opened.set(`${side} ${host}`, registry);
    return registry.repository(path);
  };
  return {
    source: (name) => open(name, 'source'),
    destination: (name) => open(name, 'destination'),
    writable: open,
  };
}
