import {registryPathOf} from '../model/gitlab-naming.ts';
import {PLAN_FORMAT} from '../model/plan.ts';
import {
  type FallbackWay,
  type GroupMove,
  possibleSteps,
  type ProjectMove,
  type TransferPlan,
  type TransferRepository,
  type TransferStep,
} from '../model/transfer-plan.ts';
import {TableWriter} from './plan-tables.ts';
import {RecordError, TableReader} from './table-reader.ts';
import {totalsOf, withEstimates} from './totals.ts';
import {
  copySetsOf,
  type UncostedStep,
  withGroupEstimates,
  withStepEstimates,
} from './transfer/estimate.ts';
import type {
  GroupRecord,
  MoveRecord,
  StepRecord,
  TransferPlanContent,
  TransferPlanFile,
} from './transfer-plan-schema.ts';

/** @throws TransshipError INTERNAL if the plan refers to something that it does not contain */
export function encodeTransferPlan(plan: Omit<TransferPlan, 'id'>): TransferPlanContent {
  const {kind, wish, moves, groups, skipped, checks} = plan;
  const writer = new TableWriter(
    moves.flatMap(({manifests}) => manifests),
    moves.flatMap((move) => copySetsOf(possibleSteps(move))).flatMap(({blobs}) => blobs),
  );
  const records = moves.map((move) => encodeMove(move, writer));
  const skips = writer.skips(skipped);
  return {
    format: PLAN_FORMAT,
    kind,
    wish,
    ...writer.tables,
    routes: writer.routes,
    moves: records,
    ...(groups === undefined ? {} : {groups: groups.map(encodeGroup)}),
    skipped: skips,
    checks,
  };
}

function encodeGroup({steps, ...group}: GroupMove): GroupRecord {
  return {...group, steps: steps.map(({estimate: _estimate, ...step}) => step)};
}

function encodeMove(
  {project, way, donor, repositories, manifests, steps, downtimeSeconds, fallback}: ProjectMove,
  writer: TableWriter,
): MoveRecord {
  const own = writer.manifests(manifests);
  return {
    project,
    way,
    donor,
    repositories: repositories.map(({from, donor: at, to, tags}) => ({
      from: writer.repository(from),
      donor: writer.repository(at),
      to: writer.repository(to),
      tags: tags.map(({name, digest, size}) => [name, digest, size] as const),
    })),
    ...(own.length === writer.tables.manifests.length ? {} : {manifests: own}),
    ...encodeWay({steps, downtimeSeconds}, writer),
    ...(fallback === undefined ? {} : {fallback: encodeWay(fallback, writer)}),
  };
}

function encodeWay(
  {steps, downtimeSeconds}: FallbackWay,
  writer: TableWriter,
): Pick<MoveRecord, 'steps' | 'downtimeSeconds'> {
  return {steps: steps.map((step) => encodeStep(step, writer)), downtimeSeconds};
}

function encodeStep({estimate: _estimate, ...step}: TransferStep, writer: TableWriter): StepRecord {
  switch (step.kind) {
    case 'pull':
    case 'push': {
      const {copies, blobs, ...rest} = step;
      return {
        ...rest,
        copies: writer.copies(copies),
        blobActions: writer.blobs(blobs),
      };
    }
    case 'probe': {
      const manifests = step.manifests.map(
        ({repository, digest}) => [writer.repository(repository), digest] as const,
      );
      const uploadsTo = writer.repository(step.uploadsTo);
      return {...step, uploadsTo, manifests};
    }
    default:
      return step;
  }
}

/**
 * @param most maximum number of entries in lists that the file implies but does not contain
 * @throws RecordError
 */
export function decodeTransferPlan(file: TransferPlanFile, most: number): TransferPlan {
  const {format, id, signature, kind, wish, checks} = file;
  const reader = new TableReader(file, file.routes, most);
  const moves = file.moves.map((move, at) => decodeMove(move, `moves.${at}`, reader));
  throwUnlessSeparate(moves);
  const groups = file.groups?.map(decodeGroup);
  throwUnlessOwn(moves, groups ?? []);
  const sets = moves.flatMap(({steps}) => copySetsOf(steps));
  const skipped = reader.skips(file.skipped);
  return {
    format,
    id,
    ...(signature === undefined ? {} : {signature}),
    kind,
    wish,
    moves,
    ...(groups === undefined ? {} : {groups}),
    skipped,
    checks,
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
  };
}

function decodeGroup({steps, ...group}: GroupRecord): GroupMove {
  return {...group, steps: withGroupEstimates(steps, group.records.length)};
}

/**
 * The projects of a group move with it, and not on their own; all other projects move on their own. A group deletes
 * only records of image paths below itself.
 * @throws RecordError
 */
function throwUnlessOwn(moves: readonly ProjectMove[], groups: readonly GroupMove[]): void {
  if (moves.length + groups.length === 0) throw new RecordError('moves', 'nothing moves');
  const owners = new Map<number, GroupMove>();
  for (const [at, one] of groups.entries()) {
    for (const id of one.projects) {
      if (owners.has(id) || !moves.some(({project}) => project.id === id))
        throw new RecordError(`groups.${at}.projects`, `${id} is not one of its projects`);
      owners.set(id, one);
    }
    const root = registryPathOf(one.group.from);
    const strange = one.records.find(
      (record) => !record.slice(record.indexOf('/') + 1).startsWith(`${root}/`),
    );
    if (strange !== undefined)
      throw new RecordError(`groups.${at}.records`, `${strange} is not below ${one.group.from}`);
  }
  for (const [at, {project, steps}] of moves.entries()) {
    const group = owners.get(project.id)?.group;
    if (group === undefined) continue;
    const isMoving = steps.some(({kind}) => kind === 'change-path');
    if (isMoving || pathInGroup(project.from, group) !== project.to)
      throw new RecordError(`moves.${at}`, `${project.from} does not move with its group`);
  }
}

/** The path of a project after its group has moved; undefined: it is not below the group. */
function pathInGroup(
  path: string,
  {from, to}: {readonly from: string; readonly to: string},
): string | undefined {
  return path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : undefined;
}

function decodeMove(record: MoveRecord, place: string, reader: TableReader): ProjectMove {
  const {project, way, donor, fallback} = record;
  const manifests =
    record.manifests === undefined
      ? reader.manifests
      : reader.manifestsAt(record.manifests, `${place}.manifests`);
  if (fallback !== undefined && way !== 'native')
    throw new RecordError(`${place}.fallback`, 'only a native move has a fallback');
  const content = {
    project,
    way,
    donor,
    repositories: record.repositories.map((repository, at) =>
      decodeRepository(repository, `${place}.repositories.${at}`, reader),
    ),
    manifests,
  };
  const wayAt = (one: Pick<MoveRecord, 'steps' | 'downtimeSeconds'>, at: string): FallbackWay => {
    const steps = one.steps.map((step, number) =>
      decodeStep(step, `${at}.steps.${number}`, reader),
    );
    throwUnlessInOrder(steps, at);
    return {steps: withStepEstimates(steps, content), downtimeSeconds: one.downtimeSeconds};
  };
  const move = {
    ...content,
    ...wayAt(record, place),
    ...(fallback === undefined ? {} : {fallback: wayAt(fallback, `${place}.fallback`)}),
  };
  const strange = strangeness(move);
  if (strange !== undefined) throw new RecordError(place, strange);
  return move;
}

/**
 * Projects are moved one after the other, so two of them must not share steps or repositories.
 * @throws RecordError
 */
function throwUnlessSeparate(moves: readonly ProjectMove[]): void {
  const steps = new Set<string>();
  const projects = new Set<number>();
  const owners = new Map<string, number>();
  for (const [at, move] of moves.entries()) {
    const place = `moves.${at}`;
    if (projects.has(move.project.id))
      throw new RecordError(`${place}.project.id`, `${move.project.id} appears twice`);
    projects.add(move.project.id);
    const others = new Set(steps);
    throwUnlessUnique(move.steps, place, others, steps);
    throwUnlessUnique(move.fallback?.steps ?? [], `${place}.fallback`, others, steps);
    for (const {from, donor, to} of move.repositories) {
      for (const name of [from, donor, to]) {
        if ((owners.get(name) ?? at) !== at)
          throw new RecordError(
            `${place}.repositories`,
            `${name} belongs to another project as well`,
          );
        owners.set(name, at);
      }
    }
  }
}

/**
 * @param others step ids of other moves
 * @param all the set to which the ids of these steps are added
 * @throws RecordError
 */
function throwUnlessUnique(
  steps: readonly TransferStep[],
  place: string,
  others: ReadonlySet<string>,
  all: Set<string>,
): void {
  const own = new Set<string>();
  for (const [at, {id}] of steps.entries()) {
    if (own.has(id) || others.has(id))
      throw new RecordError(`${place}.steps.${at}.id`, `${id} appears twice`);
    own.add(id);
    all.add(id);
  }
}

/**
 * The first thing in a move that does not belong to it, as in a forged plan; undefined: there is none. GitLab has one
 * registry, and images are copied only between the repositories of the move, which belong to its project: a reviewer
 * reads the paths of projects, not of every repository.
 */
function strangeness(
  move: Pick<ProjectMove, 'project' | 'donor' | 'repositories' | 'steps' | 'fallback'>,
): string | undefined {
  const {
    donor: {kind},
    repositories,
  } = move;
  const atRegistry = repositories.flatMap(({from, donor: at, to}) =>
    kind === 'directory' ? [from, to] : [from, at, to],
  );
  const onDisk = kind === 'directory' ? repositories.map(({donor: at}) => at) : [];
  if (atRegistry.some(isOnDisk) || !onDisk.every(isOnDisk))
    return 'its repositories are not where a project or its donor keeps images';
  if (new Set(atRegistry.map((place) => place.split('/')[0])).size > 1)
    return 'its repositories are at more than one registry';
  const places = new Set([...atRegistry, ...onDisk]);
  const strange = possibleSteps(move)
    .flatMap(placesOf)
    .find((place) => !places.has(place));
  return strange === undefined
    ? ofAnotherProject(move)
    : `${strange} is not one of its repositories`;
}

/** The first repository of a move that does not belong to its project. */
function ofAnotherProject({
  project,
  donor,
  repositories,
}: Pick<ProjectMove, 'project' | 'donor' | 'repositories'>): string | undefined {
  const owned = repositories.flatMap(({from, donor: at, to}) => [
    [from, project.from] as const,
    [to, project.to] as const,
    ...(donor.kind === 'project' ? [[at, donor.path] as const] : []),
  ]);
  const stranger = owned.find(([repository, owner]) => !isOf(repository, owner));
  return stranger && `${stranger[0]} is not a repository of ${stranger[1]}`;
}

/** Whether a repository, `host/path`, is that of the project or below it. */
function isOf(repository: string, project: string): boolean {
  const path = repository.slice(repository.indexOf('/') + 1);
  const own = registryPathOf(project);
  return path === own || path.startsWith(`${own}/`);
}

function isOnDisk(place: string): boolean {
  return place.startsWith('oci:');
}

/** All repositories that a step reads or writes. */
function placesOf(planned: TransferStep): readonly string[] {
  switch (planned.kind) {
    case 'pull':
    case 'push':
      return [
        ...planned.copies.flatMap(({from, to}) => [from, to]),
        ...planned.blobs.flatMap(({from, to, mountFrom = from}) => [from, to, mountFrom]),
      ];
    case 'probe':
      return [planned.uploadsTo, ...planned.manifests.map(({repository: at}) => at)];
    default:
      return [];
  }
}

function decodeRepository(
  {from, donor, to, tags}: MoveRecord['repositories'][number],
  place: string,
  reader: TableReader,
): TransferRepository {
  return {
    from: reader.repository(from, `${place}.from`),
    donor: reader.repository(donor, `${place}.donor`),
    to: reader.repository(to, `${place}.to`),
    tags: tags.map(([name, digest, size]) => ({name, digest, size})),
  };
}

function decodeStep(step: StepRecord, place: string, reader: TableReader): UncostedStep {
  switch (step.kind) {
    case 'pull':
    case 'push': {
      const {copies, blobActions, ...rest} = step;
      const blobs = reader.blobs(blobActions, `${place}.blobActions`);
      const read = reader.copies(copies, `${place}.copies`);
      return {...rest, copies: withEstimates(read, reader.manifests, blobs), blobs};
    }
    case 'probe': {
      const uploadsTo = reader.repository(step.uploadsTo, `${place}.uploadsTo`);
      const manifests = step.manifests.map(([repository, digest], at) => ({
        repository: reader.repository(repository, `${place}.manifests.${at}.0`),
        digest,
      }));
      return {...step, uploadsTo, manifests};
    }
    default:
      return step;
  }
}

/** @throws RecordError if a step needs one that does not precede it */
function throwUnlessInOrder(steps: readonly UncostedStep[], move: string): void {
  const before = new Set<string>();
  for (const [at, {id, needs}] of steps.entries()) {
    const missing = needs.find((need) => !before.has(need));
    if (missing !== undefined)
      throw new RecordError(`${move}.steps.${at}.needs`, `${missing} is not a step before it`);
    before.add(id);
  }
}
