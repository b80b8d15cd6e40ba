import {
  type Check,
  copiesOf,
  type CopyPlan,
  type CopyStep,
  creationsOf,
  deletionsOf,
  type Plan,
  type Skip,
} from '../model/plan.ts';
import {
  checkSection,
  code,
  digestCell,
  isLong,
  onlyFacts,
  type RenderOptions,
  type ReportDocument,
  type Row,
  type Section,
  showAll,
  verdictOf,
} from './document.ts';
import {deleteSection, deletionFacts, deletionReview} from './deletion-review.ts';
import {renderHtml} from './html.ts';
import {renderMarkdown} from './markdown.ts';
import {
  foldedPair,
  foldRepositories,
  type ImageFacts,
  platformColumn,
  type RepositoryPair,
  repositoryPairs,
  skippedRow,
} from './repository-review.ts';
import {historyFigure, historySections} from './run-history.ts';
import {transferDocument} from './transfer-document.ts';
import {renderText} from './text.ts';
import type {RunHistory} from '../model/outcome.ts';
import type {Digest} from '../model/digest.ts';
import {platformsOfImages} from '../plan/platforms.ts';
import {counted, formatBytes, imageName, newAndMoving, printableJson} from './words.ts';

/** `json` is the plan itself, field by field (docs/plan-format.md): what its file writes once is written out. */
export type PlanFormat = ReviewFormat | 'json';

type ReviewFormat = 'text' | 'markdown' | 'html';

export interface ReviewOptions extends RenderOptions {
  /** Of the runs of the plan, for HTML. */
  readonly history?: RunHistory | undefined;
}

/** What came of the plan stands before what it was to do. */
function withHistory(document: ReportDocument, history: RunHistory | undefined): ReportDocument {
  if (history === undefined) return document;
  return {...document, sections: [...historySections(history), ...document.sections]};
}

/** The review of a plan, with a newline at the end. HTML is always full, but for findings that are alike. */
export function renderPlan(plan: Plan, format: ReviewFormat, options: ReviewOptions = {}): string {
  const {history} = options;
  const document =
    plan.kind === 'copy' ? planDocument(plan, options) : transferDocument(plan, options);
  switch (format) {
    case 'text':
      return renderText(document, options);
    case 'markdown':
      return renderMarkdown(document, options);
    case 'html':
      return renderHtml(withHistory(document, history), history && historyFigure(history));
  }
}

/** Items of a list that become one piece of JSON. */
const ITEMS_AT_ONCE = 100;

/**
 * The plan as indented JSON, with a newline at the end. It comes in pieces: as one text a large plan would take more
 * memory than it takes as it is.
 */
export function* planJson(plan: Plan): Generator<string> {
  let before = '{';
  for (const [key, value] of Object.entries(plan)) {
    yield `${before}\n  ${JSON.stringify(key)}: `;
    before = ',';
    if (Array.isArray(value) && value.length > 0) yield* listJson(value);
    else yield indented(value, '  ');
  }
  yield '\n}\n';
}

function* listJson(items: readonly unknown[]): Generator<string> {
  for (let at = 0; at < items.length; at += ITEMS_AT_ONCE) {
    const texts = items
      .slice(at, at + ITEMS_AT_ONCE)
      .map((item) => `\n    ${indented(item, '    ')}`);
    yield `${at === 0 ? '[' : ','}${texts.join(',')}`;
  }
  yield '\n  ]';
}

function indented(value: unknown, indent: string): string {
  return printableJson(value, 2).replaceAll('\n', `\n${indent}`);
}

/**
 * What a reviewer wants to know of a plan: what forbids it, what to look at, what moves, what is new, what stays, what
 * is left out. A plan of several repositories with more images than fit on a page has a line for each repository.
 *
 * Each kind of step has a list: what deletes something comes between what forbids the plan and the warnings, what
 * creates something before the images that need it.
 */
function planDocument(plan: CopyPlan, options: RenderOptions): ReportDocument {
  const {checks, totals} = plan;
  const pairs = repositoryPairs(plan);
  const facts = imageFacts(plan);
  const isFolded = pairs.length > 1 && isLong(copiesOf(plan));
  const moving: Section = {
    heading: 'Tags that move',
    mark: '~',
    columns: ['Image', 'From digest', 'To digest', 'Size', 'From'],
    rows: stepsOf(pairs)
      .filter(({replaces}) => replaces !== null)
      .map((step) => movedRow(step, facts.sizeOf(step.digest))),
  };
  const folded = isFolded
    ? foldRepositories(pairs.map((pair) => foldedPair(pair, facts)))
    : undefined;
  const deleting = deletionReview(plan);
  const withResult = (result: Check['result']) => checks.filter((check) => check.result === result);
  return {
    title: 'transship plan',
    facts: [
      ['plan', plan.id],
      ...sidesOf(plan),
      ...filterFacts(plan),
      ...onlyFacts(options),
      ...(isFolded ? totalFacts(plan, pairs, facts) : []),
    ],
    sections: [
      checkSection('Forbidden', '!', withResult('forbid'), options),
      deleteSection(deletionsOf(plan)),
      ...(deleting?.sections ?? []),
      checkSection('Warnings', '?', withResult('warn').filter(isNews), options),
      moving,
      creationSection(plan),
      ...(folded?.sections ?? (deleting?.details ? [] : imageSections(pairs, facts))),
    ],
    ...detailsOf(folded?.details ?? deleting?.details),
    summary: planSummary(plan, totals, checks),
    everything: showAll(options),
  };
}

function detailsOf(details: ReportDocument['details']): Pick<ReportDocument, 'details'> {
  return details === undefined ? {} : {details};
}

function creationSection(plan: CopyPlan): Section {
  return {
    heading: 'To create',
    mark: '+',
    columns: ['What', 'Path', 'Visibility'],
    rows: creationsOf(plan).map(({kind, gitlab, path, visibility}) => ({
      cells: [kind === 'create-group' ? 'group' : 'project', code(`${gitlab}/${path}`), visibility],
    })),
  };
}

/** Every image by itself. */
function imageSections(pairs: readonly RepositoryPair[], facts: ImageFacts): readonly Section[] {
  const copied = stepsOf(pairs).filter(({replaces}) => replaces === null);
  const platforms = platformColumn(copied, facts);
  return [
    {
      heading: 'To copy',
      mark: '+',
      columns: ['Image', 'Digest', 'Size', ...platforms.name, 'From', 'Why'],
      rows: copied.map((step) => ({
        cells: [
          code(imageName(step.to, step.tag, step.digest)),
          digestCell(step.digest),
          {bytes: facts.sizeOf(step.digest)},
          ...platforms.cell(step.digest),
          code(imageName(step.from, step.sourceTag?.name, undefined)),
          step.why,
        ],
      })),
    },
    {
      heading: 'Already there',
      mark: '=',
      columns: ['Image', 'Digest'],
      rows: pairs.flatMap(({present}) => present.map(presentRow)),
      isDetail: true,
    },
    {
      heading: 'Skipped',
      mark: '-',
      columns: ['Image', 'Reason', 'Detail'],
      rows: pairs.flatMap(({skipped}) => skipped.map(skippedRow)),
      isDetail: true,
    },
  ];
}

function stepsOf(pairs: readonly RepositoryPair[]): readonly CopyStep[] {
  return pairs.flatMap(({steps}) => steps);
}

/** What the lines of repositories add up to. */
function totalFacts(
  plan: CopyPlan,
  pairs: readonly RepositoryPair[],
  facts: ImageFacts,
): readonly (readonly [string, string])[] {
  const {totals, skipped} = plan;
  const {steps, moves, present, blobs, bytes, bytesSaved} = totals;
  const shared = sharedBytes(plan, facts);
  const working = pairs.filter((pair) => pair.steps.length > 0).length;
  const reasons = Map.groupBy(skipped, ({reason}) => reason);
  reasons.delete('present');
  const left = [...reasons].map(([reason, {length}]) => `${length} ${reason}`);
  return [
    ['repositories', `${working} of ${pairs.length} with something to do`],
    [
      'images',
      `${steps - moves} new, ${counted(moves, 'tag')} ${moves === 1 ? 'moves' : 'move'}, ${present} already there`,
    ],
    [
      'to send',
      `${formatBytes(bytes)} in ${counted(blobs.copy, 'blob')}; ${formatBytes(bytesSaved)} mounted or already there`,
    ],
    ...(shared === 0
      ? []
      : [
          [
            'shared',
            `${formatBytes(shared)} in several images of a repository, counted once`,
          ] as const,
        ]),
    ...(left.length === 0 ? [] : [['skipped', left.join(', ')] as const]),
  ];
}

/** How much larger the images would be that are copied if none had anything of another one in its repository. */
function sharedBytes(plan: CopyPlan, facts: ImageFacts): number {
  const there = new Map<string, Set<Digest>>();
  return copiesOf(plan).reduce((sum, {to, digest}) => {
    const seen = there.get(to) ?? new Set();
    there.set(to, seen);
    return sum + facts.sizeOf(digest) - facts.sizeBeside(digest, seen);
  }, 0);
}

/** Source and destination as they were named; of several routes, how many there are. */
export function sidesOf(plan: CopyPlan): readonly (readonly [string, string])[] {
  const {wish, routes} = plan;
  const [only, ...others] = wish.routes;
  if (only === undefined && wish.deletes !== undefined) return deletionFacts(plan);
  // More than one on the command line are more tags of one image.
  const isOfFile = others.some(({at}) => at !== undefined);
  if (only === undefined || isOfFile) {
    return [
      ['sources', String(new Set(routes.map(({from}) => from)).size)],
      ['destinations', String(new Set(routes.map(({to}) => to)).size)],
    ];
  }
  return [
    ['source', only.source],
    ['destination', wish.routes.map(({destination}) => destination).join(', ')],
  ];
}

/** The last line of a review. */
function planSummary(plan: CopyPlan, totals: CopyPlan['totals'], checks: readonly Check[]): string {
  const {steps, moves, present, skipped, blobs, bytes} = totals;
  const rest = `${present} already there, ${skipped} skipped.`;
  const {length: deletes} = deletionsOf(plan);
  const deleting = deletes === 0 ? '' : `${counted(deletes, 'tag')} to delete, `;
  const verdict = `${warningsOf(checks)}${verdictOf(checks)}`;
  if (plan.wish.deletes !== undefined)
    return `Plan: ${counted(deletes, 'tag')} to delete, ${skipped} ${skipped === 1 ? 'stays' : 'stay'}.${verdict}`;
  if (steps === 0) {
    const copying = deletes === 0 ? 'nothing to do' : 'nothing to copy';
    return `Plan: ${copying}, ${deleting}${rest}${verdict}`;
  }
  const travelling = `${formatBytes(bytes)} in ${counted(blobs.copy, 'blob')}`;
  return `Plan: ${counted(steps, 'image')} to copy${newAndMoving(steps, moves, 'moves', 'move')} (${travelling}), ${blobs.mount} mounted, ${deleting}${rest}${verdict}`;
}

/** A tag that moves is no warning here: it has a list and a number of its own. */
function isNews({code: name}: Check): boolean {
  return name !== 'TAG_MOVES';
}

/** A sentence with a blank before it where there are warnings; else nothing. */
function warningsOf(checks: readonly Check[]): string {
  const warnings = checks.filter((check) => check.result === 'warn' && isNews(check)).length;
  return warnings === 0 ? '' : ` ${counted(warnings, 'warning')}.`;
}

/** Of several routes none: each has its own. */
function filterFacts({wish}: CopyPlan): readonly (readonly [string, string])[] {
  const [only, ...others] = wish.routes;
  if (only === undefined || others.length > 0) return [];
  const {filters} = only;
  const flags: readonly (readonly [string, string | number | readonly string[] | undefined])[] = [
    ['--tag', filters.tags],
    ['--exclude-tag', filters.excludeTags],
    ['--semver', filters.semver],
    ['--newest', filters.newest],
    ['--newer-than', filters.newerThan],
    ['--platform', filters.platforms],
    ['--convert-schema1', filters.convertSchema1 === true ? 'yes' : undefined],
    ['--include-foreign', filters.includeForeign === true ? 'yes' : undefined],
    ['--convert-foreign', filters.convertForeign === true ? 'yes' : undefined],
    ['--no-clobber', filters.noClobber === true ? 'yes' : undefined],
    ['--allow-empty', filters.allowEmpty === true ? 'yes' : undefined],
  ];
  return flags.flatMap(([flag, value]) => {
    const text = typeof value === 'object' ? value.join(', ') : String(value ?? '');
    return text === '' ? [] : [[flag, text] as const];
  });
}

function movedRow(step: CopyStep, size: number): Row {
  return {
    cells: [
      code(imageName(step.to, step.tag, step.digest)),
      step.replaces === null ? '' : digestCell(step.replaces),
      digestCell(step.digest),
      {bytes: size},
      code(step.from),
    ],
  };
}

function presentRow({to, tag, digest}: Extract<Skip, {reason: 'present'}>): Row {
  return {cells: [code(imageName(to, tag, digest)), digestCell(digest)]};
}

function imageFacts({manifests, blobs}: CopyPlan): ImageFacts {
  const platforms = platformsOfImages(manifests, () => false);
  const planned = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const sizes = new Map(blobs.map(({digest, size}) => [digest, size]));
  const known = new Map<Digest, number>();
  const visit = (digest: Digest, seen: Set<Digest>): number => {
    if (seen.has(digest)) return 0;
    seen.add(digest);
    const manifest = planned.get(digest);
    if (!manifest) return sizes.get(digest) ?? 0;
    return [...manifest.manifests, ...manifest.blobs].reduce(
      (sum, child) => sum + visit(child, seen),
      manifest.size,
    );
  };
  return {
    platformsOf: (digest) => platforms(digest).names,
    sizeBeside: visit,
    sizeOf: (digest) => {
      const size = known.get(digest) ?? visit(digest, new Set());
      known.set(digest, size);
      return size;
    },
  };
}
