import type {StepOutcome} from '../model/event.ts';
import type {
  Drift,
  GroupResult,
  NextCommand,
  ProjectResult,
  RunResult,
  StepResult,
  TransferStanding,
} from '../model/outcome.ts';
import {
  allSteps,
  type GroupStep,
  possibleSteps,
  stepId,
  type TransferPlan,
  type TransferStep,
} from '../model/transfer-plan.ts';
import {
  AS_JSON,
  driftSection,
  failureSection,
  type RenderOptions,
  type ReportDocument,
  type Row,
  type Section,
  shardFacts,
} from './document.ts';
import {counted, formatBytes, interruptedWord} from './words.ts';

const PUT_BACK = 'put-back';

/** The steps that taking a project back at its old path has beside those of the plan. */
const BACKWARD = [
  [PUT_BACK, 'restore the images'],
  ['verify-old', 'compare the old path with the plan'],
  ['unfreeze', 'let everybody push again'],
  ['resume', 'restore the cleanup policy'],
] as const;
/** Steps of a plan that are undone have this before their ids. */
const UNDONE = 'back:';

/** Why a step is there when a project or a group that has moved is taken back. */
const WHY_BACK = {
  'create-donor': 'the images need a location while they are moved back',
  pause: 'it could delete tags during the move back',
  pull: 'the images need a location while they are moved back',
  verify: 'nothing is left at the new path that is not proved elsewhere',
  probe: '',
  'delete-old': 'GitLab does not move what has tags in its registry',
  'delete-records': 'GitLab does not move a group with image repositories',
  'change-path': 'the project was there before',
  'change-group': 'the group was there before',
  retag: 'the images are named after the path of their project',
  push: 'the images follow their project',
  freeze: 'a tag that is pushed during the move back would stop it',
  unfreeze: 'the rules were for the move only',
  'move-rules': 'the protection rules were so before',
  resume: 'the cleanup policy was enabled before',
  'remove-donor': '',
} as const satisfies Record<(TransferStep | GroupStep)['kind'], string>;

/** What came of transfers, step by step; of their images only those that failed. */
export function transferRunDocument(
  result: RunResult,
  plan: TransferPlan,
  {planFile}: RenderOptions = {},
): ReportDocument {
  const {steps, drift = [], projects = [], groups = []} = result;
  const {moves} = plan;
  const whys = new Map<string, string>(
    moves.flatMap(({project}) =>
      BACKWARD.map(([name, why]) => [stepId(name, project, moves.length), why] as const),
    ),
  );
  for (const {id, why, kind} of [...moves.flatMap(possibleSteps), ...allSteps(plan)]) {
    whys.set(id, why);
    whys.set(`${UNDONE}${id}`, WHY_BACK[kind]);
  }
  const isStep = ({id}: StepResult): boolean => whys.has(id);
  const failed = [
    ...[...groups, ...projects].flatMap(({from, error}) =>
      error === undefined ? [] : [{id: from, error}],
    ),
    ...steps.filter((step) => step.outcome === 'failed'),
  ];
  const stepsThat = (outcome: StepOutcome, heading: string, mark: Section['mark']): Section => ({
    heading,
    mark,
    columns: ['Step', 'Why'],
    rows: steps
      .filter((step) => isStep(step) && step.outcome === outcome)
      .map((step) => ({cells: [{code: step.id}, whys.get(step.id) ?? '']})),
  });
  const [only, ...others] = moves;
  return {
    title: isRollback(result) ? 'transship rollback' : 'transship apply',
    facts: [
      ['plan', result.plan],
      ...shardFacts(result.shard),
      ...groups.map(groupFact),
      only === undefined || others.length > 0 || groups.length > 0
        ? (['projects', String(moves.length)] as const)
        : (['project', `${only.project.from} to ${only.project.to}`] as const),
    ],
    sections: [
      driftSection(drift),
      failureSection(
        'Step',
        failed.map(({id, error}) => ({name: id, error})),
      ),
      {
        heading: 'Projects',
        mark: '~',
        columns: ['Project', 'Result', 'Images'],
        rows: others.length + groups.length === 0 ? [] : projects.map(projectRow),
        isWhole: true,
      },
      stepsThat('done', 'Done', '+'),
      stepsThat('present', 'Done before', '='),
      stepsThat('interrupted', 'Interrupted', '!'),
      stepsThat('not-started', 'Not started', '-'),
    ],
    summary: summaryOf(result, plan, isStep, planFile),
    everything: AS_JSON,
  };
}

/** Whether projects were taken back. */
function isRollback({steps}: RunResult): boolean {
  return steps.some(({id}) => id === PUT_BACK || /^(?:put-back|back):/.test(id));
}

/** Where a group is, in words. */
export function groupFact({
  from,
  to,
  group,
}: Pick<GroupResult, 'from' | 'to' | 'group'>): readonly ['group', string] {
  const where = {
    before: 'at its old path',
    between: 'between its old and its new path',
    after: 'at its new path',
  };
  const at = group === undefined ? '' : `: ${where[group]}`;
  return ['group', `${from} to ${to}${at}`];
}

const RESULTS = {
  done: 'done',
  incomplete: 'done',
  failed: 'failed',
  interrupted: 'interrupted',
  drift: 'stopped at drift',
  'not-started': 'not started',
} as const satisfies Record<ProjectResult['result'], string>;

function projectRow(project: ProjectResult): Row {
  const {from, standing, result} = project;
  return {
    cells: [
      {code: from},
      RESULTS[result],
      standing === undefined ? '' : placesText(standing, project),
    ],
  };
}

function summaryOf(
  result: RunResult,
  plan: TransferPlan,
  isStep: (step: StepResult) => boolean,
  planFile: string | undefined,
): string {
  const {limit, steps, blobs, bytes, drift = [], projects = []} = result;
  const images = steps.filter((step) => !isStep(step) && step.outcome === 'done').length;
  const travelled = `${formatBytes(bytes.sent)} in ${counted(blobs.copied, 'blob')}, ${blobs.mounted} mounted`;
  const done = `${counted(images, 'image')} copied (${travelled})`;
  const again = `"${nextCommand('apply', planFile)}" resumes it.`;
  const standings = projects.filter(({standing}) => standing !== undefined);
  const rest = standings.length === 0 ? again : restText(projects, planFile);
  switch (result.result) {
    case 'done':
      return `${doneText(result, plan)}; ${done}.`;
    // Only a plan of copies is carried out without some of its images.
    case 'incomplete':
    case 'failed':
      return standings.length === 0
        ? `Failed: see above. Follow the hint; ${rest}`
        : `Failed: see above; ${done}. ${rest}`;
    case 'interrupted':
      return `${interruptedWord(limit)}: ${done}. ${rest}`;
    case 'drift':
      return `Drift: ${counted(drift.length, 'tag')} changed since the plan was made; ${done}. ${missingText(drift, plan, projects) ?? rest}`;
  }
}

function doneText(result: RunResult, {moves}: TransferPlan): string {
  const {projects = []} = result;
  const planned = moves.map(({project, repositories}) => {
    const standing = projects.find(({id}) => id === project.id)?.standing;
    // With those that were taken along.
    return (
      standing?.images.total ??
      repositories.reduce((sum, repository) => sum + repository.tags.length, 0)
    );
  });
  const tags = planned.reduce((sum, count) => sum + count, 0);
  const [only, ...others] = moves;
  const [group] = result.groups ?? [];
  if (group !== undefined && result.groups?.length === 1) {
    const those = `${counted(moves.length, 'project')} with images, ${counted(tags, 'tag')}`;
    return isRollback(result)
      ? `Done: ${group.from} is as before (${those})`
      : `Done: moved the group ${group.from} to ${group.to} (${those})`;
  }
  if (only === undefined || others.length > 0) {
    return isRollback(result)
      ? `Done: ${counted(tags, 'tag')} of ${counted(moves.length, 'project')} are as before`
      : `Done: moved ${counted(moves.length, 'project')} (${counted(tags, 'tag')})`;
  }
  const {from, to} = only.project;
  return isRollback(result)
    ? `Done: ${counted(tags, 'tag')} of ${from} ${tags === 1 ? 'is' : 'are'} as before`
    : `Done: moved ${from} to ${to} (${counted(tags, 'tag')})`;
}

/** Tags that nobody here deleted and no donor shows: whether they wait there is not known. */
function missingText(
  drift: readonly Drift[],
  {moves}: TransferPlan,
  projects: readonly ProjectResult[],
): string | undefined {
  const missing = drift.filter(({side, actual}) => side === 'source' && actual === null);
  if (missing.length === 0 || projects.some(({standing}) => (standing?.images.donor ?? 0) > 0))
    return undefined;
  const gone = new Set(missing.map(({repository}) => repository));
  const donors = moves
    .filter(({repositories}) => repositories.some(({from}) => gone.has(from)))
    .map(({donor}) => donor.path);
  const [one, them] =
    donors.length > 1 ? ['donors', 'those donors are'] : ['donor', 'that donor is'];
  return `${counted(missing.length, 'tag')} of them ${missing.length === 1 ? 'is' : 'are'} gone from the old path and not found at the ${one} ${donors.join(', ')}. If an earlier run of this plan deleted them, apply or roll back where ${them} available; otherwise plan again.`;
}

/** What a command is for. */
const PURPOSES = {
  apply: 'to resume',
  'apply --adopt-new-tags': 'to include the new tags',
  rollback: 'to restore the images',
  plan: '',
} as const satisfies Record<NextCommand, string>;

/** Where the images are, which cleanup policies are off, and the commands that work now. */
function restText(projects: readonly ProjectResult[], planFile: string | undefined): string {
  const isOnly = projects.length === 1;
  const states = projects.flatMap((project) => {
    const {standing, from, result} = project;
    if (standing === undefined || (!isOnly && !isUnfinished(standing, result))) return [];
    const paused = standing.isPaused ? ` The cleanup policy of ${from} is disabled.` : '';
    return [`${placesText(standing, project)}${paused}`];
  });
  const commands = nextCommands(projects).map((command) => nextText(command, planFile));
  const advice = commands.length === 0 ? [] : [`Next: ${commands.join('; or ')}.`];
  return [...states, ...advice].join(' ');
}

/** Of several projects only those are told of that need somebody's attention. */
function isUnfinished(
  {images, project, isPaused}: TransferStanding,
  result: ProjectResult['result'],
): boolean {
  const isAway = images.donor > 0 || project === 'between';
  return isAway || isPaused || (result !== 'done' && result !== 'not-started');
}

/** The commands that work for all projects of a plan, those first that bring images back to a path. */
export function nextCommands(
  projects: readonly Pick<ProjectResult, 'standing'>[],
): readonly NextCommand[] {
  const standings = projects.flatMap(({standing}) => standing ?? []);
  const away = standings.filter(({images}) => images.donor > 0);
  const next = [...new Set([...away, ...standings].flatMap((standing) => standing.next))];
  // Where nothing has to come back, only a new plan helps against drift.
  return away.length === 0 && next.includes('plan') ? ['plan'] : next;
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

function placesText(
  {project, images, donor: place}: TransferStanding,
  {from, to}: Pick<ProjectResult, 'from' | 'to'>,
): string {
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
