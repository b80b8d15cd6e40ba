import type {RunResult, StepResult} from '../model/outcome.ts';
import {type CopyPlan, deletionsOf} from '../model/plan.ts';
import {AS_JSON, driftRow, failureSection, type ReportDocument} from './document.ts';
import {counted, imageName} from './words.ts';

/**
 * The result of restoring deleted tags: tags that were pushed since, failures with reasons, and the number restored.
 */
export function restoreDocument(result: RunResult, plan: CopyPlan): ReportDocument {
  const {steps, drift = []} = result;
  const names = new Map(
    deletionsOf(plan).map(({id, repository, tag, digest}) => [
      id,
      imageName(repository, tag, digest),
    ]),
  );
  const count = (outcome: StepResult['outcome']) =>
    steps.filter((step) => step.outcome === outcome).length;
  const failed = steps.filter(
    ({outcome, error}) => outcome === 'failed' && error?.code !== 'DRIFT',
  );
  const there = count('present') === 0 ? '' : `, ${count('present')} already there`;
  const back = `${counted(count('done'), 'tag')} restored${there}`;
  return {
    title: 'transship rollback',
    facts: [['plan', result.plan]],
    sections: [
      {
        heading: 'Pushed since then',
        mark: '!',
        columns: ['Tag', 'Side', 'Deleted', 'Found'],
        rows: drift.map(driftRow),
      },
      failureSection(
        'Image',
        failed.map(({id, error}) => ({name: names.get(id) ?? id, error})),
      ),
    ],
    summary: summaryOf(result, back, failed.length),
    everything: AS_JSON,
  };
}

function summaryOf({result, drift = [], steps}: RunResult, back: string, failed: number): string {
  switch (result) {
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} pushed since then and not changed; ${back}.`;
    case 'failed':
      return `Failed: ${failed} of ${counted(steps.length, 'tag')} not restored; ${back}.`;
    case 'interrupted':
      return `Interrupted: ${back} of ${steps.length}. Run the same command again to resume.`;
    case 'done':
    case 'incomplete':
      return `Done: ${back}.`;
  }
}
