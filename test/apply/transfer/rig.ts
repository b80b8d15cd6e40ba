import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {isTransferEntry, type JournalEntry} from '../../../src/apply/journal-file.ts';
import type {Journal} from '../../../src/apply/journal.ts';
import {applyTransfer} from '../../../src/apply/transfer/apply-transfer.ts';
import {rollbackTransfer} from '../../../src/apply/transfer/rollback-transfer.ts';
import type {TransferContext} from '../../../src/apply/transfer/transfer-run.ts';
import {compareAt, type TransferPlace} from '../../../src/apply/transfer/verify-place.ts';
import type {Compared} from '../../../src/apply/verify-plan.ts';
import {unfinishedIn} from '../../../src/apply/unfinished.ts';
import {given} from '../../../src/gitlab/entities.ts';
import {rightsAt} from '../../../src/gitlab/preflight/registry.ts';
import type {RunEvent} from '../../../src/model/event.ts';
import type {RunResult} from '../../../src/model/outcome.ts';
import {parseReference, type Tag} from '../../../src/model/reference.ts';
import type {ProjectMove, TransferPlan} from '../../../src/model/transfer-plan.ts';
import {DEFAULT_CHUNK} from '../../../src/relay/chunk-size.ts';
import {emptyReply, type Exchange, type Intercept} from '../../../src/sandbox/exchange.ts';
import type {GitLabSandbox} from '../../../src/sandbox/gitlab/gitlab-sandbox.ts';
import type {RegistryMode} from '../../../src/sandbox/gitlab/instance.ts';
import type {SeedInput} from '../../../src/sandbox/gitlab/seed.ts';
import {startRig} from '../../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {NEVER} from '../../support/streams.ts';
import {tempDirectory} from '../../support/temp.ts';
import {HASTY} from '../../support/transfer-rig.ts';
import {makePlan, openClients, TOKEN} from './clients.ts';

type SeedProject = NonNullable<SeedInput['projects']>[number];

export type DonorKind = 'directory' | 'project';

export interface TransferRigOptions {
  readonly donor?: DonorKind;
  readonly mode?: RegistryMode;
  readonly images?: SeedProject['images'];
  readonly to?: string;
  /** Projects that the plan moves as well, to `new_org/build/`, and their images. Default: none. */
  readonly others?: Readonly<Record<string, SeedProject['images']>>;
  /** The group `org/build` moves, to `to`, with all of these projects. */
  readonly group?: boolean;
  /** Nobody but owners is to push to the old path during the move. */
  readonly freeze?: boolean;
  /** Whether the cleanup policy of `org/build/app` is at work. Default: it is. */
  readonly cleanup?: boolean;
  /** Plan the way by the donor even where GitLab could move the images itself. */
  readonly staged?: boolean;
  /** What comes of that. Default: it works. */
  readonly nativeMove?: 'works' | 'unsupported' | 'lost';
  /** Of the registry's tokens, by the clock of GitLab. Default: as GitLab's. */
  readonly tokenLifeSeconds?: number;
}

export interface RunOptions {
  /** Called for each event, before anything else happens. */
  readonly onEvent?: (event: RunEvent) => void;
  /** The first signal. */
  readonly stopping?: AbortSignal;
  /** The second; it stands for a kill: what was under way ends wherever it was. */
  readonly killed?: AbortSignal;
  readonly adoptNewTags?: boolean;
  readonly removesDonor?: boolean;
  /** What comes of asking whether tags may be deleted. Default: they may. */
  readonly consent?: 'given' | 'refused' | 'nobody';
}

/** A multi-arch image, a signed one with its signatures, and a policy that is at work. */
function seed({images, others = {}, cleanup = true}: TransferRigOptions): SeedInput {
  return {
    users: [{name: 'root', admin: true}, {name: 'ada'}, {name: 'dev'}],
    groups: [
      {path: 'org/build', members: {ada: 'owner'}},
      {path: 'org', members: {ada: 'owner', dev: 'maintainer'}},
      {path: 'new_org', members: {ada: 'owner'}},
      {path: 'new_org/build', members: {ada: 'owner'}},
      {path: 'donors', members: {ada: 'owner'}},
    ],
    projects: [
      {
        path: 'org/build/app',
        cleanup: {enabled: cleanup, cadence: '7d', keep_n: 10, older_than: '30d', name_regex: '.*'},
        images: images ?? [
          {layout: layoutDirectory('attested'), ref: '1.0', tag: 'v1'},
          {name: 'tools', layout: layoutDirectory('signed')},
        ],
      },
      ...Object.entries(others).map(([path, own]) => ({path, ...(own ? {images: own} : {})})),
    ],
    tokens: [
      {value: 'root-api', user: 'root', scopes: ['api']},
      {value: TOKEN, user: 'ada', scopes: ['api']},
      {value: 'dev-api', user: 'dev', scopes: ['api']},
    ],
  };
}

/** Asking for it makes a record of an image path that has no tags, and is enough to keep a group where it is. */
const EMPTY_RECORD = 'repository:org/build/app/once:pull,push';

type Outside = Awaited<ReturnType<typeof startRig>>;

/** A transfer that is planned and can be applied again and again, against a GitLab in this process. */
export class TransferRig implements AsyncDisposable {
  readonly sandbox: GitLabSandbox;
  readonly api: Outside['api'];
  readonly registryToken: Outside['registryToken'];
  readonly plan: TransferPlan;
  readonly journal: JournalEntry[] = [];
  /** The registry says that it deletes tags, and keeps them. */
  keepsTags = false;
  /** Called before each request that the sandbox answers. */
  onRequest: ((exchange: Exchange) => Promise<void>) | undefined;
  /** Called after each request that changed something, before the client has the answer. */
  onWritten: (() => void) | undefined;
  /** Answers in the sandbox's place. */
  disturb: Intercept | undefined;
  /** How far the clocks of GitLab and of the runs are ahead of the machine's, in ms. */
  ahead = 0;
  readonly #parts: AsyncDisposableStack;
  #step = '';

  private constructor(
    sandbox: GitLabSandbox,
    {api, registryToken}: Outside,
    plan: TransferPlan,
    parts: AsyncDisposableStack,
  ) {
    this.sandbox = sandbox;
    this.api = api;
    this.registryToken = registryToken;
    this.plan = plan;
    this.#parts = parts;
  }

  static async start(options: TransferRigOptions = {}): Promise<TransferRig> {
    await using parts = new AsyncDisposableStack();
    const hooks: {rig?: TransferRig} = {};
    const clock = () => Date.now() + (hooks.rig?.ahead ?? 0);
    const intercept: Intercept = async (exchange, next) => {
      const {rig} = hooks;
      await rig?.onRequest?.(exchange);
      if (rig?.keepsTags === true && exchange.method === 'DELETE') return emptyReply(202);
      const reply = await (rig?.disturb === undefined ? next() : rig.disturb(exchange, next));
      if (!['GET', 'HEAD'].includes(exchange.method)) rig?.onWritten?.();
      return reply;
    };
    const {mode = 'legacy', donor = 'directory', others = {}, nativeMove = 'works'} = options;
    const outside = parts.use(
      await startRig({
        mode,
        seed: seed(options),
        intercept,
        switches: {nativeMove},
        clock,
        ...given({tokenLifeSeconds: options.tokenLifeSeconds}),
      }),
    );
    const {sandbox} = outside;
    const directory = parts.use(await tempDirectory());
    if (options.group === true) await outside.registryToken('ada:ada-api', EMPTY_RECORD);
    const path = donor === 'project' ? 'donors/parking' : directory.join('donor');
    const plan = await makePlan(
      sandbox,
      {kind: donor, path},
      {
        ...options,
        others: Object.keys(others),
      },
    );
    const rig = new TransferRig(sandbox, outside, plan, parts.move());
    hooks.rig = rig;
    return rig;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  apply(options: RunOptions = {}): Promise<RunResult> {
    return this.#run(options, (context) => applyTransfer(this.plan, context, ends(options)));
  }

  /** Applies the plan in a run that is killed when the step starts. */
  async applyKilledAt(step: string, options: RunOptions = {}): Promise<void> {
    const kill = new AbortController();
    const onEvent = (event: RunEvent) => {
      if (event.type === 'step-started' && event.step === step)
        kill.abort(new DOMException('killed', 'AbortError'));
    };
    await this.apply({...options, killed: kill.signal, onEvent}).catch(() => undefined);
    if (!kill.signal.aborted) throw new Error(`the run did not get to ${step}`);
  }

  rollback(options: RunOptions = {}): Promise<RunResult> {
    return this.#run(options, (context) => rollbackTransfer(this.plan, context, ends(options)));
  }

  /** The project that moves. */
  get move(): ProjectMove {
    const [move] = this.plan.moves;
    if (move === undefined) throw new Error('the plan moves nothing');
    return move;
  }

  compare(place: TransferPlace, move = this.move): Promise<Compared> {
    return this.#run({}, ({repositories}) => compareAt(move, place, repositories, {signal: NEVER}));
  }

  /** The tags below a path in the registry's storage, as `repository:tag`, and what they point to. */
  async tagsBelow(path: string): Promise<Readonly<Record<string, string>>> {
    const {manifests} = this.sandbox.storage;
    const found: Record<string, string> = {};
    for (const repository of await this.sandbox.storage.repositories()) {
      if (repository !== path && !repository.startsWith(`${path}/`)) continue;
      for (const tag of await manifests.tags(repository)) {
        const name = `${repository.slice(path.length)}:${tag}`;
        found[name] = (await manifests.resolve(repository, tag)) ?? '';
      }
    }
    return found;
  }

  /** Points a tag to what another one points to, as a push would. */
  async retag(from: string, to: string): Promise<void> {
    const {manifests} = this.sandbox.storage;
    const [source, target] = [parseReference(`x.y/${from}`), parseReference(`x.y/${to}`)];
    const digest = await manifests.resolve(source.path, source.tag as Tag);
    const manifest = digest && (await manifests.get(source.path, digest));
    if (!manifest) throw new Error(`${from} is not there`);
    await manifests.put(target.path, manifest, target.tag);
  }

  /** Calls `retag` before the first deletion. */
  retagAtFirstDelete(from: string, to: string): void {
    this.onRequest = async ({method}) => {
      if (method !== 'DELETE') return;
      this.onRequest = undefined;
      await this.retag(from, to);
    };
  }

  /** Whether this step began last. */
  isAt(step: string): boolean {
    return this.#step === step;
  }

  /** Makes GitLab's record of an image path, which a token for a push does. */
  async record(path: string): Promise<void> {
    const granted = await this.registryToken('ada:ada-api', `repository:${path}:pull,push`);
    if (granted.status !== 200) throw new Error(`GitLab answered ${granted.status}`);
  }

  /** Changes a byte of the largest file at a donor that is a directory. */
  damageDonor(): void {
    const files = readdirSync(this.move.donor.path, {recursive: true, withFileTypes: true})
      .filter((entry) => entry.isFile() && entry.parentPath.includes('blobs'))
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted((a, b) => statSync(b).size - statSync(a).size);
    const [largest = ''] = files;
    const bytes = readFileSync(largest);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    writeFileSync(largest, bytes);
  }

  /** Each run has clients of its own, as if it were a process. */
  async #run<T>(
    {
      onEvent,
      killed = NEVER,
      consent = 'given',
      adoptNewTags = false,
      removesDonor = false,
    }: RunOptions,
    work: (context: TransferContext) => Promise<T>,
  ): Promise<T> {
    await using clients = openClients(this.sandbox, () => Date.now() + this.ahead);
    const {gitlab, registry, place} = clients;
    return await work({
      gitlab,
      traits: (call) => registry.traits(call),
      repositories: {source: place, destination: place, writable: place},
      journal: this.#journal(killed),
      report: (event) => {
        if (event.type === 'step-started') this.#step = event.step;
        onEvent?.(event);
      },
      settings: {
        chunk: DEFAULT_CHUNK,
        retry: HASTY,
        jobs: {all: 10, large: 2},
        onFailure: 'continue',
      },
      mayDelete: consent === 'nobody' ? undefined : () => Promise.resolve(consent === 'given'),
      adoptNewTags,
      removesDonor,
      directoryOf: (name) => name.replace(/^oci:/, ''),
      tagLimits: async (name, call) =>
        (await rightsAt(registry, parseReference(name).path, call))?.tagLimits,
      patience: {everyMs: 1, limitMs: 20},
      deletionPatience: {everyMs: 5, limitMs: 5_000},
    });
  }

  #journal(killed: AbortSignal): Journal {
    const {journal} = this;
    return {
      get transfer() {
        return journal.filter(isTransferEntry);
      },
      continues: this.journal.length > 0,
      get unfinished() {
        return unfinishedIn(journal);
      },
      savedUpload: () => undefined,
      append: async (entry) => {
        killed.throwIfAborted();
        this.journal.push(entry);
      },
      note: (entry) => {
        killed.throwIfAborted();
        this.journal.push(entry);
      },
      watch: () => undefined,
      end: async (result) => {
        killed.throwIfAborted();
        this.journal.push({type: 'end', result, at: new Date(0).toISOString()});
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
}

function ends({stopping = NEVER, killed = NEVER}: RunOptions) {
  return {stopping, aborted: killed};
}
