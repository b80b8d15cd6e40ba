import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Conversion} from '../model/conversion.ts';
import type {BlobAction, PlannedManifest, Skip} from '../model/plan.ts';
import {nameOf} from '../model/place.ts';
import type {Tag} from '../model/reference.ts';
import type {UncostedCopy} from './totals.ts';
import type {BlobRecord, BlobRow, CopyRecord, ManifestRow, SkipRecord} from './schema-parts.ts';

/** The tables of a plan file, except the routes. */
export interface PlanTables {
  readonly mediaTypes: readonly string[];
  /** Absent: no platform is known. */
  readonly platforms?: readonly string[];
  readonly repositories: readonly string[];
  readonly blobs: readonly BlobRow[];
  readonly manifests: readonly ManifestRow[];
}

/** The indexes of a source and a destination repository. */
export type RouteRow = readonly [from: number, to: number];

/** A source and a destination repository. */
interface RoutePlaces {
  readonly from: string;
  readonly to: string;
}

function keyOf({from, to}: RoutePlaces): string {
  return `${from} ${to}`;
}

/** Rows that can be found by their keys. */
class Table<Row> {
  readonly rows: Row[] = [];
  readonly #places = new Map<string, number>();

  /** @returns the index of the row with this key; if there is none, that of a new row */
  place(key: string, row: () => Row): number {
    return this.#places.get(key) ?? this.add(key, row());
  }

  /** Adds a row. `find` returns the first of several rows with the same key. */
  add(key: string, row: Row): number {
    const place = this.rows.push(row) - 1;
    if (!this.#places.has(key)) this.#places.set(key, place);
    return place;
  }

  /** @throws TransshipError INTERNAL if there is none: a plan must contain everything that it refers to */
  find(key: string): number {
    const known = this.#places.get(key);
    if (known === undefined) throw notWhole(key);
    return known;
  }
}

/** Writes the lists of a plan as records that refer to tables. */
export class TableWriter {
  readonly #mediaTypes = new Table<string>();
  readonly #platforms = new Table<string>();
  readonly #repositories = new Table<string>();
  readonly #blobs = new Table<BlobRow>();
  readonly #manifests = new Table<ManifestRow>();
  readonly #routes = new Table<RouteRow>();
  readonly #below: ManifestDescendants;

  /**
   * @param manifests children first
   * @param actions the actions for their blobs; some blobs may have none
   * @param routes routes that get the first indexes, in this order
   * @throws TransshipError INTERNAL if a child does not precede its parent
   */
  constructor(
    manifests: readonly PlannedManifest[],
    actions: readonly BlobAction[],
    routes: readonly RoutePlaces[] = [],
  ) {
    for (const ends of routes) this.#routes.add(keyOf(ends), this.#routeRow(ends));
    const byDigest = new Map<Digest, BlobAction>();
    for (const action of actions)
      if (!byDigest.has(action.digest)) byDigest.set(action.digest, action);
    const blobOf = (digest: Digest): number => {
      const action = byDigest.get(digest);
      return action === undefined ? this.#blobs.place(digest, () => [digest]) : this.#blob(action);
    };
    for (const manifest of manifests)
      this.#manifests.place(manifest.digest, () => this.#manifestRow(manifest, blobOf));
    this.#below = new ManifestDescendants(this.#manifests.rows);
  }

  /** The tables with everything that was written so far. */
  get tables(): PlanTables {
    return {
      mediaTypes: this.#mediaTypes.rows,
      ...(this.#platforms.rows.length === 0 ? {} : {platforms: this.#platforms.rows}),
      repositories: this.#repositories.rows,
      blobs: this.#blobs.rows,
      manifests: this.#manifests.rows,
    };
  }

  /** The routes that records refer to, in the order of their first use. */
  get routes(): readonly RouteRow[] {
    return this.#routes.rows;
  }

  repository(name: string): number {
    return this.#repositories.place(name, () => name);
  }

  route(ends: RoutePlaces): number {
    return this.#routes.place(keyOf(ends), () => this.#routeRow(ends));
  }

  /** Their indexes in ascending order. @throws TransshipError INTERNAL if the plan does not contain one of them */
  manifests(manifests: readonly PlannedManifest[]): readonly number[] {
    return manifests.map(({digest}) => this.#manifests.find(digest)).toSorted((a, b) => a - b);
  }

  copies(copies: readonly UncostedCopy[]): readonly CopyRecord[] {
    const places = new Map(copies.map(({id}, at) => [id, at]));
    return copies.map((copy) => this.#copy(copy, places));
  }

  #copy(copy: UncostedCopy, places: ReadonlyMap<string, number>): CopyRecord {
    const {digest, tag, sourceTag, replaces, manifests, needs, why} = copy;
    const manifest = this.#manifests.find(digest);
    const put = manifests.map((one) => this.#manifests.find(one));
    const isAll = isSame(put, this.#below.of(manifest));
    return {
      route: this.route(copy),
      manifest,
      ...(tag === undefined ? {} : {tag}),
      ...(sourceTag?.name === tag ? {} : {sourceTag: sourceTag?.name ?? null}),
      ...(sourceTag === undefined || sourceTag.digest === digest
        ? {}
        : {sourceDigest: sourceTag.digest}),
      ...(replaces === null ? {} : {replaces}),
      ...(isAll ? {} : {put}),
      ...(needs.length === 0 ? {} : {needs: needs.map((id) => placeOf(id, places))}),
      ...(why === usualReason(replaces) ? {} : {why}),
    };
  }

  /** Consecutive blobs with the same route and action share one record. */
  blobs(actions: readonly BlobAction[]): readonly BlobRecord[] {
    const records: {head: Omit<BlobRecord, 'blobs'>; blobs: number[]}[] = [];
    for (const one of actions) {
      const {action, mountFrom} = one;
      const route = this.route(one);
      const from = mountFrom === undefined ? undefined : this.repository(mountFrom);
      const last = records.at(-1);
      const isAlike =
        last?.head.route === route && last.head.action === action && last.head.mountFrom === from;
      if (isAlike) last.blobs.push(this.#blob(one));
      else {
        const head = {route, action, ...(from === undefined ? {} : {mountFrom: from})};
        records.push({head, blobs: [this.#blob(one)]});
      }
    }
    return records.map(({head, blobs}) => ({...head, blobs}));
  }

  skips(skipped: readonly Skip[]): readonly SkipRecord[] {
    return skipped.map((skip): SkipRecord => {
      if (skip.reason !== 'present') return {...skip, from: this.repository(skip.from)};
      const {reason, from: _from, to: _to, ...rest} = skip;
      return {reason, route: this.route(skip), ...rest};
    });
  }

  #routeRow({from, to}: RoutePlaces): RouteRow {
    return [this.repository(from), this.repository(to)];
  }

  #mediaType(name: string): number {
    return this.#mediaTypes.place(name, () => name);
  }

  #blob({digest, mediaType, size, urls}: BlobAction): number {
    // Two manifests may list one blob with different media types.
    return this.#blobs.place(`${digest} ${size} ${mediaType} ${urls?.join(' ') ?? ''}`, () => {
      const type = this.#mediaType(mediaType);
      return urls === undefined ? [digest, type, size] : [digest, type, size, urls];
    });
  }

  #conversion(conversion: Conversion): NonNullable<NonNullable<ManifestRow[5]>['convertedFrom']> {
    switch (conversion.kind) {
      case 'schema1': {
        const layers = conversion.layers.map((layer) => ({
          ...layer,
          mediaType: this.#mediaType(layer.mediaType),
        }));
        return {...conversion, layers};
      }
      case 'foreign-layers':
        return conversion;
      case 'index': {
        const instead = conversion.instead.map(({from, to}) => ({
          from,
          to: this.#manifests.find(to),
        }));
        return {...conversion, instead};
      }
    }
  }

  #manifestRow(manifest: PlannedManifest, blobOf: (digest: Digest) => number): ManifestRow {
    const {digest, mediaType, size, manifests, blobs} = manifest;
    const {platform, subject, cutFrom, convertedFrom} = manifest;
    const placeOfManifest = (one: Digest): number => this.#manifests.find(one);
    const row = [
      digest,
      this.#mediaType(mediaType),
      size,
      blobs.map(blobOf),
      manifests.map(placeOfManifest),
    ] as const;
    const more = {
      ...(platform === undefined
        ? {}
        : {platform: this.#platforms.place(platform, () => platform)}),
      ...(subject === undefined ? {} : {subject}),
      ...(cutFrom === undefined
        ? {}
        : {cutFrom: {digest: cutFrom.digest, keep: cutFrom.keep.map(placeOfManifest)}}),
      ...(convertedFrom === undefined ? {} : {convertedFrom: this.#conversion(convertedFrom)}),
    };
    return Object.keys(more).length === 0 ? row : [...row, more];
  }
}

/**
 * The manifests below each manifest of a table. A copy pushes all of them, unless the destination has some. Each list
 * is computed once.
 */
export class ManifestDescendants {
  readonly #manifests: readonly ManifestRow[];
  readonly #known = new Map<number, readonly number[]>();
  readonly #counted: (length: number) => void;

  /**
   * @param manifests each after its children
   * @param counted called with the length of each list that is included in another list
   */
  constructor(
    manifests: readonly ManifestRow[],
    counted: (length: number) => void = () => undefined,
  ) {
    this.#manifests = manifests;
    this.#counted = counted;
  }

  /** The indexes of the manifest and of all below it, children first, each once. */
  of(manifest: number): readonly number[] {
    const known = this.#known.get(manifest);
    if (known !== undefined) return known;
    const below = new Set<number>();
    for (const child of this.#manifests[manifest]?.[4] ?? []) {
      const list = this.of(child);
      this.#counted(list.length);
      for (const one of list) below.add(one);
    }
    below.add(manifest);
    const list = [...below];
    this.#known.set(manifest, list);
    return list;
  }
}

/** The reason for a copy if the plan has no other. */
export function usualReason(replaces: Digest | null): string {
  return replaces === null ? 'not there yet' : 'the tag points to something else';
}

/** Unique in a plan, because only one copy writes each tag or untagged manifest of a repository. */
export function copyId(to: string, tag: Tag | undefined, digest: Digest): string {
  return `copy:${nameOf(to, tag, digest)}`;
}

/** The index of a step by its id. @throws TransshipError INTERNAL if the plan does not contain it */
export function placeOf(id: string, places: ReadonlyMap<string, number>): number {
  const place = places.get(id);
  if (place === undefined) throw notWhole(id);
  return place;
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

/** A bug: the plan refers to something that it does not contain. */
export function notWhole(what: string): TransshipError {
  return new TransshipError('INTERNAL', `the plan names ${what} and does not hold it`, {
    side: 'local',
    hint: 'this is a bug in transship: please report it',
  });
}
