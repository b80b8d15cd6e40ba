import type {ContainerRepository} from '../../gitlab/container-repository.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';
import type {Digest} from '../../model/digest.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Tag} from '../../model/reference.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../../observe/observe-source.ts';
import {inOrder} from '../find-drift.ts';
import {isDonorThere} from './donor.ts';
import type {TransferRun} from './transfer-context.ts';

/** A tag at the old path, and what it points to. */
export interface OldTag {
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly digest: Digest;
}

export function oldName({repository, tag}: Pick<OldTag, 'repository' | 'tag'>): string {
  return `${repository}:${tag}`;
}

/** What is at the old path now, against what was planned. */
export interface OldTags {
  /** Planned tags that are there and point to the planned digest. */
  readonly planned: readonly OldTag[];
  /** Tags that are new, point elsewhere, or are gone though the donor does not have them. */
  readonly drift: readonly Drift[];
}

/**
 * Reads every tag at the old path, also those of repositories that came after planning: one list for each repository
 * and one HEAD for each tag. Planned tags that are gone while the donor has them count as deleted from then on, also where
 * the journal did not know.
 */
export async function readOldTags(plan: TransferPlan, run: TransferRun): Promise<OldTags> {
  const records = await run.context.gitlab.repositories.ofProject(plan.project.id, run.call);
  const found = await mapAtOnce(oldRepositories(plan, records), OBSERVE_CONCURRENCY, (name) =>
    readRepository(name, run),
  );
  const actual = new Map(found.flat().map((one) => [`${one.repository}:${one.tag}`, one]));
  const donorHas = donorReader(plan, run);
  const planned: OldTag[] = [];
  const held: OldTag[] = [];
  const drift: Drift[] = [];
  for (const {from, donor, tags} of plan.repositories) {
    for (const {name: tag, digest} of tags) {
      const now = actual.get(`${from}:${tag}`)?.digest ?? null;
      actual.delete(`${from}:${tag}`);
      const isHeld = now === null && (await donorHas(donor, tag, digest));
      if (now === digest) planned.push({repository: from, tag, digest});
      else if (isHeld) held.push({repository: from, tag, digest});
      else drift.push({side: 'source', repository: from, tag, planned: digest, actual: now});
    }
  }
  for (const {repository, tag, digest} of actual.values())
    drift.push({side: 'source', repository, tag, planned: null, actual: digest});
  await noteDeleted(planned, held, run);
  return {planned, drift: inOrder(drift)};
}

/** Brings the journal up to what was found: it may be lost, or its run was killed just before a deletion. */
async function noteDeleted(
  there: readonly OldTag[],
  held: readonly OldTag[],
  {context: {journal}}: TransferRun,
): Promise<void> {
  const {deleted} = journal.unfinished;
  for (const one of held)
    if (!deleted.has(oldName(one))) await journal.append({type: 'delete', ...one});
  for (const one of there) {
    const {repository, tag} = one;
    if (deleted.has(oldName(one))) await journal.append({type: 'kept', repository, tag});
  }
}

/**
 * Those of the plan, what GitLab has records of besides, and the project's own path, whose tags GitLab counts even
 * without a record (GitLab: app/models/project.rb, `has_root_container_repository_tags?`).
 */
export function oldRepositories(
  {repositories, project}: TransferPlan,
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

async function readRepository(
  name: string,
  {context, call}: TransferRun,
): Promise<readonly OldTag[]> {
  const repository = context.repositories.source(name);
  const tags = (await repository.listTags(call)) ?? [];
  const read = await mapAtOnce(tags, OBSERVE_CONCURRENCY, async (tag) => {
    const head = await repository.head(tag as Tag, call);
    return head && {repository: name, tag: tag as Tag, digest: head.digest};
  });
  return read.filter((one) => one !== undefined);
}

/** Asks the donor for a tag. A donor project that is not there yet has none. */
function donorReader(
  plan: TransferPlan,
  run: TransferRun,
): (donor: string, tag: Tag, digest: Digest) => Promise<boolean> {
  let isThere: Promise<boolean> | undefined;
  return async (donor, tag, digest) => {
    isThere ??= isDonorThere(plan, run);
    if (!(await isThere)) return false;
    const {repositories} = run.context;
    return (await repositories.destination(donor).head(tag, run.call))?.digest === digest;
  };
}
