import type {JournalStatus, ProjectStatus, StatusResult} from '../model/outcome.ts';
import {
  AS_JSON,
  code,
  digestCell,
  failureSection,
  type RenderOptions,
  type ReportDocument,
  type Row,
  shardFacts,
} from './document.ts';
import {groupFact, nextCommand, nextCommands} from './transfer-run-document.ts';
import {counted, formatBytes} from './words.ts';

const ENDINGS = {
  done: 'the last run finished',
  incomplete: 'the last run finished, without images that the plan leaves out',
  failed: 'the last run finished with failures',
  interrupted: 'the last run was interrupted',
  drift: 'the last run stopped at drift',
} as const satisfies Record<NonNullable<StatusResult['ended']>, string>;

/** How far a plan is: what failed, images, bytes, and uploads that can be continued. */
export function statusDocument(
  {
    plan,
    shard,
    unit,
    steps,
    failures,
    bytes,
    uploads,
    ended,
    journals = [],
    projects = [],
    groups = [],
  }: StatusResult,
  {planFile}: RenderOptions = {},
): ReportDocument {
  const {done, failed, left, partly, total} = steps;
  const begun = partly === 0 ? '' : `, ${partly} of them partly copied`;
  const amount = `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`;
  const ending = ended === undefined ? openEnd(journals) : ENDINGS[ended];
  const [only, ...others] = projects;
  const facts = others.length === 0 && only !== undefined ? projectFacts(only) : [];
  const next = nextCommands(projects).map(
    (command) => ['next', nextCommand(command, planFile)] as const,
  );
  return {
    title: 'transship status',
    facts: [['plan', plan], ...shardFacts(shard), ...groups.map(groupFact), ...facts, ...next],
    sections: [
      failureSection(
        unit === 'image' ? 'Image' : 'Step',
        failures.map(({id, image = id, error}) => ({name: image, error})),
      ),
      {
        heading: 'Projects',
        mark: '~',
        columns: ['Project', 'Last run', 'Old path', 'Donor', 'New path', 'Next'],
        rows: others.length === 0 ? [] : projects.map((project) => projectRow(project, planFile)),
        isWhole: true,
      },
      {
        heading: 'Journals',
        mark: '=',
        columns: ['Journal', 'Last run', 'Done', 'Failed'],
        rows: journals.map(journalRow),
        isWhole: true,
      },
      {
        heading: 'Uploads that can be continued',
        mark: '+',
        columns: ['Blob', 'To', 'Sent', 'Size'],
        rows: uploads.map(({digest, to, offset, size}) => ({
          cells: [digestCell(digest), code(to), formatBytes(offset), formatBytes(size)],
        })),
      },
    ],
    summary: `Status: ${imagesText(projects)}${done} of ${counted(total, unit)} done, ${failed} failed, ${left} left${begun} (${amount}); ${ending}.`,
    everything: AS_JSON,
  };
}

/** @param journals empty unless there are several */
function openEnd(journals: readonly JournalStatus[]): string {
  const open = journals.filter((journal) => journal.ended === undefined).length;
  return open === 0 || open === journals.length
    ? 'no run has ended'
    : `${open} of ${journals.length} runs have not ended`;
}

function journalRow({file, began, ended, endedAt, done, failed}: JournalStatus): Row {
  const isWrong = ended !== undefined && ended !== 'done' && ended !== 'incomplete';
  const last =
    ended === undefined ? `in progress since ${began ?? '?'}, or killed` : `${ended}, ${endedAt}`;
  return {
    cells: [code(file), began === undefined ? 'no run' : last, String(done), String(failed)],
    ...(isWrong ? {mark: '!' as const} : {}),
  };
}

function projectFacts({from, to, standing}: ProjectStatus): readonly (readonly [string, string])[] {
  if (standing === undefined) return [];
  const {images, donor, isPaused} = standing;
  return [
    ['old path', `${from}: ${counted(images.old, 'image')}`],
    ['donor', `${donor}: ${counted(images.donor, 'image')} gone from the old path`],
    ['new path', `${to}: ${counted(images.target, 'image')}`],
    ...(isPaused ? [['disabled', `the cleanup policy of ${from}`] as const] : []),
  ];
}

/** One of several projects. */
function projectRow({from, to, ended, standing}: ProjectStatus, planFile: string | undefined): Row {
  const last = ended ?? 'not started, or in progress';
  if (standing === undefined) return {cells: [{code: `${from} to ${to}`}, last, '', '', '', '']};
  const {images, donor, isPaused, next} = standing;
  return {
    cells: [
      {code: `${from} to ${to}`},
      `${last}${isPaused ? ', cleanup policy disabled' : ''}`,
      counted(images.old, 'image'),
      `${donor}: ${counted(images.donor, 'image')}`,
      counted(images.target, 'image'),
      next.map((command) => nextCommand(command, planFile)).join(' or '),
    ],
  };
}

/** Of transfers: their images before their steps. */
function imagesText(projects: readonly ProjectStatus[]): string {
  const images = projects.flatMap(({standing}) => standing?.images ?? []);
  if (images.length === 0) return '';
  const sum = (place: 'total' | 'old' | 'donor' | 'target'): number =>
    images.reduce((count, one) => count + one[place], 0);
  const places = `${sum('donor')} at the donor, ${sum('old')} at the old path`;
  return `${sum('target')} of ${counted(sum('total'), 'image')} at the new path (${places}); `;
}
