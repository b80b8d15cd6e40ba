import {registryPathOf} from '../../model/gitlab-naming.ts';
import {isRepositoryPath, type RepositoryPath} from '../../model/reference.ts';
import type {Storage} from '../storage.ts';
import type {Background} from './background.ts';
import type {EventLog} from './event-log.ts';
import type {World, WorldProject} from './world.ts';

/** Which registry GitLab has: with its metadata database it can move images by itself, without (`legacy`) it cannot. */
export type RegistryMode = 'legacy' | 'metadata-db';

/** What can be changed while the sandbox runs. */
export interface Switches {
  /** The registry refuses every write (GitLab: `maintenance.readonly` of the registry). */
  readOnly: boolean;
  /**
   * What the registry with its database does when a project moves: `works`; `unsupported`, as without Redis; `lost`:
   * GitLab tells of success and the images stay at the old path.
   */
  nativeMove: 'works' | 'unsupported' | 'lost';
  /** Image paths whose deletion fails in the end. */
  readonly undeletable: Set<string>;
  /** How long a deletion waits before it begins, and how long it takes, in ms each. */
  deletionDelayMs: number;
  /** How long a transfer goes on after it was answered, in ms; undefined: it is done before. */
  transferDelayMs: number | undefined;
}

/** `127.0.0.1:PORT` of each, known once they listen. They are one and the same unless asked for otherwise. */
export interface Hosts {
  gitlab: string;
  registry: string;
}

/** What the parts of the sandbox's GitLab work with. */
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

/** The image paths in the registry that are a project's: its own and two levels below. */
export async function imagePathsOf(
  {storage, world}: Instance,
  project: WorldProject,
): Promise<readonly RepositoryPath[]> {
  return (await storage.repositories()).filter(
    (path) => world.ownerOf(path)?.project.id === project.id,
  );
}

/**
 * Whether a project's registry has tags, also where GitLab has no record (GitLab: app/models/project.rb,
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

/** When a tag was pushed last, in ms since the epoch; a tag that the registry moved keeps its time. */
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

/** Takes a tag out of the registry, and writes it down. False: there was none. */
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
