import {copiesOf, type CopyPlan, type CopyStep, type Skip} from '../model/plan.ts';
import {compareNatural, inTagOrder} from '../plan/compare.ts';
import {
  type Cell,
  code,
  digestCell,
  type ReportDocument,
  type Row,
  type Section,
} from './document.ts';
import type {Digest} from '../model/digest.ts';
import {counted, formatBytes, imageName, platformsText} from './words.ts';

type PresentSkip = Extract<Skip, {reason: 'present'}>;
type OtherSkip = Exclude<Skip, PresentSkip>;

/** What a plan of copies says of one source repository and one destination. */
export interface RepositoryPair {
  readonly from: string;
  /** Undefined: what is left out of a source that has several destinations. */
  readonly to?: string;
  /** In the order of their tags, as all lists here. */
  readonly steps: readonly CopyStep[];
  readonly present: readonly PresentSkip[];
  readonly skipped: readonly OtherSkip[];
  /** To be sent. What several sources share counts for one of them. */
  readonly bytes: number;
}

/** The repositories of a plan in the order of the names of their destinations. */
export function repositoryPairs(plan: CopyPlan): readonly RepositoryPair[] {
  const {routes, blobs, skipped} = plan;
  const pairs = new Map<string, ReturnType<typeof newPair>>();
  const pairOf = (from: string, to: string | undefined): ReturnType<typeof newPair> => {
    const key = `${from} ${to ?? ''}`;
    const pair = pairs.get(key) ?? newPair(from, to);
    pairs.set(key, pair);
    return pair;
  };
  for (const {from, to} of routes) pairOf(from, to);
  const bySource = Map.groupBy([...pairs.values()], ({from}) => from);
  for (const step of copiesOf(plan)) pairOf(step.from, step.to).steps.push(step);
  for (const {action, from, to, size} of blobs)
    if (action === 'copy') pairOf(from, to).bytes += size;
  for (const skip of skipped) {
    if (skip.reason === 'present') pairOf(skip.from, skip.to).present.push(skip);
    else {
      const [only, ...others] = bySource.get(skip.from) ?? [];
      pairOf(skip.from, others.length === 0 ? only?.to : undefined).skipped.push(skip);
    }
  }
  return [...pairs.values()]
    .map(({from, to, bytes, ...lists}) => ({
      from,
      ...(to === undefined ? {} : {to}),
      steps: inTagOrder(lists.steps, ({tag}) => tag),
      present: inTagOrder(lists.present, ({tag}) => tag),
      skipped: inTagOrder(lists.skipped, ({tag}) => tag),
      bytes,
    }))
    .sort(
      (a, b) => compareNatural(a.to ?? a.from, b.to ?? b.from) || compareNatural(a.from, b.from),
    );
}

function newPair(from: string, to: string | undefined) {
  const [steps, present, skipped]: [CopyStep[], PresentSkip[], OtherSkip[]] = [[], [], []];
  return {from, to, steps, present, skipped, bytes: 0};
}

/** Something that is left out, and why. */
export function skippedRow(skip: Skip): Row {
  const detail = 'detail' in skip ? skip.detail : '';
  return {cells: [code(imageName(skip.from, skip.tag, skip.digest)), skip.reason, detail]};
}

/** Repositories that are shown by one line each, and their images. */
export interface FoldedRepository {
  readonly from: string;
  readonly to?: string;
  /** `20 new, 1 tag moves`. */
  readonly counts: string;
  /** To be sent; undefined: not known for this repository. */
  readonly bytes?: number;
  readonly hasWork: boolean;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** A line for each repository, and what is in it as the details of a document. */
export function foldRepositories(repositories: readonly FoldedRepository[]): {
  readonly sections: readonly Section[];
  readonly details: NonNullable<ReportDocument['details']>;
} {
  const {work = [], rest = []} = Object.groupBy(repositories, ({hasWork}) =>
    hasWork ? 'work' : 'rest',
  );
  const isSized = repositories.some(({bytes}) => bytes !== undefined);
  const columns = ['Source', 'Destination', 'Images', ...(isSized ? ['To send'] : [])];
  const repositoryRow = ({from, to, counts, bytes}: FoldedRepository): Row => {
    const size = bytes === undefined ? '' : {bytes};
    const cells = [code(from), to === undefined ? '' : code(to), counts];
    return {cells: isSized ? [...cells, size] : cells};
  };
  return {
    sections: [
      {
        heading: 'Repositories',
        mark: '+',
        columns,
        rows: work.map(repositoryRow),
        isWhole: true,
      },
      {
        heading: 'Repositories with nothing to do',
        mark: '=',
        columns,
        rows: rest.map(repositoryRow),
        isDetail: true,
        isCounted: true,
      },
    ],
    details: {
      noun: 'image',
      sections: repositories
        .filter(({rows}) => rows.length > 0)
        .map(({from, to, counts, bytes, columns: own, rows}) => ({
          heading: code(to === undefined ? from : `${from} -> ${to}`),
          note: bytes === undefined || bytes === 0 ? counts : `${counts}, ${formatBytes(bytes)}`,
          mark: '+',
          columns: own,
          rows,
          isDetail: true,
        })),
    },
  };
}

/** What a review says of an image. */
export interface ImageFacts {
  /** Its bytes: blobs and manifests, each once, whether they have to travel or not. */
  sizeOf(digest: Digest): number;
  /** Its bytes beside content that is there already; what it has is added to that. */
  sizeBeside(digest: Digest, there: Set<Digest>): number;
  /** `os/architecture[/variant]`, sorted; empty: none is known. */
  platformsOf(digest: Digest): readonly string[];
}

/** A column for the platforms of images; no column where none are known. */
export function platformColumn(
  images: readonly {readonly digest: Digest}[],
  {platformsOf}: Pick<ImageFacts, 'platformsOf'>,
): {readonly name: readonly string[]; cell(digest: Digest | undefined): readonly Cell[]} {
  if (images.every(({digest}) => platformsOf(digest).length === 0))
    return {name: [], cell: () => []};
  return {
    name: ['Platforms'],
    cell: (digest) => [digest === undefined ? '' : platformsText(platformsOf(digest))],
  };
}

export function foldedPair(
  {from, to, steps, present, skipped, bytes}: RepositoryPair,
  facts: ImageFacts,
): FoldedRepository {
  const platforms = platformColumn(steps, facts);
  const {moving = [], fresh = []} = Object.groupBy(steps, ({replaces}) =>
    replaces === null ? 'fresh' : 'moving',
  );
  const hasMoving = moving.length > 0;
  const row = (mark: Section['mark'], cells: readonly Cell[], replaces: Cell = ''): Row => ({
    mark,
    cells: hasMoving ? [...cells, replaces] : cells,
  });
  const copied = (step: CopyStep, mark: Section['mark']): Row =>
    row(
      mark,
      [
        tagCell(step.tag),
        digestCell(step.digest),
        {bytes: facts.sizeOf(step.digest)},
        ...platforms.cell(step.digest),
        whatOf(step),
      ],
      step.replaces === null ? '' : digestCell(step.replaces),
    );
  const rows = [
    ...moving.map((step) => copied(step, '~')),
    ...fresh.map((step) => copied(step, '+')),
    ...present.map(({tag, digest}) =>
      row('=', [
        tagCell(tag),
        digestCell(digest),
        '',
        ...platforms.cell(undefined),
        'already there',
      ]),
    ),
    ...skipped.map(({tag, digest, reason, detail}) =>
      row('-', [
        tagCell(tag),
        digest === undefined ? '' : digestCell(digest),
        '',
        ...platforms.cell(undefined),
        `${reason}: ${detail}`,
      ]),
    ),
  ];
  const counts = [
    count(fresh, (length) => `${length} new`),
    count(moving, (length) => `${counted(length, 'tag')} ${length === 1 ? 'moves' : 'move'}`),
    count(present, (length) => `${length} already there`),
    count(skipped, (length) => `${length} skipped`),
  ].flat();
  return {
    from,
    ...(to === undefined ? {} : {to}),
    counts: counts.length === 0 ? 'no images' : counts.join(', '),
    bytes,
    hasWork: steps.length > 0,
    columns: [
      'Tag',
      'Digest',
      'Size',
      ...platforms.name,
      'What',
      ...(hasMoving ? ['Replaces'] : []),
    ],
    rows,
  };
}

function count({length}: readonly unknown[], text: (length: number) => string): readonly string[] {
  return length === 0 ? [] : [text(length)];
}

function tagCell(tag: string | undefined): Cell {
  return tag === undefined ? 'no tag' : code(tag);
}

/** Why it is copied, and the tag at the source where that is another one. */
function whatOf({tag, sourceTag, why}: CopyStep): string {
  return sourceTag === undefined || sourceTag.name === tag
    ? why
    : `${why}; ${sourceTag.name} at the source`;
}
