import type {ContainerRepository} from '../../gitlab/container-repositories.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import type {Digest} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Tag} from '../../model/reference.ts';
import type {ProjectMove} from '../../model/transfer-plan.ts';
import {sortedDrift} from '../find-drift.ts';
import {type TransferRun, waitUnlessStopped} from './transfer-run.ts';

/** The tags that are still visible at the old path. */
interface Rest {
  /** Planned tags that the registry lists although it confirmed their deletion, as `host/path:tag`. */
  readonly kept: readonly string[];
  /** Tags that somebody pushed since. */
  readonly late: readonly Drift[];
  /** The number of tags according to GitLab. */
  readonly counted: number;
}

/**
 * Waits until the registry lists no tag at the old path and GitLab counts none.
 * @returns tags that were pushed after the deletion began; they are not deleted
 * @throws TransshipError REPOSITORY_DELETE_FAILED if the registry still has tags whose deletion it confirmed,
 *   CHANGE_NOT_SEEN if GitLab counts tags that are gone, INTERRUPTED
 */
export async function untilEmpty(move: ProjectMove, run: TransferRun): Promise<readonly Drift[]> {
  const {patience} = run.context;
  for (let waitedMs = 0; ; waitedMs += patience.everyMs) {
    const rest = await readRest(move, run);
    if (rest.late.length > 0) return rest.late;
    if (rest.kept.length === 0 && rest.counted === 0) return [];
    if (waitedMs >= patience.limitMs) throw notEmpty(move, rest);
    await waitUnlessStopped(patience.everyMs, run);
  }
}

async function readRest(move: ProjectMove, {context, call}: TransferRun): Promise<Rest> {
  const records = await context.gitlab.repositories.ofProject(move.project.id, call);
  const failed = records.find(({status}) => status === 'delete_failed');
  if (failed !== undefined) throw deleteFailed(failed.path);
  const planned = new Map<string, Digest>(
    move.repositories.flatMap(({from, tags}) =>
      tags.map(({name, digest}) => [`${from}:${name}`, digest] as const),
    ),
  );
  const kept: string[] = [];
  const late: Drift[] = [];
  for (const repository of oldRepositories(move, records)) {
    const source = context.repositories.source(repository);
    for (const tag of (await source.listTags(call)) ?? []) {
      const name = `${repository}:${tag}`;
      const before = planned.get(name) ?? null;
      const actual = (await source.head(tag as Tag, call))?.digest ?? null;
      if (actual === null || actual === before) kept.push(name);
      else late.push({side: 'source', repository, tag: tag as Tag, planned: before, actual});
    }
  }
  const counted = records.reduce((sum, {tagsCount = 0}) => sum + tagsCount, 0);
  return {kept, late: sortedDrift(late), counted};
}

function notEmpty({project}: ProjectMove, {kept, counted}: Rest): TransshipError {
  const [first] = kept;
  if (first !== undefined) {
    return new TransshipError(
      'REPOSITORY_DELETE_FAILED',
      `the registry confirmed the deletion of ${first}${kept.length > 1 ? ` and ${kept.length - 1} more` : ''}, but still lists it`,
      {
        side: 'gitlab',
        hint: 'its storage does not delete; an administrator should check its permissions. All images are at the donor: apply again after that, or roll back',
      },
    );
  }
  return new TransshipError(
    'CHANGE_NOT_SEEN',
    `the registry has no more tags of ${project.from}, but GitLab still counts ${counted}`,
    {
      side: 'gitlab',
      hint: 'it may take some minutes: apply again to continue, or roll back to restore the images',
      retry: true,
    },
  );
}

function deleteFailed(path: string): TransshipError {
  return new TransshipError('REPOSITORY_DELETE_FAILED', `GitLab failed to delete ${path}`, {
    side: 'gitlab',
    hint: 'its registry cannot delete; an administrator should check the permissions of its storage. Roll back to restore the images',
  });
}

/**
 * The repositories of the plan, others of which GitLab has records, and the path of the project, whose tags GitLab
 * counts even without a record (GitLab: app/models/project.rb, `has_root_container_repository_tags?`).
 */
export function oldRepositories(
  {repositories, project}: ProjectMove,
  records: readonly ContainerRepository[],
): readonly string[] {
  const planned = repositories.map(({from}) => from);
  const hosts = new Set([
    ...planned.map((name) => name.slice(0, name.indexOf('/'))),
    ...records.map(({registryHost}) => registryHost),
  ]);
  return [
    ...new Set([
      ...planned,
      ...records.map(({registryHost, path}) => `${registryHost}/${path}`),
      ...[...hosts].map((host) => `${host}/${registryPathOf(project.from)}`),
    ]),
  ];
}
