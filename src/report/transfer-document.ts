import type {BlobAction, Check} from '../model/plan.ts';
import {
  byDonor,
  type CopySet,
  type Donor,
  type GroupMove,
  type GroupStep,
  type MoveWish,
  phaseOf,
  type ProjectMove,
  type TransferPlan,
  type TransferRepository,
  type TransferStep,
  type TransferTag,
  type TransferUnit,
  unitsOf,
} from '../model/transfer-plan.ts';
import {inTagOrder} from '../plan/compare.ts';
import {platformsOfImages} from '../plan/platforms.ts';
import {
  checkSection,
  code,
  digestCell,
  isLong,
  onlyFacts,
  type RenderOptions,
  type ReportDocument,
  type Row,
  showAll,
  verdictOf,
} from './document.ts';
import {
  type FoldedRepository,
  foldRepositories,
  platformColumn,
  skippedRow,
} from './repository-review.ts';
import {counted, formatBytes, imageName} from './words.ts';

const WAYS = {
  native: 'GitLab moves the images itself',
  staged: 'the images wait at the donor',
  empty: 'there are no images',
} as const satisfies Record<ProjectMove['way'], string>;

/**
 * What a reviewer wants to know of transfers: what forbids them, what to look at, what is done in which order, and
 * every image; of several repositories with many images a line each.
 */
export function transferDocument(plan: TransferPlan, options: RenderOptions): ReportDocument {
  const {moves, groups = [], skipped, checks} = plan;
  const withResult = (result: string) =>
    checks.filter((check) => check.result === result).map((check) => ofProject(check, plan));
  const only = moves.length === 1 && groups.length === 0 ? moves[0] : undefined;
  const repositories = moves.flatMap((move) => move.repositories);
  const platformsOf = platformsOfImages(
    moves.flatMap(({manifests}) => manifests),
    () => false,
  );
  const platforms = platformColumn(
    repositories.flatMap(({tags}) => tags),
    {platformsOf: (digest) => platformsOf(digest).names},
  );
  const images = repositories.flatMap((one) => imageRows(one, platforms));
  const folded =
    repositories.length > 1 && isLong(images)
      ? foldRepositories(repositories.map((one) => foldedRepository(one, platforms)))
      : undefined;
  return {
    title: 'transship plan: transfer',
    facts: [
      ['plan', plan.id],
      ['gitlab', plan.wish.gitlab],
      ...groups.flatMap(groupFacts),
      ...(only === undefined ? [['projects', String(moves.length)] as const] : moveFacts(only)),
      ...onlyFacts(options),
    ],
    sections: [
      checkSection('Forbidden', '!', withResult('forbid'), options),
      checkSection('Warnings', '?', withResult('warn'), options),
      {
        heading: 'Projects',
        mark: '~',
        columns: ['Project', 'To', 'Way', 'Donor', 'Images', 'Without images'],
        rows: only === undefined ? moves.map(moveRow) : [],
        isWhole: true,
      },
      {
        heading: 'Steps',
        mark: '~',
        columns: ['Step', 'What', 'Why'],
        rows: unitsOf(plan).flatMap(stepRows),
        isWhole: true,
      },
      {
        heading: 'Steps if GitLab does not move the images itself',
        mark: '~',
        columns: ['Step', 'What', 'Why'],
        rows: moves.flatMap((move) => {
          const staged = byDonor(move);
          return staged === undefined ? [] : stepRows({moves: [staged]});
        }),
        isWhole: true,
      },
      {
        heading: 'Empty image repositories that are deleted',
        mark: '-',
        minus: 'deleted',
        columns: ['Repository'],
        rows: groups.flatMap(({records}) => records.map((record) => ({cells: [code(record)]}))),
      },
      ...(folded?.sections ?? [
        {
          heading: 'Images',
          mark: '+' as const,
          columns: ['Image', 'Digest', 'Size', ...platforms.name, 'To'],
          rows: images,
        },
      ]),
      {
        heading: 'Not copied',
        mark: '-',
        columns: ['Image', 'Reason', 'Detail'],
        rows: skipped.map(skippedRow),
      },
      checkSection('Proved', '=', withResult('pass'), options),
    ],
    ...(folded === undefined ? {} : {details: folded.details}),
    summary: transferSummary(plan),
    everything: showAll(options),
  };
}

/** Oldest first is the order of pushing, not that of reading. */
function tagsOf({tags}: TransferRepository): readonly TransferTag[] {
  return inTagOrder(tags, ({name}) => name);
}

type PlatformColumn = ReturnType<typeof platformColumn>;

function imageRows(repository: TransferRepository, platforms: PlatformColumn): readonly Row[] {
  const {from, to} = repository;
  return tagsOf(repository).map(({name, digest, size}) => ({
    cells: [
      code(imageName(from, name, digest)),
      digestCell(digest),
      {bytes: size},
      ...platforms.cell(digest),
      code(imageName(to, name, digest)),
    ],
  }));
}

function foldedRepository(
  repository: TransferRepository,
  platforms: PlatformColumn,
): FoldedRepository {
  const {from, to, tags} = repository;
  return {
    from,
    to,
    counts: counted(tags.length, 'image'),
    hasWork: tags.length > 0,
    columns: ['Tag', 'Digest', 'Size', ...platforms.name],
    rows: tagsOf(repository).map(({name, digest, size}) => ({
      cells: [code(name), digestCell(digest), {bytes: size}, ...platforms.cell(digest)],
    })),
  };
}

function moveFacts({project, way, donor, fallback}: ProjectMove): ReportDocument['facts'] {
  return [
    ['project', `${project.from} (${project.id})`],
    ['to', project.to],
    ['way', `${way}: ${WAYS[way]}`],
    ...(way === 'staged' ? [['donor', donorName(donor)] as const] : []),
    ...(fallback === undefined
      ? []
      : [
          [
            'otherwise',
            `the images wait at the donor ${donorName(donor)}, about ${fallback.downtimeSeconds} s without images`,
          ] as const,
        ]),
  ];
}

function moveRow(move: ProjectMove): Row {
  const {project, way, donor, repositories, fallback} = move;
  const staged = way === 'staged' ? move : fallback;
  return {
    cells: [
      {code: project.from},
      {code: project.to},
      fallback === undefined ? way : `${way}, else by the donor`,
      staged === undefined ? '' : donorName(donor),
      String(imagesOf(repositories)),
      staged === undefined
        ? ''
        : `${fallback === undefined ? '' : 'else '}about ${staged.downtimeSeconds} s`,
    ],
  };
}

function groupFacts({group, withoutImages, projects}: GroupMove): ReportDocument['facts'] {
  const images = `${counted(projects.length, 'project')} with images, ${withoutImages.length} without`;
  return [
    ['group', `${group.from} (${group.id}), ${images}`],
    ['to', group.to],
  ];
}

/** In the order in which they are carried out: a group moves between the deletions and the pushes of its projects. */
function stepRows({group, moves}: TransferUnit): readonly Row[] {
  const rows = (isWanted: (step: TransferStep) => boolean): readonly Row[] =>
    moves.flatMap((move) =>
      move.steps.filter(isWanted).map((step) => ({cells: [step.id, whatOf(step, move), step.why]})),
    );
  if (group === undefined) return rows(() => true);
  return [
    ...rows((step) => phaseOf(step) === 'pull'),
    ...rows((step) => phaseOf(step) === 'delete'),
    ...group.steps.map((step) => ({
      cells: [step.id, whatOfGroup(step, group, moves), step.why],
    })),
    ...rows((step) => phaseOf(step) === 'push'),
  ];
}

function whatOfGroup(
  step: GroupStep,
  {group, records}: GroupMove,
  moves: readonly ProjectMove[],
): string {
  if (step.kind === 'delete-records') {
    const used = moves.flatMap(({repositories}) => repositories).length;
    return `delete ${counted(used + records.length, 'image repository')} below ${group.from}, once empty, and wait until GitLab has done so`;
  }
  if (step.path !== undefined) return `change the path of the group to ${step.path}`;
  return step.parentId === null
    ? 'make the group a top-level group'
    : `transfer the group to ${group.to.split('/').slice(0, -1).join('/')}`;
}

/** The finding with its project or group, and where a migration file names that. */
function ofProject(check: Check, plan: TransferPlan): Check {
  if (check.project === undefined) return check;
  const at = unitWish(check.project, plan)?.at;
  const place = at === undefined ? '' : ` (${at.file}:${at.line})`;
  return {...check, message: `${check.project}${place}: ${check.message}`};
}

/** What was wished for of a project or a group, by its full path. Wishes of projects are in the order of the units. */
function unitWish(path: string, plan: TransferPlan): MoveWish | undefined {
  const at = unitsOf(plan).findIndex(
    ({group, moves}) =>
      group?.group.from === path || moves.some(({project}) => project.from === path),
  );
  return plan.wish.moves[at];
}

function transferSummary({moves, groups = [], checks, totals}: TransferPlan): string {
  const verdict = verdictOf(checks);
  const steps = [...moves, ...groups].reduce((sum, move) => sum + move.steps.length, 0);
  if (steps === 0) return `Transfer: nothing to do.${verdict}`;
  const of =
    groups.length > 0
      ? `${counted(groups.length, 'group')}, ${counted(moves.length, 'project')}, `
      : moves.length === 1
        ? ''
        : `${counted(moves.length, 'project')}, `;
  const head = `Transfer: ${of}${counted(steps, 'step')}`;
  const repositories = moves.flatMap((move) => move.repositories);
  const where = `${counted(imagesOf(repositories), 'image')} in ${counted(repositories.length, 'repository')}`;
  const ways = new Set(moves.flatMap(({way, repositories: own}) => (own.length > 0 ? [way] : [])));
  if (ways.has('staged')) {
    const {blobs, bytes} = totals;
    const travel = `${formatBytes(bytes)} travel in ${counted(blobs.copy, 'blob')}, ${blobs.mount} mounted`;
    const longest = Math.max(...moves.map(({downtimeSeconds}) => downtimeSeconds));
    const about =
      groups.length > 0
        ? 'and while GitLab deletes the repositories, about'
        : moves.length === 1
          ? 'about'
          : 'each project at most about';
    return `${head}, ${where} (${travel}), ${about} ${longest} s without images.${verdict}`;
  }
  return ways.has('native')
    ? `${head}, ${where} moved by GitLab itself.${verdict}`
    : `${head}, no images.${verdict}`;
}

function imagesOf(repositories: readonly TransferRepository[]): number {
  return repositories.reduce((sum, {tags}) => sum + tags.length, 0);
}

function whatOf(step: TransferStep, {project, repositories, donor}: ProjectMove): string {
  switch (step.kind) {
    case 'create-donor':
      return `create the private project ${step.path}`;
    case 'pause':
      return 'pause the cleanup policy';
    case 'pull':
      return copySetText(step, donorName(donor));
    case 'verify':
      return step.at === 'donor' ? `compare ${donorName(donor)}` : `compare ${project.to}`;
    case 'probe':
      return `start an upload at ${step.uploadsTo} and cancel it, push ${counted(step.manifests.length, 'manifest')} there again`;
    case 'delete-old':
      return `delete ${counted(imagesOf(repositories), 'tag')} at ${project.from}`;
    case 'change-path':
      return step.path === undefined
        ? `transfer to ${project.to.split('/').slice(0, -1).join('/')}`
        : `change the path to ${step.path}`;
    case 'retag':
      return `retag the images for ${project.to}`;
    case 'push':
      return copySetText(step, project.to);
    case 'freeze':
      return `allow only owners to push to ${step.patterns.join(', ')}`;
    case 'unfreeze':
      return 'remove these rules';
    case 'move-rules':
      return `change ${step.rules.map((rule) => `${rule.from} to ${rule.to}`).join(', ')}`;
    case 'resume':
      return 'restore the cleanup policy';
    case 'remove-donor':
      return removalText(donor);
  }
}

function removalText(donor: Donor): string {
  if (donor.kind === 'directory') return `delete the images in ${donor.path}`;
  return donor.id === undefined
    ? `delete the tags in ${donor.path}, and the project`
    : `delete the tags in ${donor.path}`;
}

function copySetText({copies, blobs}: CopySet, to: string): string {
  const count = (action: BlobAction['action']) =>
    blobs.filter((blob) => blob.action === action).length;
  const bytes = blobs.reduce((sum, {action, size}) => sum + (action === 'copy' ? size : 0), 0);
  const present = count('present');
  const rest = present === 0 ? '' : `, ${present} there`;
  return `${counted(copies.length, 'image')} to ${to}: ${counted(count('copy'), 'blob')} (${formatBytes(bytes)}) travel, ${count('mount')} mounted${rest}`;
}

function donorName(donor: Donor): string {
  return donor.kind === 'directory' || donor.id !== undefined
    ? donor.path
    : `${donor.path} (to be created)`;
}
