import type {Inventory, InventoryTotals, RepositoryInventory} from '../discovery/inventory.ts';
import {counted, formatBytes, platformsText, printable, printableJson} from './words.ts';

/** An inventory as a table: a row for each repository, errors below theirs, the totals last. */
export function renderInventoryTable(inventory: Inventory): string {
  const {depth, repositories, unlisted, totals} = inventory;
  const columns = COLUMNS.filter(({isOfImages}) => !isOfImages || depth === 'images');
  const rows = repositories.map((one) => columns.map(({cell}) => printable(cell(one))));
  const table = [columns.map(({name}) => name), ...rows];
  const widths = columns.map((_column, at) =>
    table.reduce((most, cells) => Math.max(most, cells[at]?.length ?? 0), 0),
  );
  const lines = table.map((cells) =>
    cells
      .map((cell, at) => cell[columns[at]?.isNumber ? 'padStart' : 'padEnd'](widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const [head = '', ...body] = lines;
  const withErrors = body.flatMap((line, at) => [line, ...errorLines(repositories[at])]);
  const parts = unlisted.map(({part, error}) => printable(`! ${part}: ${error.message}`));
  const shown = repositories.length === 0 ? [] : [head, ...withErrors];
  return `${[...shown, ...parts, ...(shown.length + parts.length > 0 ? [''] : []), totalsLine(totals)].join('\n')}\n`;
}

/** An inventory as JSON; docs/inventory.md explains its fields. */
export function renderInventoryJson(inventory: Inventory): string {
  return `${printableJson(inventory, 2)}\n`;
}

/** What a repository has, in a few words: `20 tags, 34.5 MiB`. */
export function repositoryWords({tags, images, error}: RepositoryInventory): string {
  if (error !== undefined) return `not read: ${error.message}`;
  const size = images === undefined ? [] : [formatBytes(images.bytes)];
  return [counted(tags ?? 0, 'tag'), ...size].join(', ');
}

/** `2 repositories, 34 tags, 20 images, 1.2 GiB in 60 blobs`. */
export function totalsLine(totals: InventoryTotals): string {
  const {repositories, failed, tags, selected, images, blobs = 0, bytes, sharedBytes = 0} = totals;
  const parts = [
    repositories === 1 ? '1 repository' : `${repositories} repositories`,
    `${counted(tags, 'tag')}${selected === tags ? '' : ` (${selected} selected)`}`,
    ...(images === undefined ? [] : [counted(images, 'image')]),
    ...(bytes === undefined ? [] : [`${formatBytes(bytes)} in ${counted(blobs, 'blob')}`]),
    ...(sharedBytes > 0 ? [`${formatBytes(sharedBytes)} saved by shared blobs`] : []),
    ...(failed > 0 ? [`${failed} not read completely`] : []),
  ];
  return parts.join(', ');
}

interface Column {
  readonly name: string;
  readonly isNumber?: boolean;
  readonly isOfImages?: boolean;
  readonly cell: (one: RepositoryInventory) => string;
}

const COLUMNS: readonly Column[] = [
  {name: 'REPOSITORY', cell: ({repository}) => repository},
  {
    name: 'TAGS',
    isNumber: true,
    cell: ({tags, selected}) =>
      tags === undefined ? '-' : selected === tags ? `${tags}` : `${selected} of ${tags}`,
  },
  {
    name: 'IMAGES',
    isNumber: true,
    isOfImages: true,
    cell: ({images}) => (images === undefined ? '-' : `${images.count}`),
  },
  {
    name: 'SIZE',
    isNumber: true,
    isOfImages: true,
    cell: ({images}) => (images === undefined ? '-' : formatBytes(images.bytes)),
  },
  {
    name: 'SHARED',
    isNumber: true,
    isOfImages: true,
    cell: ({images}) => (images === undefined ? '-' : formatBytes(images.sharedBytes)),
  },
  {
    name: 'NEWEST',
    isOfImages: true,
    cell: ({images}) =>
      images?.newest === undefined
        ? '-'
        : `${images.newest.created.slice(0, 10)} ${images.newest.tag}`,
  },
  {
    name: 'PLATFORMS',
    isOfImages: true,
    cell: ({images}) => platformsText(images?.platforms ?? []),
  },
];

/** Unreadable tags that are named below a row. */
const TAGS_SHOWN = 5;

function errorLines(one: RepositoryInventory | undefined): readonly string[] {
  const {error, images} = one ?? {};
  if (error !== undefined) return [printable(`  ! ${error.message} [${error.code}]`)];
  const unreadable = images?.unreadable ?? [];
  const more = unreadable.length - TAGS_SHOWN;
  return [
    ...unreadable
      .slice(0, TAGS_SHOWN)
      .map(({tag, error: why}) => printable(`  ! ${tag}: ${why.message} [${why.code}]`)),
    ...(more > 0 ? [`  ! and ${more} more tags`] : []),
  ];
}
