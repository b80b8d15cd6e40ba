import {PLAN_FORMAT} from '../model/plan.ts';
import type {
  CopySet,
  TransferPlan,
  TransferRepository,
  TransferStep,
} from '../model/transfer-plan.ts';
import {TableWriter} from './plan-tables.ts';
import {RecordError, TableReader} from './table-reader.ts';
import {totalsOf, withEstimates} from './totals.ts';
import type {
  MoveRecord,
  StepRecord,
  TransferPlanContent,
  TransferPlanFile,
} from './transfer-plan-schema.ts';

/** @throws TransshipError INTERNAL where the plan names what it does not hold */
export function encodeTransferPlan(plan: Omit<TransferPlan, 'id'>): TransferPlanContent {
  const {kind, wish, project, way, donor, steps, manifests, skipped, checks} = plan;
  const writer = new TableWriter(
    manifests,
    copySetsOf(steps).flatMap(({blobs}) => blobs),
  );
  const move = {
    project,
    way,
    donor,
    repositories: plan.repositories.map(({from, donor: at, to, tags}) => ({
      from: writer.repository(from),
      donor: writer.repository(at),
      to: writer.repository(to),
      tags: tags.map(({name, digest, size}) => [name, digest, size] as const),
    })),
    steps: steps.map((step) => encodeStep(step, writer)),
    downtimeSeconds: plan.downtimeSeconds,
  };
  const skips = writer.skips(skipped);
  return {
    format: PLAN_FORMAT,
    kind,
    wish,
    ...writer.tables,
    routes: writer.routes,
    moves: [move],
    skipped: skips,
    checks,
  };
}

function encodeStep(step: TransferStep, writer: TableWriter): StepRecord {
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
 * @param most entries of lists that the file does not write out
 * @throws RecordError
 */
export function decodeTransferPlan(file: TransferPlanFile, most: number): TransferPlan {
  const {format, id, signature, kind, wish, moves, checks} = file;
  const reader = new TableReader(file, file.routes, most);
  const [move, ...others] = moves;
  if (move === undefined || others.length > 0)
    throw new RecordError('moves', 'this version moves one project at a time');
  const {project, way, donor, downtimeSeconds} = move;
  const steps = move.steps.map((step, at) => decodeStep(step, `moves.0.steps.${at}`, reader));
  throwUnlessInOrder(steps);
  const sets = copySetsOf(steps);
  const skipped = reader.skips(file.skipped);
  const plan: TransferPlan = {
    format,
    id,
    ...(signature === undefined ? {} : {signature}),
    kind,
    wish,
    project,
    way,
    donor,
    repositories: move.repositories.map((repository, at) =>
      decodeRepository(repository, `moves.0.repositories.${at}`, reader),
    ),
    steps,
    manifests: reader.manifests,
    skipped,
    checks,
    totals: totalsOf(
      sets.flatMap(({copies}) => copies),
      sets.flatMap(({blobs}) => blobs),
      skipped,
    ),
    downtimeSeconds,
  };
  const strange = strangeness(plan);
  if (strange !== undefined) throw new RecordError('moves.0', strange);
  return plan;
}

/**
 * What a plan names that has no part in the transfer, whoever wrote it; undefined: nothing. GitLab has one registry, and
 * images go from and to the repositories of the plan alone.
 */
function strangeness(
  plan: Pick<TransferPlan, 'donor' | 'repositories' | 'steps'>,
): string | undefined {
  const {
    donor: {kind},
    repositories,
    steps,
  } = plan;
  const atRegistry = repositories.flatMap(({from, donor: at, to}) =>
    kind === 'directory' ? [from, to] : [from, at, to],
  );
  const onDisk = kind === 'directory' ? repositories.map(({donor: at}) => at) : [];
  if (atRegistry.some(isOnDisk) || !onDisk.every(isOnDisk))
    return 'its repositories are not where the images of a project or its donor are';
  if (new Set(atRegistry.map((place) => place.split('/')[0])).size > 1)
    return 'its repositories are at more than one registry';
  const places = new Set([...atRegistry, ...onDisk]);
  const strange = steps.flatMap(placesOf).find((place) => !places.has(place));
  return strange === undefined ? undefined : `${strange} is not one of its repositories`;
}

function isOnDisk(place: string): boolean {
  return place.startsWith('oci:');
}

/** Every place that a step reads or writes. */
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

function decodeStep(step: StepRecord, place: string, reader: TableReader): TransferStep {
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

/** @throws RecordError where two steps have the same id, or one needs what does not come before it */
function throwUnlessInOrder(steps: readonly TransferStep[]): void {
  const before = new Set<string>();
  for (const [at, {id, needs}] of steps.entries()) {
    const place = `moves.0.steps.${at}`;
    if (before.has(id)) throw new RecordError(`${place}.id`, `${id} is there twice`);
    const missing = needs.find((need) => !before.has(need));
    if (missing !== undefined)
      throw new RecordError(`${place}.needs`, `${missing} is no step before it`);
    before.add(id);
  }
}

/** What the steps copy, in their order. */
function copySetsOf(steps: readonly TransferStep[]): readonly CopySet[] {
  return steps.flatMap((step) => (step.kind === 'pull' || step.kind === 'push' ? [step] : []));
}
