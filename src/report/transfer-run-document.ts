import type {StepOutcome} from '../model/event.ts';
import type {
  Drift,
  NextCommand,
  RunResult,
  StepResult,
  TransferStanding,
} from '../model/outcome.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {
  AS_JSON,
  driftRow,
  failureSection,
  type RenderOptions,
  type ReportDocument,
  type Section,
} from './document.ts';
import {counted, formatBytes, interruptedWord} from './words.ts';

const PUT_BACK = 'put-back';

/** The steps that putting images back has beside those of the plan. */
const BACKWARD: ReadonlyMap<string, string> = new Map([
  [PUT_BACK, 'restore the images'],
  ['verify-old', 'compare the old path with the plan'],
  ['resume', 'restore the cleanup policy'],
]);

/** What came of a transfer, step by step; of its images only those that failed. */
export function transferRunDocument(
  result: RunResult,
  plan: TransferPlan,
  {planFile}: RenderOptions = {},
): ReportDocument {
  const {steps, drift = []} = result;
  const kinds = new Map<string, string>(plan.steps.map(({id, why}) => [id, why]));
  const isStep = ({id}: StepResult): boolean => kinds.has(id) || BACKWARD.has(id);
  const failed = steps.filter((step) => step.outcome === 'failed');
  const why = ({id}: StepResult): string => kinds.get(id) ?? BACKWARD.get(id) ?? '';
  const stepsThat = (outcome: StepOutcome, heading: string, mark: Section['mark']): Section => ({
    heading,
    mark,
    columns: ['Step', 'Why'],
    rows: steps
      .filter((step) => isStep(step) && step.outcome === outcome)
      .map((step) => ({cells: [{code: step.id}, why(step)]})),
  });
  return {
    title: steps.some(({id}) => id === PUT_BACK) ? 'transship rollback' : 'transship apply',
    facts: [
      ['plan', result.plan],
      ['project', `${plan.project.from} to ${plan.project.to}`],
    ],
    sections: [
      {
        heading: 'Drift',
        mark: '!',
        columns: ['Tag', 'Side', 'Planned', 'Found'],
        rows: drift.map(driftRow),
      },
      failureSection(
        'Step',
        failed.map(({id, error}) => ({name: id, error})),
      ),
      stepsThat('done', 'Done', '+'),
      stepsThat('present', 'Done before', '='),
      stepsThat('interrupted', 'Interrupted', '!'),
      stepsThat('not-started', 'Not started', '-'),
    ],
    summary: summaryOf(result, plan, isStep, planFile),
    everything: AS_JSON,
  };
}

function summaryOf(
  {result, limit, steps, blobs, bytes, drift = [], transfer}: RunResult,
  plan: TransferPlan,
  isStep: (step: StepResult) => boolean,
  planFile: string | undefined,
): string {
  const {from, to} = plan.project;
  const planned = plan.repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
  // With those that were taken along.
  const tags = transfer?.images.total ?? planned;
  const images = steps.filter((step) => !isStep(step) && step.outcome === 'done').length;
  const travelled = `${formatBytes(bytes.sent)} in ${counted(blobs.copied, 'blob')}, ${blobs.mounted} mounted`;
  const done = `${counted(images, 'image')} copied (${travelled})`;
  const isBack = steps.some(({id}) => id === PUT_BACK);
  const again = `"${nextCommand('apply', planFile)}" resumes it.`;
  const rest = transfer === undefined ? again : standingText(transfer, planFile);
  switch (result) {
    case 'done':
      return isBack
        ? `Done: ${counted(tags, 'tag')} of ${from} ${tags === 1 ? 'is' : 'are'} as before; ${done}.`
        : `Done: moved ${from} to ${to} (${counted(tags, 'tag')}); ${done}.`;
    // Only a plan of copies is carried out without some of its images.
    case 'incomplete':
    case 'failed':
      return transfer === undefined
        ? `Failed: see above. Follow the hint; ${rest}`
        : `Failed: see above; ${done}. ${rest}`;
    case 'interrupted':
      return `${interruptedWord(limit)}: ${done}. ${rest}`;
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} changed since the plan was made; ${done}. ${missingText(drift, plan, transfer) ?? rest}`;
  }
}

/** Tags that nobody here deleted and the donor does not show: whether they wait there is not known. */
function missingText(
  drift: readonly Drift[],
  {donor}: TransferPlan,
  standing: RunResult['transfer'],
): string | undefined {
  const missing = drift.filter(({side, actual}) => side === 'source' && actual === null).length;
  if (missing === 0 || (standing?.images.donor ?? 0) > 0) return undefined;
  return `${counted(missing, 'tag')} of them ${missing === 1 ? 'is' : 'are'} gone from the old path and not found at the donor ${donor.path}. If an earlier run of this plan deleted them, apply or roll back where that donor is available; otherwise plan again.`;
}

/** What a command is for. */
const PURPOSES = {
  apply: 'to resume',
  'apply --adopt-new-tags': 'to include the new tags',
  rollback: 'to restore the images',
  plan: '',
} as const satisfies Record<NextCommand, string>;

/** Where the images of a transfer are, whether its cleanup policy is off, and the commands that work now. */
function standingText(standing: TransferStanding, planFile: string | undefined): string {
  const {isPaused, from, next} = standing;
  const paused = isPaused ? ` The cleanup policy of ${from} is disabled.` : '';
  const commands = next.map((command) => nextText(command, planFile));
  const advice = commands.length === 0 ? '' : ` Next: ${commands.join('; or ')}.`;
  return `${placesText(standing)}${paused}${advice}`;
}

/** The command as it is typed; a plan is made anew with the flags that it was made with. */
export function nextCommand(command: NextCommand, planFile = 'PLAN'): string {
  const [name, ...flags] = command.split(' ');
  return command === 'plan'
    ? 'transship plan transfer'
    : ['transship', name, planFile, ...flags].join(' ');
}

function nextText(command: NextCommand, planFile: string | undefined): string {
  if (command === 'plan') return 'plan again';
  return `"${nextCommand(command, planFile)}" ${PURPOSES[command]}`;
}

function placesText({project, from, to, images, donor: place}: TransferStanding): string {
  const {total, donor, target} = images;
  if (project === 'before') {
    return donor === 0
      ? `No images were deleted at the old path ${from}.`
      : `${counted(donor, 'tag')} of ${from} ${donor === 1 ? 'is' : 'are'} gone from the old path and ${waits(donor, place)}.`;
  }
  const rest = donor === 0 ? '' : `; ${counted(donor, 'tag')} ${waits(donor, place)}`;
  return project === 'after'
    ? `The project is at ${to} with ${target} of ${counted(total, 'tag')}${rest}.`
    : `The project has left ${from} and is not at ${to} yet${rest}.`;
}

function waits(tags: number, place: string): string {
  return `${tags === 1 ? 'waits' : 'wait'} at ${place}`;
}
