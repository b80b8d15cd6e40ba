import type {RunResult, StepResult} from '../model/outcome.ts';
import type {CopyPlan, Plan} from '../model/plan.ts';
import {formatBytes} from './bytes.ts';
import type {RenderOptions, ReportDocument, Row} from './document.ts';
import {driftRow} from './drift-row.ts';
import {transferRunDocument} from './transfer-run-document.ts';
import {counted, imageName} from './words.ts';

/** What a reader wants to know of a run: what drifted, what failed and why, what is left, and how much was done. */
export function runDocument(
  result: RunResult,
  plan: Plan,
  options: RenderOptions = {},
): ReportDocument {
  if (plan.kind === 'transfer') return transferRunDocument(result, plan, options);
  const {steps, drift = []} = result;
  const named = new Map(plan.steps.map((step) => [step.id, step]));
  const withOutcome = (outcome: StepResult['outcome']) =>
    steps.filter((step) => step.outcome === outcome);
  const row = ({id, error}: StepResult): Row => {
    const step = named.get(id);
    const image = step ? imageName(step.to, step.tag, step.digest) : id;
    const cells = [{code: image}, {code: error?.code ?? ''}, error?.message ?? ''];
    return error ? {cells, hint: error.hint} : {cells};
  };
  const columns = ['Image', 'Code', 'Error'];
  return {
    title: 'transship apply',
    facts: [['plan', result.plan]],
    sections: [
      {
        heading: 'Drift',
        mark: '!',
        columns: ['Tag', 'Side', 'Planned', 'Found'],
        rows: drift.map(driftRow),
      },
      {heading: 'Failed', mark: '!', columns, rows: withOutcome('failed').map(row), isWhole: true},
      {heading: 'Blocked', mark: '-', columns, rows: withOutcome('blocked').map(row)},
      {
        heading: 'Not started',
        mark: '-',
        columns,
        rows: withOutcome('not-started').map(row),
        isDetail: true,
      },
    ],
    summary: runSummary(result, plan),
  };
}

function runSummary({result, steps, blobs, bytes, drift = []}: RunResult, plan: CopyPlan): string {
  const count = (outcome: StepResult['outcome']) =>
    steps.filter((step) => step.outcome === outcome).length;
  const travelled = `${formatBytes(bytes.sent)} in ${counted(blobs.copied, 'blob')}`;
  const present = plan.totals.present + count('present');
  const skipped = plan.totals.skipped === 0 ? '' : `, ${plan.totals.skipped} left out by the plan`;
  const done = `${counted(count('done'), 'image')} copied (${travelled}), ${blobs.mounted} mounted, ${present} already there${skipped}`;
  const left = steps.length - count('done') - count('present') - count('failed');
  switch (result) {
    case 'done':
      return `Done: ${done}.`;
    case 'failed':
      return `Failed: ${count('failed')} of ${counted(steps.length, 'image')} failed, ${left} left; ${done}. Apply again to try those again.`;
    case 'interrupted':
      return `Interrupted: ${left} of ${counted(steps.length, 'image')} left; ${done}. Apply again to go on.`;
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} changed since the plan was made; ${done}. Plan again.`;
  }
}
