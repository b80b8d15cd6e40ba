import {
  type Check,
  copiesOf,
  type CopyPlan,
  type CopyStep,
  creationsOf,
  type DeleteStep,
  deletionsOf,
  type Plan,
  type Skip,
} from '../model/plan.ts';
import {
  type Cell,
  checkSection,
  type RenderOptions,
  type ReportDocument,
  type Row,
  type Section,
  verdictOf,
} from './document.ts';
import {renderHtml} from './html.ts';
import {renderMarkdown} from './markdown.ts';
import {transferDocument} from './transfer-document.ts';
import {renderText} from './text.ts';
import {type Digest, shortDigest} from '../model/digest.ts';
import {counted, formatBytes, imageName, newAndMoving, printableJson} from './words.ts';

/** `json` is the plan itself, field by field (docs/plan-format.md): what its file writes once is written out. */
export type PlanFormat = ReviewFormat | 'json';

type ReviewFormat = 'text' | 'markdown' | 'html';

/** The review of a plan, with a newline at the end. HTML is always full. */
export function renderPlan(plan: Plan, format: ReviewFormat, options: RenderOptions = {}): string {
  switch (format) {
    case 'text':
      return renderText(documentOf(plan), options);
    case 'markdown':
      return renderMarkdown(documentOf(plan), options);
    case 'html':
      return renderHtml(documentOf(plan));
  }
}

/** Items of a list that become one piece of JSON. */
const ITEMS_AT_ONCE = 500;

/**
 * The plan as indented JSON, with a newline at the end. It comes in pieces: as one text a large plan would take more memory
 * than it takes as it is.
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

function documentOf(plan: Plan): ReportDocument {
  return plan.kind === 'copy' ? planDocument(plan) : transferDocument(plan);
}

/** What a reviewer wants to know of a plan: what forbids it, what moves, what is new, what stays, what is left out. */
function planDocument(plan: CopyPlan): ReportDocument {
  const {skipped, checks, totals} = plan;
  const copies = copiesOf(plan);
  const sizeOf = imageSizes(plan);
  const copied = (step: CopyStep): Row => ({
    cells: [
      code(imageName(step.to, step.tag, step.digest)),
      code(shortDigest(step.digest)),
      formatBytes(sizeOf(step.digest)),
      code(step.sourceTag ? `${step.from}:${step.sourceTag.name}` : step.from),
      step.why,
    ],
  });
  const moving = copies.filter(({replaces}) => replaces !== null);
  const others = skipped.filter((skip) => skip.reason !== 'present');
  return {
    title: 'transship plan',
    facts: [['plan', plan.id], ...sidesOf(plan), ...filterFacts(plan)],
    sections: [
      checkSection(
        'Forbidden',
        '!',
        checks.filter(({result}) => result === 'forbid'),
      ),
      deleteSection(deletionsOf(plan)),
      {
        heading: 'To create',
        mark: '+',
        columns: ['What', 'Path', 'Visibility'],
        rows: creationsOf(plan).map(({kind, gitlab, path, visibility}) => ({
          cells: [
            kind === 'create-group' ? 'group' : 'project',
            code(`${gitlab}/${path}`),
            visibility,
          ],
        })),
      },
      {
        heading: 'To copy',
        mark: '+',
        columns: ['Image', 'Digest', 'Size', 'From', 'Why'],
        rows: copies.filter(({replaces}) => replaces === null).map(copied),
      },
      {
        heading: 'Tags that move',
        mark: '~',
        columns: ['Image', 'From digest', 'To digest', 'Size', 'From'],
        rows: moving.map((step) => movedRow(step, sizeOf(step.digest))),
      },
      {
        heading: 'Already there',
        mark: '=',
        columns: ['Image', 'Digest'],
        rows: skipped.flatMap((skip) => (skip.reason === 'present' ? [presentRow(skip)] : [])),
        isDetail: true,
      },
      {
        heading: 'Skipped',
        mark: '-',
        columns: ['Image', 'Reason', 'Detail'],
        rows: others.map(skippedRow),
        isDetail: true,
      },
      // A tag that moves has its own list.
      checkSection(
        'Warnings',
        '?',
        checks.filter(({result, code: name}) => result === 'warn' && name !== 'TAG_MOVES'),
      ),
    ],
    summary: planSummary(plan, totals, checks),
  };
}

/** What is deleted comes first: nothing else in a plan takes something away. */
function deleteSection(deletions: readonly DeleteStep[]): Section {
  return {
    heading: 'To delete',
    mark: '-',
    columns: ['Image', 'Digest', 'Why'],
    rows: deletions.map(({repository, tag, digest, verified, why}) => {
      const [first, ...others] = verified.map((place) => imageName(place.to, place.tag, digest));
      const more = others.length === 0 ? '' : ` and ${others.length} more`;
      return {
        cells: [
          code(imageName(repository, tag, digest)),
          code(shortDigest(digest)),
          first === undefined ? why : `${why}: ${first}${more}`,
        ],
      };
    }),
  };
}

/** Source and destination as they were named; of several routes, how many there are. */
export function sidesOf({wish, routes}: CopyPlan): readonly (readonly [string, string])[] {
  const [only, ...others] = wish.routes;
  const deletes = wish.deletes ?? [];
  if (only === undefined && deletes.length > 0)
    return deletes.map(({repository}) => ['repository', repository] as const);
  if (only === undefined || others.length > 0) {
    return [
      ['sources', String(new Set(routes.map(({from}) => from)).size)],
      ['destinations', String(new Set(routes.map(({to}) => to)).size)],
    ];
  }
  return [
    ['source', only.source],
    ['destination', only.destination],
  ];
}

/** The last line of a review. */
function planSummary(plan: CopyPlan, totals: CopyPlan['totals'], checks: readonly Check[]): string {
  const {steps, moves, present, skipped, blobs, bytes} = totals;
  const rest = `${present} already there, ${skipped} skipped.`;
  const {length: deletes} = deletionsOf(plan);
  const deleting = deletes === 0 ? '' : `${counted(deletes, 'tag')} to delete, `;
  const verdict = verdictOf(checks);
  if (steps === 0) {
    const copying = deletes === 0 ? 'nothing to do' : 'nothing to copy';
    return `Plan: ${copying}, ${deleting}${rest}${verdict}`;
  }
  const travelling = `${formatBytes(bytes)} in ${counted(blobs.copy, 'blob')}`;
  return `Plan: ${counted(steps, 'image')} to copy${newAndMoving(steps, moves, 'moves', 'move')} (${travelling}), ${blobs.mount} mounted, ${deleting}${rest}${verdict}`;
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
      code(step.replaces === null ? '' : shortDigest(step.replaces)),
      code(shortDigest(step.digest)),
      formatBytes(size),
      code(step.from),
    ],
  };
}

function presentRow({to, tag, digest}: Extract<Skip, {reason: 'present'}>): Row {
  return {cells: [code(imageName(to, tag, digest)), code(shortDigest(digest))]};
}

/** Something that is left out, and why. */
export function skippedRow(skip: Skip): Row {
  const detail = 'detail' in skip ? skip.detail : '';
  return {cells: [code(imageName(skip.from, skip.tag, skip.digest)), skip.reason, detail]};
}

/** The bytes of an image: its blobs and manifests, each once, whether they have to travel or not. */
function imageSizes({manifests, blobs}: CopyPlan): (digest: Digest) => number {
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
  return (digest) => {
    const size = known.get(digest) ?? visit(digest, new Set());
    known.set(digest, size);
    return size;
  };
}

function code(text: string): Cell {
  return {code: text};
}
