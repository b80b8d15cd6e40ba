import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {type BlobOutcome, retryEvent} from '../model/event.ts';
import type {BlobAction} from '../model/plan.ts';
import type {Call, MountBlob, MountResult, RepositoryWriter, Upload} from '../model/port.ts';
import {ChunkSize} from '../relay/chunk-size.ts';
import {RateLimit} from '../relay/rate-limit.ts';
import {ReadConnections} from '../relay/read-connections.ts';
import {relayBlob} from '../relay/relay-blob.ts';
import type {CopyContext, Interruption} from './apply-context.ts';
import {BlobProgress} from './blob-progress.ts';
import {BlobQueues, isLarge} from './blob-queues.ts';
import {isInterrupted, throwIfStopping, TransshipError} from '../model/error.ts';
import {uploadKey} from './journal.ts';
import type {PlannedContent} from './planned-content.ts';
import {parsePlace} from '../model/place.ts';
import {parseReference, type RepositoryPath} from '../model/reference.ts';
import {type SharedReader, SharedReading} from '../relay/shared-reading.ts';
import {RememberedMounts} from './remembered-mounts.ts';

/** The outcomes of the blobs so far. */
export interface BlobCounts {
  copied: number;
  mounted: number;
  present: number;
  /** Bytes passed on for sending, including those of failed attempts. */
  sent: number;
}

/** Copies blobs to their repositories, each once, even if several manifests need it. */
export class BlobRelays {
  readonly counts: BlobCounts = {copied: 0, mounted: 0, present: 0, sent: 0};
  readonly #content: PlannedContent;
  readonly #context: CopyContext;
  readonly #interruption: Interruption;
  readonly #call: Call;
  readonly #actions: ReadonlyMap<string, BlobAction>;
  /** Blobs, by `uploadKey`, of which the destination received some bytes in this run. */
  readonly #begun = new Set<string>();
  readonly #ensured = new Map<string, Promise<void>>();
  /** The actual sizes of blobs whose manifests give another size. */
  readonly #resized = new Map<Digest, number>();
  /** Blobs, by `uploadKey`, that are sent although the plan has them as present, because the registry lacks some. */
  readonly #sentAnyway = new Set<string>();
  /** Blobs that are read once for several registries: by `uploadKey`, all blobs of the same reading. */
  readonly #together = new Map<string, readonly BlobAction[]>();
  /** The readers of those blobs, by `uploadKey`. */
  readonly #readers = new Map<string, SharedReader>();
  readonly #connections = new ReadConnections();
  readonly #rate: RateLimit | undefined;
  /** Chunk sizes by registry, and by repository for faster lookup. */
  readonly #chunkSizes = new Map<string, ChunkSize>();
  readonly #queues: BlobQueues;
  readonly #remembered: RememberedMounts;
  /** Whether a source has a blob, by `uploadKey` with the source's repository. */
  readonly #atSource = new Map<string, Promise<boolean>>();

  constructor(
    actions: readonly BlobAction[],
    content: PlannedContent,
    context: CopyContext,
    interruption: Interruption,
  ) {
    this.#content = content;
    this.#context = context;
    this.#interruption = interruption;
    this.#call = {signal: interruption.aborted, stopping: interruption.stopping};
    this.#actions = new Map(actions.map((action) => [uploadKey(action.digest, action.to), action]));
    const {jobs, limitRate} = context.settings;
    this.#rate = limitRate === undefined ? undefined : new RateLimit(limitRate);
    this.#queues = new BlobQueues(jobs);
    this.#remembered = new RememberedMounts(context.locations);
    for (const action of actions)
      if (action.action === 'present') this.#remembered.has(action, action.to);
  }

  /** Starts the large blobs among `wanted` (by `uploadKey`). `ensure` reports their failures. */
  startLarge(wanted: ReadonlySet<string>): void {
    const copies = [...this.#actions.values()].filter(
      ({action, digest, to}) => action === 'copy' && wanted.has(uploadKey(digest, to)),
    );
    for (const group of Map.groupBy(copies, ({digest, from}) => uploadKey(digest, from)).values())
      if (group.length > 1)
        for (const {digest, to} of group) this.#together.set(uploadKey(digest, to), group);
    for (const [key, action] of this.#actions) {
      if (!isLarge(action) || !wanted.has(key)) continue;
      this.ensure(action.digest, action.to).catch(() => undefined);
    }
  }

  /** Whether the repository received some of the blob in this run, or already has it from an earlier run. */
  hasBegun(digest: Digest, to: string): boolean {
    return this.#begun.has(uploadKey(digest, to));
  }

  /** Resolves when the blob is in the repository. @throws TransshipError */
  ensure(digest: Digest, to: string): Promise<void> {
    const key = uploadKey(digest, to);
    let ensured = this.#ensured.get(key);
    if (ensured === undefined) {
      ensured = this.#bring(key);
      this.#ensured.set(key, ensured);
    }
    return ensured;
  }

  /**
   * Looks up these blobs again, and makes the next `ensure` send those that are missing. If the registry lacks a blob
   * but reports all of them as present, all are sent, each once in a run.
   */
  async doubt(digests: readonly Digest[], to: string, call: Call): Promise<void> {
    const destination = this.#context.repositories.destination(to);
    const suspects = digests.flatMap((digest) => {
      const action = this.#actions.get(uploadKey(digest, to));
      return action === undefined || action.action === 'foreign' ? [] : [action];
    });
    const missing: BlobAction[] = [];
    for (const action of suspects)
      if (!(await destination.hasBlob(action, call))) missing.push(action);
    for (const action of missing.length > 0 ? missing : suspects) this.#sendAnyway(action);
  }

  /**
   * The actual size of a blob in bytes, if it differs from that in its manifest; undefined: no difference was found.
   */
  actualSize(digest: Digest): number | undefined {
    return this.#resized.get(digest);
  }

  /** Those of the blobs that the plan does not copy because of their `urls`. */
  foreign(digests: readonly Digest[], to: string): readonly Digest[] {
    return digests.filter(
      (digest) => this.#actions.get(uploadKey(digest, to))?.action === 'foreign',
    );
  }

  #sendAnyway(action: BlobAction): void {
    const key = uploadKey(action.digest, action.to);
    if (this.#sentAnyway.has(key)) return;
    this.#remembered.doubt(action.digest, action.to);
    this.#sentAnyway.add(key);
    const sending = this.#enqueue({...action, action: 'copy'});
    // It may reject before it is awaited, while the others are still started.
    sending.catch(() => undefined);
    this.#ensured.set(key, sending);
  }

  async #bring(key: string): Promise<void> {
    const action = this.#actions.get(key);
    switch (action?.action) {
      case undefined:
      case 'foreign':
        return;
      case 'present':
        this.counts.present += 1;
        return;
      case 'copy':
        await this.#copy(key, action);
        return;
      case 'mount':
        await this.#enqueue((await this.#canMount(action)) ? action : {...action, action: 'copy'});
        return;
    }
  }

  /** Copies a blob. One that goes from one source to several registries is read once for all of them. */
  async #copy(key: string, action: BlobAction): Promise<void> {
    const group = this.#together.get(key);
    if (group === undefined) return await this.#enqueue(action);
    const reading = new SharedReading(group.length);
    const [ends, begun] = [new Map<string, Promise<void>>(), Promise.withResolvers<void>()];
    for (const one of group) {
      const reader = reading.reader();
      const place = uploadKey(one.digest, one.to);
      this.#readers.set(place, reader);
      const end = begun.promise
        .then(() => this.#run(one))
        .finally(() => {
          this.#readers.delete(place);
          reader.leave();
        });
      // It may reject before it is awaited.
      end.catch(() => undefined);
      ends.set(place, end);
      this.#ensured.set(place, end);
    }
    await this.#queues.add(action, async () => {
      begun.resolve();
      await Promise.allSettled(ends.values());
    });
    await ends.get(key);
  }

  /** Waits for the blob at the repository to mount from, if this run copies it there; its failure is ignored here. */
  async #canMount({digest, mountFrom}: BlobAction): Promise<boolean> {
    if (mountFrom === undefined) return true;
    try {
      await this.ensure(digest, mountFrom);
      return true;
    } catch (error) {
      this.#call.signal.throwIfAborted();
      if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
      return false;
    }
  }

  #enqueue(action: BlobAction): Promise<void> {
    return this.#queues.add(action, () => this.#run(action));
  }

  async #run(action: BlobAction): Promise<void> {
    const {report} = this.#context;
    const {digest, to, size} = action;
    throwIfStopping(this.#interruption.stopping);
    // Its bytes were not announced as bytes to copy, so no progress is reported.
    if (action.action === 'mount' && (await this.#isThere(action))) {
      await this.#ended(action, 'present');
      return;
    }
    const image = this.#content.imageOf(uploadKey(digest, to));
    report({type: 'blob-started', digest, to, size, ...(image === undefined ? {} : {image})});
    try {
      const outcome = await this.#place(action);
      await this.#ended(action, outcome);
      report({type: 'blob-ended', digest, to, outcome, size: this.actualSize(digest) ?? size});
    } catch (error) {
      report({type: 'blob-ended', digest, to, outcome: 'failed', size});
      throw error;
    } finally {
      this.#context.limits?.ended(uploadKey(digest, to));
    }
  }

  async #ended(action: BlobAction, outcome: BlobOutcome): Promise<void> {
    const {digest, to} = action;
    this.counts[outcome] += 1;
    this.#begun.add(uploadKey(digest, to));
    this.#context.journal.note({type: 'blob', digest, to, outcome});
    await this.#remembered.brought(action, to);
  }

  /** Whether the destination has the blob: an earlier run may have been killed before it wrote that to the journal. */
  async #isThere(action: BlobAction): Promise<boolean> {
    const {digest, to} = action;
    const {journal, repositories, isShared} = this.#context;
    const mayBe = journal.continues || isShared === true;
    if (!mayBe || this.#sentAnyway.has(uploadKey(digest, to))) return false;
    return await repositories.destination(to).hasBlob(action, this.#call);
  }

  async #place(action: BlobAction): Promise<BlobOutcome> {
    const destination = this.#context.repositories.destination(action.to);
    if (action.action === 'copy' && (await this.#isThere(action))) return 'present';
    const answer = destination.mount && (await this.#mount(action, destination.mount));
    if (answer?.kind === 'mounted') return 'mounted';
    await this.#transfer(
      action,
      destination,
      answer?.kind === 'upload' ? answer.upload : undefined,
    );
    return 'copied';
  }

  /** Mounts the blob from the repository in the plan, or from a remembered one; undefined: not attempted. */
  async #mount(action: BlobAction, mount: MountBlob): Promise<MountResult | undefined> {
    const {digest, to, size} = action;
    if (action.action === 'mount') return await this.#mountAsPlanned(action, mount);
    // A blob that the registry lost may be lost at the other repository, too. An open upload is resumed instead.
    const isBegun = this.#context.journal.savedUpload(digest, to) !== undefined;
    if (isBegun || this.#sentAnyway.has(uploadKey(digest, to))) return undefined;
    if (action.mountFrom !== undefined) {
      this.#context.report({type: 'blob-progress', digest, to, acknowledged: 0, size});
      return await this.#mountAsPlanned(action, mount);
    }
    return await this.#remembered.mount(action, async (from) => {
      throwIfStopping(this.#interruption.stopping);
      if (!(await this.#isAtSource(action))) return undefined;
      // The plan announced its bytes, so they are reported although they need not be sent.
      this.#context.report({type: 'blob-progress', digest, to, acknowledged: 0, size});
      return await mount(descriptorOf(action), from, this.#call);
    });
  }

  async #mountAsPlanned(action: BlobAction, mount: MountBlob): Promise<MountResult | undefined> {
    const {mountFrom, from} = action;
    if (mountFrom === undefined) return undefined;
    if (mountFrom !== from && !(await this.#isAtSource(action))) return undefined;
    const answer = await mount(descriptorOf(action), pathOf(mountFrom), this.#call);
    if (answer.kind === 'mounted') this.#remembered.has(action, mountFrom);
    return answer;
  }

  /**
   * Whether the source has the blob itself, queried once. An image or a plan may name the digest of a private layer of
   * another repository. Such a layer must not be mounted on behalf of the user, who may read that repository.
   */
  #isAtSource(action: BlobAction): Promise<boolean> {
    const key = uploadKey(action.digest, action.from);
    const known = this.#atSource.get(key) ?? this.#askSource(action);
    this.#atSource.set(key, known);
    return known;
  }

  async #askSource(action: BlobAction): Promise<boolean> {
    try {
      const source = await this.#content.blobSource(action, this.#call);
      return await source.hasBlob(action, this.#call);
    } catch (error) {
      this.#call.signal.throwIfAborted();
      if (!(error instanceof TransshipError) || isInterrupted(error)) throw error;
      return false;
    }
  }

  async #transfer(
    action: BlobAction,
    destination: RepositoryWriter,
    upload?: Upload,
  ): Promise<void> {
    const {journal, report, settings, limits} = this.#context;
    const {digest, from, to} = action;
    const progress = new BlobProgress(action, report);
    const saved = upload === undefined ? journal.savedUpload(digest, to) : undefined;
    const shared = this.#readers.get(uploadKey(digest, to));
    // The first event of each blob is its offset before anything is sent; for a saved upload, the registry reports it.
    if (saved === undefined) progress.acknowledged(0);
    await relayBlob(
      {
        blob: descriptorOf(action),
        source: await this.#content.blobSource(action, this.#call),
        destination,
        ...(saved ? {saved} : {}),
        ...(upload ? {upload} : {}),
        ...(shared ? {shared} : {}),
      },
      {
        chunkSize: this.#chunkSizeFor(to),
        retry: settings.retry,
        connections: this.#connections,
        ...(this.#rate ? {rate: this.#rate} : {}),
        stopping: this.#interruption.stopping,
      },
      {
        acknowledged: (bytes) => {
          if (bytes > 0) this.#begun.add(uploadKey(digest, to));
          progress.acknowledged(bytes);
        },
        resized: (actual) => {
          progress.resized(actual);
          this.#resized.set(digest, actual);
        },
        sending: (bytes) => limits?.announce(uploadKey(digest, to), bytes),
        sent: (bytes) => {
          this.counts.sent += bytes;
          limits?.sent(uploadKey(digest, to), bytes);
          progress.sent(bytes);
        },
        saved: ({location, offset, minChunk}) =>
          journal.append({type: 'upload', digest, to, location, offset, minChunk}),
        retrying: (attempt, delayMs, error) =>
          report(retryEvent(`${digest} to ${to}`, attempt, delayMs, error)),
      },
      this.#call,
    );
    this.#atSource.set(uploadKey(digest, from), Promise.resolve(true));
  }

  /** The chunk size for the registry of a repository. Also cached by repository, since parsing names is slow. */
  #chunkSizeFor(to: string): ChunkSize {
    const known = this.#chunkSizes.get(to);
    if (known) return known;
    const place = parsePlace(to);
    const registry = place.transport === 'docker' ? place.reference.registry : to;
    const {chunk, limitRate} = this.#context.settings;
    const size = this.#chunkSizes.get(registry) ?? new ChunkSize(chunk, limitRate);
    for (const key of [registry, to]) this.#chunkSizes.set(key, size);
    return size;
  }
}

/** The path of a repository in its registry, or in its layout. */
function pathOf(repository: string): RepositoryPath {
  const place = parsePlace(repository);
  if (place.transport === 'docker') return place.reference.path;
  return parseReference(('repository' in place && place.repository) || repository).path;
}

function descriptorOf({mediaType, digest, size}: BlobAction): Descriptor {
  return {mediaType, digest, size};
}
