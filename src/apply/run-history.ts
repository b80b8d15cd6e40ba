import type {RunHistory, RunSpan, StepSpan, TimeSlice} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import type {Plan} from '../model/plan.ts';
import {copySetsOf} from '../plan/transfer/estimate.ts';
import type {JournalEntry} from './journal-file.ts';
import {planStatus, type StatusJournal} from './plan-status.ts';

/** Slices of the time in which runs worked. */
const SLICES = 60;
/** Runs, steps, failures and retries that are kept by name: the rest is counted. */
const RUNS_LIMIT = 100;
const STEPS_LIMIT = 50;
const FAILURES_LIMIT = 500;
const RETRIES_LIMIT = 200;
/** A time line shows nothing below this, in ms. */
const LEAST_SPAN = 1;

/**
 * What the journals of a plan say of its runs over time. Its size does not depend on that of the plan: what is more
 * than the limits above is counted.
 * @returns undefined where no run has begun
 */
export function runHistory(plan: Plan, journals: readonly StatusJournal[]): RunHistory | undefined {
  const runs = journals.flatMap(runsOf).toSorted((a, b) => a.span.began - b.span.began);
  if (runs.length === 0) return undefined;
  const clock = new WorkingTime(runs.map(({span}) => span));
  const names = namesOf(plan);
  const steps: StepSpan[] = [];
  const slices = Array.from({length: SLICES}, (): Mutable<TimeSlice> => ({...NOTHING}));
  const sliceAt = (time: number): Mutable<TimeSlice> | undefined =>
    slices[Math.min(SLICES - 1, Math.floor((clock.at(time) / clock.total) * SLICES))];
  const retries: RunHistory['retries'][number][] = [];
  let retryCount = 0;
  for (const {entries, span} of runs) {
    for (const entry of entries) {
      // A step without a time was written by an earlier version, before its run ended.
      const time = timeOf(entry) ?? (entry.type === 'step' ? span.ended : undefined);
      if (time === undefined) continue;
      const slice = sliceAt(time);
      if (entry.type === 'retry') {
        retryCount += 1;
        if (slice) slice.retries += 1;
        const {what, code, delayMs} = entry;
        if (retries.length < RETRIES_LIMIT) retries.push({at: clock.at(time), what, code, delayMs});
      }
      if (entry.type === 'blob' && entry.bytes !== undefined)
        spread(entry.bytes, clock.at(time - (entry.ms ?? 0)), clock.at(time), clock.total, slices);
      if (entry.type !== 'step') continue;
      const isFailed = entry.outcome === 'failed' || entry.outcome === 'blocked';
      if (slice && isFailed) slice.failed += 1;
      if (slice && entry.outcome === 'done') slice.done += 1;
      const began = clock.at(Math.max(span.began, time - (entry.ms ?? 0)));
      steps.push({
        name: names.get(entry.id) ?? entry.id,
        began,
        ended: clock.at(time),
        ms: entry.ms ?? 0,
        outcome: entry.outcome,
        ...(entry.error === undefined ? {} : {error: entry.error}),
      });
    }
  }
  const worked = steps.filter(({outcome}) => outcome !== 'present');
  const longest = worked.toSorted((a, b) => b.ms - a.ms).slice(0, STEPS_LIMIT);
  const failures = steps.filter(({error}) => error !== undefined);
  return {
    status: planStatus(plan, journals),
    began: new Date(clock.began).toISOString(),
    ended: new Date(clock.ended).toISOString(),
    workedMs: clock.total,
    breaks: clock.breaks,
    isTimed: steps.length === 0 || runs.some(({entries}) => entries.some(isTimedStep)),
    runs: runs.slice(0, RUNS_LIMIT).map((run) => runSpan(run, clock)),
    moreRuns: Math.max(0, runs.length - RUNS_LIMIT),
    slices: slices.map((slice) => ({...slice, bytes: Math.round(slice.bytes)})),
    steps: longest.toSorted((a, b) => a.began - b.began),
    moreSteps: worked.length - longest.length,
    failures: failures.slice(0, FAILURES_LIMIT),
    moreFailures: Math.max(0, failures.length - FAILURES_LIMIT),
    retries,
    moreRetries: retryCount - retries.length,
  };
}

type Mutable<T> = {-readonly [K in keyof T]: T[K]};

const NOTHING: TimeSlice = {bytes: 0, done: 0, failed: 0, retries: 0};

/** One run, with what it wrote to its journal. */
interface JournaledRun {
  readonly file: string;
  readonly entries: readonly JournalEntry[];
  readonly span: Span;
}

/** Points in time, in ms since 1970. */
interface Span {
  readonly began: number;
  readonly ended: number;
}

/** The runs of one journal. One that was killed ends with the last that it wrote. */
function runsOf({file, entries}: StatusJournal): readonly JournaledRun[] {
  const runs: {readonly began: number; readonly entries: JournalEntry[]}[] = [];
  for (const entry of entries) {
    if (entry.type === 'run') runs.push({began: Date.parse(entry.at), entries: []});
    else runs.at(-1)?.entries.push(entry);
  }
  return runs.map(({began, entries: own}) => {
    const ended = own.reduce((latest, entry) => Math.max(latest, timeOf(entry) ?? began), began);
    return {file, entries: own, span: {began, ended: Math.max(ended, began + LEAST_SPAN)}};
  });
}

function timeOf(entry: JournalEntry): number | undefined {
  return 'at' in entry && entry.at !== undefined ? Date.parse(entry.at) : undefined;
}

function isTimedStep(entry: JournalEntry): boolean {
  return entry.type === 'step' && entry.at !== undefined;
}

/** The time in which at least one run worked: the nights between them are left out. */
class WorkingTime {
  readonly began: number;
  readonly ended: number;
  /** ms. */
  readonly total: number;
  /** Where something is left out, by the time that was worked before. */
  readonly breaks: RunHistory['breaks'];
  readonly #spans: readonly (Span & {readonly before: number})[];

  /** @param spans at least one, in the order of their beginnings */
  constructor(spans: readonly Span[]) {
    const merged: Span[] = [];
    for (const span of spans) {
      const last = merged.at(-1);
      if (last === undefined || span.began > last.ended) merged.push(span);
      else merged.splice(-1, 1, {began: last.began, ended: Math.max(last.ended, span.ended)});
    }
    let before = 0;
    this.#spans = merged.map((span) => {
      const placed = {...span, before};
      before += span.ended - span.began;
      return placed;
    });
    this.total = before;
    this.began = merged[0]?.began ?? 0;
    this.ended = merged.at(-1)?.ended ?? 0;
    this.breaks = this.#spans.slice(1).map((span, at) => ({
      at: span.before,
      ms: span.began - (merged[at]?.ended ?? span.began),
    }));
  }

  /** How long was worked before a point in time, in ms. */
  at(time: number): number {
    const span = this.#spans.findLast(({began}) => began <= time);
    if (span === undefined) return 0;
    return span.before + Math.min(time, span.ended) - span.began;
  }
}

function runSpan({file, entries, span}: JournaledRun, clock: WorkingTime): RunSpan {
  const last = entries.at(-1);
  const count = (...outcomes: readonly string[]) =>
    entries.filter((entry) => entry.type === 'step' && outcomes.includes(entry.outcome)).length;
  return {
    file,
    at: new Date(span.began).toISOString(),
    began: clock.at(span.began),
    ended: clock.at(span.ended),
    ...(last?.type === 'end' ? {result: last.result} : {}),
    done: count('done'),
    present: count('present'),
    failed: count('failed', 'blocked'),
    bytes: entries.reduce(
      (sum, entry) => sum + (entry.type === 'blob' ? (entry.bytes ?? 0) : 0),
      0,
    ),
    retries: entries.filter(({type}) => type === 'retry').length,
  };
}

/** What was sent from one time to another, over the slices between them. */
function spread(
  bytes: number,
  from: number,
  to: number,
  total: number,
  slices: readonly Mutable<TimeSlice>[],
): void {
  const width = total / SLICES;
  const [first, last] = [from, to].map((time) => Math.min(SLICES - 1, Math.floor(time / width)));
  if (first === undefined || last === undefined) return;
  const length = Math.max(to - from, 0);
  for (let at = first; at <= last; at++) {
    const inside = Math.min(to, (at + 1) * width) - Math.max(from, at * width);
    const part = length === 0 || first === last ? 1 : Math.max(0, inside) / length;
    const slice = slices[at];
    if (slice !== undefined) slice.bytes += bytes * part;
  }
}

/** What steps are called that copy an image. */
function namesOf(plan: Plan): ReadonlyMap<string, string> {
  const copies =
    plan.kind === 'copy'
      ? plan.steps.flatMap((step) => (step.kind === 'copy' ? [step] : []))
      : copySetsOf(plan.moves.flatMap(({steps}) => steps)).flatMap((set) => set.copies);
  return new Map(copies.map(({id, to, tag, digest}) => [id, nameOf(to, tag, digest)]));
}
