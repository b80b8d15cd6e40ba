import type {Digest} from '../model/digest.ts';
import type {DeleteStep, Skip} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import {isLocal, nameOf} from '../model/place.ts';
import {DELETE_ESTIMATE, deleteId, sortedPlaces, usualDeleteReason} from './delete-steps.ts';
import {notWhole, placeOf, type TableWriter} from './plan-tables.ts';
import type {DeleteRecord} from './schema-parts.ts';
import {RecordError, type TableReader} from './table-reader.ts';

/** An image at a destination: one that is copied there, or that was found there. */
interface DestinationImage {
  readonly to: string;
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** The lists that deletions refer to by index: the copies of the plan and its skips. */
export interface DeletionContext {
  readonly copies: readonly DestinationImage[];
  readonly skipped: readonly Skip[];
}

/**
 * The records in a plan file. @throws TransshipError INTERNAL if the plan refers to something that it does not contain
 */
export function deleteRecordsOf(
  steps: readonly DeleteStep[],
  {copies, skipped}: DeletionContext,
  writer: TableWriter,
): readonly DeleteRecord[] {
  const copied = new Map(copies.map((copy, at) => [placeKey(copy), at]));
  const present = new Map(
    skipped.flatMap((skip, at) => (skip.reason === 'present' ? [[placeKey(skip), at]] : [])),
  );
  const places = new Map(steps.map(({id}, at) => [id, at]));
  return steps.map((step) => {
    const {repository, tag, digest, reason, verified, needs, why} = step;
    const proofs = verified.map((place) => placeKey({...place, digest}));
    const fromCopies = proofs.flatMap((key) => copied.get(key) ?? []);
    const fromSkips = proofs.flatMap((key) => (copied.has(key) ? [] : (present.get(key) ?? [])));
    if (fromCopies.length + fromSkips.length < proofs.length) throw notWhole(step.id);
    return {
      repository: writer.repository(repository),
      ...(tag === undefined ? {} : {tag}),
      ...(proofs.length === 0 ? {digest} : {}),
      reason,
      ...(fromCopies.length === 0 ? {} : {copies: fromCopies}),
      ...(fromSkips.length === 0 ? {} : {present: fromSkips}),
      ...(needs.length === 0 ? {} : {needs: needs.map((id) => placeOf(id, places))}),
      ...(why === usualDeleteReason(step) ? {} : {why}),
    };
  });
}

/**
 * Reads records of a file that may have been forged: a `moved` tag must be verified in another repository, with the
 * digest that is deleted.
 * @throws RecordError
 */
export function deletionsFrom(
  records: readonly DeleteRecord[],
  context: DeletionContext,
  reader: TableReader,
): readonly DeleteStep[] {
  const steps: DeleteStep[] = [];
  const ids = new Set<string>();
  for (const [at, record] of records.entries()) {
    const step = deletionFrom(record, `deletions.${at}`, steps, context, reader);
    if (ids.has(step.id)) throw new RecordError(`deletions.${at}`, `${step.id} appears twice`);
    ids.add(step.id);
    steps.push(step);
  }
  return steps;
}

function deletionFrom(
  record: DeleteRecord,
  place: string,
  before: readonly DeleteStep[],
  context: DeletionContext,
  reader: TableReader,
): DeleteStep {
  const {tag, reason, needs = [], why = usualDeleteReason(record)} = record;
  const repository = reader.repository(record.repository, `${place}.repository`);
  if (isLocal(repository)) throw new RecordError(place, 'tags are deleted in registries only');
  const proofs = proofsOf(record, place, context);
  const digest = record.digest ?? proofs[0]?.digest;
  if (digest === undefined) throw new RecordError(place, 'it has no digest');
  if ((reason === 'moved') !== proofs.length > 0)
    throw new RecordError(
      place,
      'a moved tag needs copies to verify, and no other tag may have them',
    );
  for (const proof of proofs) {
    if (proof.digest !== digest)
      throw new RecordError(
        place,
        `${proof.digest} would be verified, but ${digest} would be deleted`,
      );
    if (proof.to === repository)
      throw new RecordError(
        place,
        'it would be verified in the repository that it is deleted from',
      );
  }
  const named = {repository, ...(tag === undefined ? {} : {tag}), digest};
  return {
    kind: 'delete',
    id: deleteId(named),
    ...named,
    reason,
    verified: sortedPlaces(proofs, digest),
    needs: needs.map((need) => {
      const step = before[need];
      if (step?.repository === repository) return step.id;
      throw new RecordError(
        `${place}.needs`,
        `${need} is not a deletion before it in its repository`,
      );
    }),
    why,
    estimate: DELETE_ESTIMATE,
  };
}

function proofsOf(
  {copies = [], present = []}: DeleteRecord,
  place: string,
  context: DeletionContext,
): readonly DestinationImage[] {
  return [
    ...copies.map((index) => {
      const copy = context.copies[index];
      if (copy === undefined) throw new RecordError(`${place}.copies`, `${index} is not in copies`);
      return copy;
    }),
    ...present.map((index) => {
      const skip = context.skipped[index];
      if (skip?.reason === 'present') return skip;
      throw new RecordError(`${place}.present`, `${index} is not an image that is present`);
    }),
  ];
}

function placeKey({to, tag, digest}: DestinationImage): string {
  return `${nameOf(to, tag, digest)} ${digest}`;
}
