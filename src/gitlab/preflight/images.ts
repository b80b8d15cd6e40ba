import type {Digest} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import type {Call, RepositoryReader} from '../../model/port.ts';
import {isRepositoryPath, type RepositoryPath} from '../../model/reference.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import type {DestinationInventory, SourceInventory} from '../../observe/inventory.ts';
import {allTags, beginTags, observePresent} from '../../observe/observe-destination.ts';
import {observeSource} from '../../observe/observe-source.ts';
import {ManifestBudget} from '../../observe/seen-manifests.ts';
import {selectAllTags} from '../../plan/filters.ts';
import type {DonorFacts, RepositoryFacts, TargetFacts} from '../../plan/transfer/facts.ts';
import type {ContainerRepository} from '../container-repositories.ts';
import {given, type Project} from '../entities.ts';
import {unknownMediaTypes} from '../media-types.ts';
import {movedImagePath, registryPathOf, whyNotImagePath} from '../../model/gitlab-naming.ts';
import {donorNames} from './donor.ts';
import {PROBE_TAG} from './probe-donor.ts';
import type {InstanceRegistry, Surroundings} from './surroundings.ts';

/** Repositories that are looked at side by side: most of them have few tags. */
const AT_ONCE = 8;

export interface ImagesQuestion {
  readonly project: Project;
  readonly target: TargetFacts;
  readonly donor: DonorFacts;
  /** GitLab's records of the project's image paths. */
  readonly records: readonly ContainerRepository[];
  readonly registry: InstanceRegistry;
  /** The registry has a metadata database. */
  readonly database: boolean;
  /** The platforms of all images are needed. */
  readonly platforms: boolean;
}

/**
 * Looks at every image repository of a project and at what of it the donor has. The project's own path is looked at
 * even without a record: GitLab counts its tags (GitLab: app/models/project.rb, `has_root_container_repository_tags?`).
 * @throws TransshipError the registry's refusals
 */
export async function observeImages(
  question: ImagesQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<readonly RepositoryFacts[]> {
  const {project, registry, donor, records, platforms} = question;
  const root = registryPathOf(project.fullPath);
  const paths = [...new Set([root, ...records.map(({path}) => path)])].filter(isRepositoryPath);
  const names = donorNames(
    donor.donor,
    registry.host,
    project,
    paths.map((path) => nameBelow(path, root)),
  );
  // The donor is tried with one of the images.
  const budget = new ManifestBudget();
  const found = await mapAtOnce(paths, AT_ONCE, async (path) => {
    const wanted = {platforms, budget};
    const source = await observeAll(registry.repository(path), wanted, surroundings, call);
    const place = names.get(nameBelow(path, root)) ?? '';
    const seen = source ?? nothingAt(`${registry.host}/${path}`);
    const facts = await repositoryFacts(path, seen, place, question, surroundings, call);
    return source === undefined && facts.onlyAtDonor === undefined ? undefined : facts;
  });
  return found.filter((facts) => facts !== undefined);
}

async function repositoryFacts(
  path: RepositoryPath,
  source: SourceInventory,
  donor: string,
  question: ImagesQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<RepositoryFacts> {
  const {project, target, registry, database, records} = question;
  const to = movedImagePath(path, project.fullPath, target.fullPath);
  const {atDonor, onlyAtDonor} = await observeDonor(
    donor,
    source,
    question.donor,
    surroundings,
    call,
  );
  return {
    from: source.repository,
    to: `${registry.host}/${to}`,
    donor,
    source,
    atDonor,
    unknownMediaTypes: database ? unknownMediaTypes(source.manifests.values()) : [],
    ...given({
      whyNotTo: whyNotImagePath(to, target.fullPath),
      deletion: records.find((record) => record.path === path)?.status,
      tagTimes:
        database && source.roots.length > 0 ? await registry.tagTimes(path, call) : undefined,
      onlyAtDonor: onlyAtDonor.length === 0 ? undefined : onlyAtDonor,
    }),
  };
}

/** All that is there; undefined: the registry knows no such repository. */
async function observeAll(
  repository: RepositoryReader,
  {platforms, budget}: {readonly platforms: boolean; readonly budget: ManifestBudget},
  {progress}: Surroundings,
  call: Call,
): Promise<SourceInventory | undefined> {
  try {
    return await observeSource(
      repository,
      {
        select: selectAllTags,
        // Every tag goes, those of signatures too.
        attachmentSubject: () => undefined,
        known: () => Promise.resolve(new Map()),
        ...(platforms ? {configs: {times: false, platforms}} : {}),
        budget,
        progress: (done, total) => progress(repository.name, done, total),
      },
      call,
    );
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'REPOSITORY_NOT_FOUND') return undefined;
    throw error;
  }
}

/** A repository that the registry does not know: an earlier transfer may have emptied it. */
function nothingAt(repository: string): SourceInventory {
  return {
    repository,
    roots: [],
    notRead: [],
    manifests: new Map(),
    missingManifests: new Set(),
    absentForeign: new Set(),
  };
}

/** What the donor has of the source, and which tags it has besides. */
async function observeDonor(
  name: string,
  source: SourceInventory,
  {donor, stranger}: DonorFacts,
  {openDonor}: Surroundings,
  call: Call,
): Promise<{atDonor: DestinationInventory; onlyAtDonor: readonly string[]}> {
  const nothing = {repository: name, exists: false, tags: new Map(), present: new Set<Digest>()};
  // GitLab's registry answers for an unknown project as for a forbidden one.
  const isThere = donor.kind === 'directory' ? stranger === undefined : donor.id !== undefined;
  if (!isThere) return {atDonor: nothing, onlyAtDonor: []};
  const repository = openDonor(name);
  const listed = await repository.listTags(call);
  const wanted = source.roots.flatMap(({tag}) => (tag === undefined ? [] : [tag]));
  const known = new Set<string>([PROBE_TAG, ...wanted]);
  for (const {tag} of [...source.notRead, ...(source.unreadable ?? [])])
    if (tag !== undefined) known.add(tag);
  const onlyAtDonor = (listed ?? []).filter((tag) => !known.has(tag));
  if (source.roots.length === 0) return {atDonor: nothing, onlyAtDonor};
  const seen = await allTags(beginTags(repository, listed, wanted, call));
  const roots = source.roots.map(({digest}) => digest);
  const present = await observePresent(repository, seen, roots, source.manifests, call);
  // As the plan names it: the layout was opened where a relative name leads to on this machine.
  return {atDonor: {...present, repository: name}, onlyAtDonor};
}

/** The path below the project's; empty: the project's own. */
function nameBelow(path: string, root: string): string {
  return path.slice(root.length + 1);
}
