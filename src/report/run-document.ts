import type {RunResult, StatusResult, StepResult, VerifyResult} from '../model/outcome.ts';
import {
  copiesOf,
  type CopyPlan,
  creationsOf,
  deletionsOf,
  type Plan,
  type PlanStep,
  unchosenSkips,
} from '../model/plan.ts';
import {renderText} from './text.ts';
import {
  AS_JSON,
  code,
  driftSection,
  failureRow,
  failureSection,
  isLong,
  type RenderOptions,
  type ReportDocument,
  type Section,
  shardFacts,
} from './document.ts';
import {sidesOf} from './plan-document.ts';
import {skippedRow} from './repository-review.ts';
import {restoreDocument} from './restore-document.ts';
import {transferRunDocument} from './transfer-run-document.ts';
import {renderMarkdown} from './markdown.ts';
import {statusDocument} from './status-document.ts';
import {verifyDocument} from './verify-document.ts';
import {
  counted,
  formatBytes,
  formatDuration,
  imageName,
  interruptedWord,
  newAndMoving,
  printableJson,
} from './words.ts';

/** How to show the result of a run. */
interface RunRenderOptions extends RenderOptions {
  /** Whether the same command made the plan, as `copy` does. Default: before. */
  readonly planned?: 'now' | 'before';
  /** How long it took, in ms. */
  readonly tookMs?: number | undefined;
}

/** Nobody asks how fast a shorter run was, in ms. */
const LONG_RUN_MS = 5000;

/** Of a run that took its time: how long, how fast, what need not be sent, and what to run next. */
function longRunWords(
  {result, bytes}: RunResult,
  {blobs}: CopyPlan,
  {tookMs = 0, planned, planFile}: RunRenderOptions,
): string {
  if (tookMs < LONG_RUN_MS) return '';
  const sum = (wanted: string): number =>
    blobs.reduce((all, {action, size}) => (action === wanted ? all + size : all), 0);
  const [mounted, there] = [sum('mount'), sum('present')];
  const saved =
    mounted + there === 0
      ? ''
      : `; not sent: ${formatBytes(mounted)} mounted, ${formatBytes(there)} already there`;
  const rate = `${formatBytes((bytes.sent * 1000) / tookMs)}/s on average`;
  const isWhole = result === 'done' && planned === 'before' && planFile !== undefined;
  const next = isWhole ? ` Next: transship verify ${planFile}` : '';
  return ` It took ${formatDuration(tookMs)}, ${rate}${saved}.${next}`;
}

/** What a reader wants to know of a run: what drifted, what failed and why, what is left, and how much was done. */
function runDocument(
  result: RunResult,
  plan: Plan,
  options: RunRenderOptions & {readonly planned: 'now' | 'before'},
): ReportDocument {
  if (plan.kind === 'transfer') return transferRunDocument(result, plan, options);
  const {planned} = options;
  const {steps, drift = []} = result;
  const named = new Map(plan.steps.map((step) => [step.id, step]));
  const nameOf = ({id}: StepResult): string => {
    const step = named.get(id);
    return step === undefined ? id : stepName(step);
  };
  const withOutcome = (outcome: StepResult['outcome']) =>
    steps.filter((step) => step.outcome === outcome);
  /** What the next run does; of many it is enough how many. */
  const leftSection = (heading: string, outcome: StepResult['outcome']): Section => {
    const rows = withOutcome(outcome).map((step) => failureRow(code(nameOf(step)), step.error));
    const columns = ['Image', 'Code', 'Error'];
    return {heading, mark: '-', columns, rows, isDetail: true, isCounted: isLong(rows)};
  };
  return {
    ...(planned === 'now'
      ? {title: 'transship copy', facts: sidesOf(plan)}
      : {
          title: 'transship apply',
          facts: [['plan', result.plan] as const, ...shardFacts(result.shard, result.phase)],
        }),
    sections: [
      driftSection(drift),
      failureSection(
        'Image',
        withOutcome('failed').map((step) => ({name: nameOf(step), error: step.error})),
      ),
      {
        heading: 'Left out by the plan',
        mark: '!',
        columns: ['Image', 'Reason', 'Detail'],
        rows: unchosenSkips(plan).map(skippedRow),
      },
      leftSection('Blocked', 'blocked'),
      leftSection('Partly copied', 'interrupted'),
      leftSection('Not started', 'not-started'),
    ],
    summary: `${runSummary(result, plan, planned)}${longRunWords(result, plan, options)}`,
    everything: AS_JSON,
  };
}

function stepName(step: PlanStep): string {
  if (step.kind === 'copy') return imageName(step.to, step.tag, step.digest);
  if (step.kind === 'delete')
    return `${imageName(step.repository, step.tag, step.digest)} (to be deleted)`;
  return step.id;
}

/** Of a plan that only deletes, images that are copied are not spoken of. */
function runSummary(result: RunResult, plan: CopyPlan, planned: 'now' | 'before'): string {
  const deletes = plan.steps.length > 0 && plan.steps.every(({kind}) => kind === 'delete');
  return deletes && plan.wish.routes.length === 0
    ? deletionSummary(result)
    : copySummary(result, plan, planned);
}

/** What to do about steps that failed: some errors last until somebody removes their cause. */
function afterFailures(steps: RunResult['steps']): string {
  const isTemporary = steps.some(
    ({outcome, error}) => outcome === 'failed' && error?.retry === true,
  );
  return isTemporary
    ? 'Run the same command again to retry them.'
    : 'Follow the hints of the errors, then run the same command again.';
}

function deletionSummary({result, limit, steps, drift = []}: RunResult): string {
  const done = deletedWords(steps).slice(2);
  const failed = steps.filter(({outcome}) => outcome === 'failed').length;
  switch (result) {
    case 'done':
    case 'incomplete':
      return `Done: ${done}.`;
    case 'failed':
      return `Failed: ${failed} of ${counted(steps.length, 'deletion')} failed; ${done}. ${afterFailures(steps)}`;
    case 'interrupted':
      return `${interruptedWord(limit)}: ${done}. Run the same command again to resume.`;
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} changed since the plan was made; ${done}. Plan again.`;
  }
}

function copySummary(
  {result, limit, steps: all, blobs, bytes, drift = []}: RunResult,
  plan: CopyPlan,
  planned: 'now' | 'before',
): string {
  const creations = new Set(creationsOf(plan).map(({id}) => id));
  const deletions = new Set(deletionsOf(plan).map(({id}) => id));
  const steps = all.filter(({id}) => !deletions.has(id));
  const images = steps.filter(({id}) => !creations.has(id));
  const count = (outcome: StepResult['outcome'], among: readonly StepResult[] = images) =>
    among.filter((step) => step.outcome === outcome).length;
  const travelled = `${formatBytes(bytes.sent)} in ${counted(blobs.copied, 'blob')}`;
  const present = plan.totals.present + count('present');
  const skipped = plan.totals.skipped === 0 ? '' : `, ${plan.totals.skipped} left out by the plan`;
  const moving = new Set(
    copiesOf(plan).flatMap(({id, replaces}) => (replaces === null ? [] : [id])),
  );
  const moved = steps.filter(({id, outcome}) => outcome === 'done' && moving.has(id)).length;
  const copied = `${counted(count('done'), 'image')} copied${newAndMoving(count('done'), moved, 'moved', 'moved')}`;
  const deletionSteps = all.filter(({id}) => deletions.has(id));
  const others = `${blobs.mounted} mounted, ${present} already there${skipped}${deletedWords(deletionSteps)}`;
  const made = count('done', steps) - count('done');
  const created = made === 0 ? '' : `${made} of ${creations.size} groups and projects created, `;
  const done = `${created}${copied} (${travelled}), ${others}`;
  const left = images.length - count('done') - count('present') - count('failed');
  const failed = count('failed') === 0 ? '' : `, ${count('failed')} failed`;
  const failedCreations = count('failed', steps) - count('failed');
  const failures = [
    ...(failedCreations === 0
      ? []
      : [`${failedCreations} of ${creations.size} groups and projects not created`]),
    ...(count('failed', deletionSteps) === 0
      ? []
      : [
          `${count('failed', deletionSteps)} of ${counted(deletionSteps.length, 'deletion')} failed`,
        ]),
    `${count('failed')} of ${counted(images.length, 'image')} failed`,
  ].join(', ');
  switch (result) {
    case 'done':
      return `Done: ${done}.`;
    case 'incomplete':
      return `Incomplete: ${counted(unchosenSkips(plan).length, 'image')} could not be copied; ${done}. Leave them out with --exclude-tag, or repair them, for exit code 0.`;
    case 'failed':
      return `Failed: ${failures}, ${left} left; ${done}. ${afterFailures(steps)}`;
    case 'interrupted':
      return `${interruptedWord(limit)}: ${created}${count('done')} of ${counted(images.length, 'image')} copied, ${count('interrupted')} partly copied, ${left - count('interrupted')} not started${failed}; ${travelled} sent, ${others}. Run the same command again to resume.`;
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} changed since the plan was made; ${done}. ${planned === 'now' ? 'Run the same command again to make a new plan.' : 'Plan again.'}`;
  }
}

/** `, 3 tags deleted, 1 kept`; empty for a plan that deletes nothing. */
function deletedWords(steps: readonly StepResult[]): string {
  if (steps.length === 0) return '';
  const gone = steps.filter(({outcome}) => outcome === 'done').length;
  const before = steps.filter(({outcome}) => outcome === 'present').length;
  const kept = steps.length - gone - before;
  const already = before === 0 ? '' : `, ${before} gone before`;
  return `, ${counted(gone, 'tag')} deleted${already}${kept === 0 ? '' : `, ${kept} not deleted`}`;
}

/** `json` is the result itself: its codes and fields are a contract. */
export type OutcomeFormat = 'text' | 'markdown' | 'json';

/**
 * What came of applying `plan`, with a newline at the end. `planned`: whether the same command made the plan, as `copy`
 * does.
 */
export function renderRun(
  result: RunResult,
  plan: Plan,
  format: OutcomeFormat,
  {planned = 'before', ...options}: RunRenderOptions = {},
): string {
  if (format === 'json') return json(result);
  return render(runDocument(result, plan, {...options, planned}), format, options);
}

/** What came of putting back what `plan` deleted, with a newline at the end. */
export function renderRestore(result: RunResult, plan: CopyPlan, format: OutcomeFormat): string {
  return format === 'json' ? json(result) : render(restoreDocument(result, plan), format, {});
}

/** What differs from the plan at the destination, with a newline at the end. */
export function renderVerify(
  result: VerifyResult,
  format: OutcomeFormat,
  options: RenderOptions = {},
): string {
  return format === 'json' ? json(result) : render(verifyDocument(result), format, options);
}

/** How far a plan is, with a newline at the end. */
export function renderStatus(
  result: StatusResult,
  format: OutcomeFormat,
  options: RenderOptions = {},
): string {
  return format === 'json'
    ? json(result)
    : render(statusDocument(result, options), format, options);
}

function render(
  document: ReportDocument,
  format: Exclude<OutcomeFormat, 'json'>,
  options: RenderOptions,
): string {
  return format === 'text' ? renderText(document, options) : renderMarkdown(document, options);
}

function json(result: object): string {
  return `${printableJson(result, 2)}\n`;
}
