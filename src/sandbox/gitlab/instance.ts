import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {setTimeout as pause} from 'node:timers/promises';
import {parseJson} from '../../model/json.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import {z} from '../../model/schema.ts';
import {isRepositoryPath} from '../names.ts';
import type {Storage} from '../storage.ts';
import type {EventLog} from './event-log.ts';
import {registryPathOf, type World, type WorldProject} from './world.ts';

/** The registry of the instance: only with a metadata database can it move images itself. `legacy`: without one. */
export type RegistryMode = 'legacy' | 'metadata-db';

/** Settings that can change while the sandbox runs. */
export interface Switches {
  /** The registry refuses every write (GitLab: `maintenance.readonly` of the registry). */
  readOnly: boolean;
  /**
   * How the registry with its database moves images along with a project: `works`; `unsupported`, as without Redis;
   * `lost`: GitLab reports success and the images stay at the old path.
   */
  nativeMove: 'works' | 'unsupported' | 'lost';
  /** Image paths whose deletion fails. */
  readonly undeletable: Set<string>;
  /** How long a deletion waits before it starts, and then takes, in ms each. */
  deletionDelayMs: number;
  /** How long a transfer continues after the response, in ms; undefined: it completes before the response. */
  transferDelayMs: number | undefined;
}

/** `127.0.0.1:PORT` of each, known once they listen. Equal unless the registry has a port of its own. */
export interface Hosts {
  gitlab: string;
  registry: string;
}

/** The state that the parts of the sandbox's GitLab share. */
export interface Instance {
  readonly mode: RegistryMode;
  readonly hosts: Hosts;
  readonly world: World;
  readonly storage: Storage;
  readonly events: EventLog;
  readonly background: Background;
  readonly switches: Switches;
  /** ms since the epoch. */
  readonly clock: () => number;
}

/** The image paths of a project in the registry: its own, and two levels below. */
export async function imagePathsOf(
  {storage, world}: Instance,
  project: WorldProject,
): Promise<readonly RepositoryPath[]> {
  return (await storage.repositories()).filter(
    (path) => world.ownerOf(path)?.project.id === project.id,
  );
}

/**
 * Whether a project has tags in the registry, with or without a record in GitLab (GitLab: app/models/project.rb,
 * `has_container_registry_tags?`).
 */
export async function hasTags(instance: Instance, project: WorldProject): Promise<boolean> {
  const {world, storage} = instance;
  const records = world.repositoriesOf(project).map((record) => world.repositoryPath(record));
  for (const path of new Set([...records, registryPathOf(world.projectPath(project))])) {
    if (isRepositoryPath(path) && (await storage.manifests.tags(path)).length > 0) return true;
  }
  return false;
}

/** The time of the last push of a tag, in ms since the epoch; a tag that the registry moved keeps its time. */
export function pushedAt({events}: Instance, repository: string, tag: string): number {
  let path = repository;
  for (let index = events.events.length - 1; index >= 0; index--) {
    const event = events.events[index];
    if (!event) break;
    if (event.kind === 'repository-moved' && event.to === path) path = event.from;
    if (event.kind === 'manifest-pushed' && event.repository === path && event.tag === tag)
      return event.at;
  }
  return 0;
}

/**
 * The age of a tag for GitLab, as ms since the epoch: with the database, of its last push; without, of its image's
 * config; undefined: the tag is an index (GitLab: lib/container_registry/tag.rb, `created_at`).
 */
export async function createdAt(
  instance: Instance,
  repository: RepositoryPath,
  tag: Tag,
): Promise<number | undefined> {
  if (instance.mode === 'metadata-db') return pushedAt(instance, repository, tag);
  const {manifests, blobs} = instance.storage;
  const digest = await manifests.resolve(repository, tag);
  const {config} = (digest && (await manifests.get(repository, digest))) ?? {};
  const size = config && (await blobs.size(repository, config.digest));
  if (!config || size === undefined || size > CONFIG_LIMIT) return undefined;
  const bytes = await buffer(Readable.from(blobs.read(config.digest, {start: 0, end: size})));
  const {created} = configSchema.parse(parseJson(bytes));
  return created === undefined ? undefined : Date.parse(created);
}

/** The largest config that is read for its time, in bytes. */
const CONFIG_LIMIT = 4 * 1024 * 1024;
const configSchema = z.object({created: z.string().optional().catch(undefined)}).catch({});

/** Deletes a tag in the registry, and records it. @returns whether it existed */
export async function deleteTag(
  {storage, events}: Instance,
  repository: RepositoryPath,
  tag: string,
  by: string,
): Promise<boolean> {
  const found = (await storage.manifests.tags(repository)).find((name) => name === tag);
  const digest = found && (await storage.manifests.resolve(repository, found));
  if (found === undefined || digest === undefined) return false;
  await storage.manifests.untag(repository, found);
  events.add(by, {kind: 'tag-deleted', repository, tag, digest});
  return true;
}

/** Work after the response, like that of GitLab's background workers. */
export class Background {
  readonly #ending = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  /** Does the work after a delay, unless the sandbox is closed before. */
  later(ms: number, work: () => Promise<void>): void {
    const {signal} = this.#ending;
    const done = pause(ms, undefined, {signal})
      .then(work)
      // The sandbox was closed, or its content deleted: nobody needs the result.
      .catch(() => undefined)
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  /** Settles when all work is done. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.settled();
  }
}
