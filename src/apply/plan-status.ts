import type {JournalStatus, StatusFailure, StatusResult} from '../model/outcome.ts';
import {copiesOf, type CopyPlan, type Plan} from '../model/plan.ts';
import {nameOf} from '../model/place.ts';
import {openUploads, uploadKey} from './journal.ts';
import type {JournalEntry} from './journal-file.ts';
import {entriesByProject, locationByJournal, sinceRollback, statusOf} from './transfer/standing.ts';
import {wayByJournal} from './transfer/native-way.ts';
import {groupOf} from '../model/transfer-plan.ts';
import {wantedBlobs} from './copy-run.ts';
import {copySetsOf} from '../plan/transfer/estimate.ts';

/** A journal of the plan. */
export interface StatusJournal {
  readonly file: string;
  readonly entries: readonly JournalEntry[];
}

/**
 * The progress of a plan according to its journals, without requests to registries.
 * @param files one, or one for each machine that works on the plan
 */
export function planStatus(plan: Plan, files: readonly StatusJournal[]): StatusResult {
  const journals = files.map(({entries}) => entries);
  const byProject = plan.kind === 'transfer' ? entriesByProject(plan, journals.flat()) : undefined;
  const {steps, blobs} = workOf(plan, journals.flat());
  const entries = byProject ? [...byProject.values()].flatMap(sinceRollback) : journals.flat();
  const latest = new Map<string, StepEntry>();
  const blobsDone = new Set<string>();
  for (const entry of entries) {
    if (entry.type === 'blob') blobsDone.add(uploadKey(entry.digest, entry.to));
    if (entry.type === 'step') latest.set(entry.id, entry);
  }
  const ends = steps.flatMap(({id}) => latest.get(id) ?? []);
  const failures = ends.filter((end) => !isDone(end));
  const done = ends.length - failures.length;
  const copied = blobs.filter(({action}) => action === 'copy');
  const uploads = openUploads(entries);
  const begun = new Set([...blobsDone, ...uploads.keys()]);
  const partly = plan.kind === 'copy' ? partlyCopied(plan, latest, begun) : 0;
  const ended = endOf(journals);
  const projects =
    plan.kind === 'transfer'
      ? plan.moves.map((move) =>
          statusOf(move, groupOf(move, plan.groups), byProject?.get(move.project.id) ?? []),
        )
      : undefined;
  return {
    plan: plan.id,
    unit: plan.kind === 'copy' && plan.steps.every(({kind}) => kind === 'copy') ? 'image' : 'step',
    steps: {
      done,
      failed: failures.length,
      left: steps.length - ends.length,
      partly,
      total: steps.length,
    },
    failures: failuresOf(plan, failures),
    bytes: {
      done: sum(copied.filter(({digest, to}) => blobsDone.has(uploadKey(digest, to)))),
      total: sum(copied),
    },
    uploads: copied.flatMap(({digest, to, size}) => {
      const upload = uploads.get(uploadKey(digest, to));
      return upload === undefined ? [] : [{digest, to, offset: upload.offset, size}];
    }),
    ...(ended === undefined ? {} : {ended}),
    ...(files.length > 1 ? {journals: files.map(journalStatus)} : {}),
    ...(projects === undefined ? {} : {projects}),
    ...(plan.kind === 'copy' || plan.groups === undefined
      ? {}
      : {
          groups: plan.groups.map(({group, steps: own}) => ({
            ...group,
            group: locationByJournal(own, journals.flat()),
          })),
        }),
  };
}

/** The state of the runs that wrote one of several journals. */
function journalStatus({file, entries}: StatusJournal): JournalStatus {
  const began = entries.findLast((entry) => entry.type === 'run')?.at;
  const last = entries.at(-1);
  const latest = new Map<string, StepEntry>();
  for (const entry of entries) if (entry.type === 'step') latest.set(entry.id, entry);
  const done = [...latest.values()].filter(isDone).length;
  return {
    file,
    ...(began === undefined ? {} : {began}),
    ...(last?.type === 'end' ? {ended: last.result, endedAt: last.at} : {}),
    done,
    failed: latest.size - done,
  };
}

type StepEntry = Extract<JournalEntry, {type: 'step'}>;

function isDone({outcome}: StepEntry): boolean {
  return outcome === 'done' || outcome === 'present';
}

function failuresOf(plan: Plan, entries: readonly StepEntry[]): readonly StatusFailure[] {
  const images = new Map<string, string>(
    plan.kind === 'copy'
      ? copiesOf(plan).map(({id, to, tag, digest}) => [id, nameOf(to, tag, digest)])
      : [],
  );
  return entries.map(({id, error}) => {
    const image = images.get(id);
    return {
      id,
      ...(image === undefined ? {} : {image}),
      ...(error === undefined ? {} : {error}),
    };
  });
}

/** Counts incomplete images with content at the destination. @param begun such blobs, by `uploadKey` */
function partlyCopied(
  plan: CopyPlan,
  ended: ReadonlyMap<string, unknown>,
  begun: ReadonlySet<string>,
): number {
  const planned = new Map(plan.manifests.map((manifest) => [manifest.digest, manifest]));
  const left = copiesOf(plan).filter(({id}) => !ended.has(id));
  return left.filter((step) => [...wantedBlobs([step], planned)].some((blob) => begun.has(blob)))
    .length;
}

/**
 * The units that are counted. For a transfer, these are its steps, since the location of single images says little.
 * Removing the donor does not count, since it is optional.
 */
function workOf(
  plan: Plan,
  entries: readonly JournalEntry[],
): Pick<CopyPlan, 'blobs'> & {readonly steps: readonly {readonly id: string}[]} {
  if (plan.kind === 'copy') return plan;
  const steps = plan.moves.flatMap((move) => wayByJournal(move, entries).steps);
  const blobs = copySetsOf(steps).flatMap((set) => set.blobs);
  const ofGroups = (plan.groups ?? []).flatMap((group) => group.steps);
  return {steps: [...steps.filter(({kind}) => kind !== 'remove-donor'), ...ofGroups], blobs};
}

/**
 * The worst result of the journals' last runs; undefined: one of them has not ended. A run that could not start is
 * ignored in favour of the one before it.
 */
function endOf(journals: readonly (readonly JournalEntry[])[]): StatusResult['ended'] {
  const ends = journals.map((entries) => entries.findLast(({type}) => type !== 'run'));
  if (ends.length === 0 || ends.some((entry) => entry?.type !== 'end')) return undefined;
  const results = ends.flatMap((entry) => (entry?.type === 'end' ? [entry.result] : []));
  return (['drift', 'failed', 'interrupted', 'incomplete', 'done'] as const).find((end) =>
    results.includes(end),
  );
}

function sum(blobs: readonly {readonly size: number}[]): number {
  return blobs.reduce((total, {size}) => total + size, 0);
}
