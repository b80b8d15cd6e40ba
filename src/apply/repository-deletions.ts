import PQueue from 'p-queue';
import {DEFAULT_PATIENCE} from '../gitlab/confirm.ts';
import {pause} from '../http/retry.ts';
import type {Digest} from '../model/digest.ts';
import {interrupted, isInterrupted, throwIfStopping, TransshipError} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {Manifest} from '../model/manifest.ts';
import type {Drift, StepResult} from '../model/outcome.ts';
import type {DeleteStep} from '../model/plan.ts';
import type {Call, RepositoryWriter} from '../model/port.ts';
import {isTag, type Tag} from '../model/reference.ts';
import {settleAll} from '../observe/at-once.ts';
import {headComparable} from '../observe/observe-destination.ts';
import {observeTagged, type TaggedContent} from '../observe/observe-tagged.ts';
import {nameOf} from '../model/place.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {isJournalFailure} from './journal-file.ts';
import {readableManifest, unkeptManifests} from './undo-file.ts';

/** Concurrent deletions in a repository: few, since each is a write. */
const DELETE_CONCURRENCY = 8;

/** The state that the deletions of all repositories share. */
export interface SharedDeletions {
  readonly context: ApplyContext;
  readonly interruption: Interruption;
  /** Collects tags that changed since planning. */
  readonly drift: Drift[];
  /** A deletion failed, so no further one is started. */
  isStopped: boolean;
}

/** The digest of a tag or manifest; undefined: it does not exist. */
export async function lookUp(
  repository: RepositoryWriter,
  {tag, digest}: Pick<DeleteStep, 'tag' | 'digest'>,
  call: Call,
): Promise<Digest | undefined> {
  if (tag !== undefined) return await headComparable(repository, tag, digest, call);
  return (await repository.head(digest, call))?.digest;
}

/** The error for a tag that changed since planning. */
export function notAsPlanned(
  {repository, tag, side}: Drift,
  what: 'deleted' | 'restored' = 'deleted',
): TransshipError {
  return new TransshipError(
    'DRIFT',
    `${repository}:${tag} changed after the plan was made; it was not ${what}`,
    {side, hint: 'plan again to see what it points to now'},
  );
}

/** The side whose credentials are used: moved images are deleted at their source. */
export function sideOf({reason}: Pick<DeleteStep, 'reason'>): Drift['side'] {
  return reason === 'moved' ? 'source' : 'destination';
}

/**
 * Runs the deletions in one repository, one after the other until the first has succeeded without affecting anything
 * else, so that a registry that does not delete, or deletes too much, is detected at the first tag.
 */
export class RepositoryDeletions {
  readonly #repository: RepositoryWriter;
  readonly #steps: readonly DeleteStep[];
  readonly #results: Map<string, Promise<StepResult>>;
  readonly #settled: Map<string, StepResult>;
  /** Steps whose deletion was requested. */
  readonly #begun = new Set<string>();
  /** Manifests that were deleted by digest, with all of their tags. */
  readonly #deleted = new Set<Digest>();
  readonly #shared: SharedDeletions;
  readonly #call: Call;
  #content: TaggedContent = {deletion: 'alone', tags: new Map(), below: new Map()};
  /** The error after which nothing more is deleted in this repository. */
  #halted: TransshipError | undefined;
  #isProved = false;

  /** @param known the results of steps that are already known */
  constructor(
    repository: RepositoryWriter,
    steps: readonly DeleteStep[],
    known: ReadonlyMap<string, StepResult>,
    shared: SharedDeletions,
  ) {
    this.#repository = repository;
    this.#steps = steps;
    this.#settled = new Map(known);
    this.#results = new Map([...known].map(([id, result]) => [id, Promise.resolve(result)]));
    this.#shared = shared;
    const {stopping, aborted} = shared.interruption;
    this.#call = {signal: aborted, stopping};
  }

  /**
   * @returns the result of each step that was not known before
   * @throws TransshipError JOURNAL_WRITE_FAILED
   */
  async run(): Promise<readonly StepResult[]> {
    const open = this.#steps.filter(({id}) => !this.#results.has(id));
    try {
      this.#content = await this.#observe();
    } catch (error) {
      const isAborted = this.#shared.interruption.aborted.aborted;
      if (!isAborted && !isInterrupted(error)) this.#halted = this.#asError(error);
    }
    // One after the other if deletion is by digest: one deletion may include several tags of the plan.
    const concurrency = this.#content.deletion === 'digest' ? 1 : DELETE_CONCURRENCY;
    const queue = new PQueue({concurrency});
    for (const step of open) {
      const result = queue.add(() => this.#step(step));
      this.#results.set(step.id, result);
      if (!this.#isProved) await result;
    }
    const results = open.flatMap(({id}) => this.#results.get(id) ?? []);
    await settleAll(results);
    return await Promise.all(results);
  }

  /** Reads all tags, unless the registry deletes single tags. */
  async #observe(): Promise<TaggedContent> {
    throwIfStopping(this.#shared.interruption.stopping);
    const deletion = await this.#repository.tagDeletion?.(this.#call);
    if (deletion === undefined) throw notARegistry(this.#repository.name);
    const isAlone = deletion === 'alone' && this.#steps.every(({tag}) => tag !== undefined);
    if (isAlone) return {deletion, tags: new Map(), below: new Map()};
    return await observeTagged(this.#repository, deletion, new Map(), this.#call);
  }

  /** Runs a deletion. Rejects only if the journal cannot be written. */
  async #step(step: DeleteStep): Promise<StepResult> {
    const {journal} = this.#shared.context;
    const blocked = await this.#blockedBy(step);
    if (blocked !== undefined) return this.#ended(blocked);
    const {id} = step;
    try {
      const outcome = await this.#delete(step);
      journal.note({type: 'step', id, outcome});
      return this.#ended({id, outcome});
    } catch (thrown) {
      const isAborted = this.#shared.interruption.aborted.aborted;
      if (isAborted || isInterrupted(thrown)) {
        return this.#ended({id, outcome: this.#begun.has(id) ? 'interrupted' : 'not-started'});
      }
      if (isJournalFailure(thrown)) {
        this.#halted = this.#asError(thrown);
        throw thrown;
      }
      const error = errorData(this.#asError(thrown));
      // A failure that concerns only this tag does not prevent the others.
      const isOwn = error.code === 'DRIFT' || error.code === 'PROTECTED';
      if (!isOwn && !this.#isProved) this.#halted ??= this.#asError(thrown);
      const {onFailure} = this.#shared.context.settings;
      if (onFailure === 'stop' && error.code !== 'DRIFT') this.#shared.isStopped = true;
      await journal.append({type: 'step', id, outcome: 'failed', error});
      return this.#ended({id, outcome: 'failed', error});
    }
  }

  async #blockedBy({id, needs}: DeleteStep): Promise<StepResult | undefined> {
    if (this.#halted !== undefined) return {id, outcome: 'blocked', error: errorData(this.#halted)};
    for (const need of needs) {
      const before = await this.#results.get(need);
      if (before === undefined || before.outcome === 'done' || before.outcome === 'present')
        continue;
      const {error} = before;
      if (error === undefined) return {id, outcome: 'not-started'};
      return {id, outcome: 'blocked', error};
    }
    const {interruption, isStopped} = this.#shared;
    return interruption.stopping.aborted || isStopped ? {id, outcome: 'not-started'} : undefined;
  }

  async #delete(step: DeleteStep): Promise<'done' | 'present'> {
    const {id, tag, digest, repository} = step;
    const byDigest = this.#content.deletion === 'digest' || tag === undefined;
    const now = await this.#lookUp(step);
    if (now === undefined) return this.#deleted.has(digest) ? 'done' : 'present';
    if (now !== digest && tag !== undefined) throw this.#drifted(tag, digest, now);
    const count = byDigest ? await this.#countUnshared(step) : 1;
    const others = byDigest ? [] : this.#stayingWith(digest);
    const isFirst = !this.#isProved;
    const {undo} = this.#shared.context;
    const bytes =
      isFirst || others.length > 0 || undo !== undefined
        ? await readableManifest(this.#repository, digest, this.#call)
        : undefined;
    const below =
      undo === undefined ? [] : await unkeptManifests(this.#repository, bytes, undo, this.#call);
    throwIfStopping(this.#shared.interruption.stopping);
    if (this.#shared.context.limits?.takeDeletes(count) === false) throw interrupted();
    const named = {repository, ...(tag === undefined ? {} : {tag}), digest};
    await undo?.keep(byDigest ? this.#stepsOf(digest) : [step], below);
    await this.#shared.context.journal.append({type: 'deleting', ...named});
    this.#begun.add(id);
    // Without `stopping`: the outcome of the deletion would be unknown.
    const call = {signal: this.#call.signal};
    if (byDigest) await this.#repository.deleteManifest?.(digest, call);
    else await this.#repository.deleteTag?.(tag, call);
    await this.#untilGone(step);
    if (byDigest) this.#deleted.add(digest);
    for (const other of others) await this.#throwIfLost(step, other, bytes);
    if (isFirst) await this.#throwIfGoneElsewhere(step, bytes);
    this.#isProved = true;
    return 'done';
  }

  /** The steps that a deletion of this digest includes. */
  #stepsOf(digest: Digest): readonly DeleteStep[] {
    return this.#steps.filter((step) => step.digest === digest);
  }

  async #lookUp(what: Pick<DeleteStep, 'tag' | 'digest'>): Promise<Digest | undefined> {
    return await lookUp(this.#repository, what, {signal: this.#call.signal});
  }

  #drifted(tag: Tag, planned: Digest | null, actual: Digest | null): TransshipError {
    const drift: Drift = {
      side: this.#side,
      repository: this.#repository.name,
      tag,
      planned,
      actual,
    };
    this.#shared.drift.push(drift);
    return notAsPlanned(drift);
  }

  /**
   * Checks that a deletion by digest affects only tags and indexes that this plan deletes: it deletes all tags of the
   * digest, and breaks indexes that list it.
   * @returns the number of tags that it deletes, at least 1
   * @throws TransshipError DRIFT for a tag that was created or changed after planning; the error of a deletion that
   *   failed
   */
  async #countUnshared({digest}: DeleteStep): Promise<number> {
    const planned = new Map(this.#steps.map((one) => [one.tag, one]));
    let count = 0;
    for (const [tag, actual] of await this.#tagsNow()) {
      const isListing = this.#content.below.get(actual)?.has(digest) === true;
      if (actual !== digest && !isListing) continue;
      const step = planned.get(tag);
      if (step?.digest !== actual) throw this.#drifted(tag, step?.digest ?? null, actual);
      const result = this.#settled.get(step.id);
      const isGone = result?.outcome === 'done' || result?.outcome === 'present';
      if (isGone) continue;
      if (isListing || result !== undefined) throw sharedWith(step, result?.error);
      count += 1;
    }
    return Math.max(1, count);
  }

  /** The current tags: those that were read, updated. */
  async #tagsNow(): Promise<ReadonlyMap<Tag, Digest>> {
    const names = new Set(((await this.#repository.listTags(this.#call)) ?? []).filter(isTag));
    const {tags} = this.#content;
    const isNew = [...names].some((name) => !tags.has(name));
    if (isNew) {
      const {deletion} = this.#content;
      this.#content = await observeTagged(this.#repository, deletion, new Map(), this.#call);
    }
    return new Map([...this.#content.tags].filter(([name]) => names.has(name)));
  }

  /** Tags of the digest that must be kept. */
  #stayingWith(digest: Digest): readonly Tag[] {
    const planned = new Set(this.#steps.map(({tag}) => tag));
    return [...this.#content.tags].flatMap(([tag, one]) =>
      one === digest && !planned.has(tag) ? [tag] : [],
    );
  }

  /**
   * Waits until the registry has completed the deletion.
   * @throws TransshipError REPOSITORY_DELETE_FAILED, INTERRUPTED
   */
  async #untilGone(step: DeleteStep): Promise<void> {
    const {context, interruption} = this.#shared;
    const {patience = DEFAULT_PATIENCE} = context;
    const signal = AbortSignal.any([interruption.stopping, interruption.aborted]);
    for (let waitedMs = 0; ; waitedMs += patience.everyMs) {
      if ((await this.#lookUp(step)) !== step.digest) return;
      if (waitedMs >= patience.limitMs) throw this.#kept(step);
      await pause(patience.everyMs, signal).catch((error: unknown) => {
        throw signal.aborted ? interrupted() : error;
      });
    }
  }

  #kept({repository, tag, digest}: DeleteStep): TransshipError {
    const name = nameOf(repository, tag, digest);
    return new TransshipError(
      'REPOSITORY_DELETE_FAILED',
      `the registry reported that it deleted ${name}, but still has it`,
      {
        side: this.#side,
        hint: 'its storage may not delete: have an administrator check the permissions there (S3: s3:DeleteObject); nothing more is deleted in this repository',
      },
    );
  }

  /** @throws TransshipError UNSUPPORTED_BY_REGISTRY if another tag was deleted, too */
  async #throwIfLost(step: DeleteStep, other: Tag, manifest: Manifest | undefined): Promise<void> {
    const {digest} = step;
    if ((await this.#lookUp({tag: other, digest})) !== undefined) return;
    const name = `${this.#repository.name}:${other}`;
    await this.#putBack({tag: other, digest}, manifest, name);
    this.#halted = new TransshipError(
      'UNSUPPORTED_BY_REGISTRY',
      `deleting ${nameOf(step.repository, step.tag, digest)} also deleted ${name}, which is restored`,
      {
        side: this.#side,
        hint: 'this registry deletes all tags of a digest; nothing more is deleted in this repository. Plan again, with all tags of a digest or none of them',
      },
    );
    throw this.#halted;
  }

  /**
   * Checks that the destination still has the image: source and destination may be the same storage under two names.
   * @throws TransshipError DESTINATION_CONFLICT
   */
  async #throwIfGoneElsewhere(step: DeleteStep, manifest: Manifest | undefined): Promise<void> {
    const {tag, digest, verified} = step;
    for (const place of verified) {
      const at = this.#shared.context.repositories.destination(place.to);
      const there = await at.head(place.tag ?? digest, {signal: this.#call.signal});
      if (there !== undefined) continue;
      const name = nameOf(step.repository, tag, digest);
      await this.#putBack(step, manifest, name);
      this.#halted = new TransshipError(
        'DESTINATION_CONFLICT',
        `with ${name}, ${nameOf(place.to, place.tag, digest)} was deleted, too: ${name} is restored`,
        {
          side: 'destination',
          hint: 'source and destination seem to be one registry under two names, or a mirror that follows deletions; copy without deleting at the source',
        },
      );
      throw this.#halted;
    }
  }

  /** Restores a tag; if the tag was pushed again meanwhile, only the manifest is restored. */
  async #putBack(
    what: Pick<DeleteStep, 'tag' | 'digest'>,
    manifest: Manifest | undefined,
    name: string,
  ): Promise<void> {
    if (manifest === undefined) {
      throw new TransshipError('MANIFEST_NOT_FOUND', `${name} was deleted and cannot be restored`, {
        side: this.#side,
        hint: 'push the image again',
      });
    }
    const {tag, digest} = what;
    const isTaken = tag !== undefined && (await this.#lookUp(what)) !== undefined;
    const reference = isTaken ? digest : (tag ?? digest);
    await this.#repository.putManifest(reference, manifest, {signal: this.#call.signal});
  }

  get #side(): Drift['side'] {
    const [first] = this.#steps;
    return first === undefined ? 'source' : sideOf(first);
  }

  #asError(thrown: unknown): TransshipError {
    if (thrown instanceof TransshipError) return thrown;
    const {code, message, side, hint} = errorData(thrown, this.#side);
    return new TransshipError(code, message, {side, hint, cause: thrown});
  }

  #ended(result: StepResult): StepResult {
    const {id, outcome, error} = result;
    const {report} = this.#shared.context;
    this.#settled.set(id, result);
    report({type: 'step-ended', step: id, outcome, ...(error ? {error} : {})});
    return result;
  }
}

function sharedWith(step: DeleteStep, error: StepResult['error']): TransshipError {
  const name = nameOf(step.repository, step.tag, step.digest);
  const {code, hint, side} = error ?? errorData(interrupted());
  return new TransshipError(code, `its manifest is needed by ${name}, which is not deleted`, {
    side,
    hint,
  });
}

function notARegistry(name: string): TransshipError {
  return new TransshipError('UNSUPPORTED_BY_REGISTRY', `cannot delete in ${name}`, {
    side: 'local',
    hint: 'tags are deleted only in registries',
  });
}
