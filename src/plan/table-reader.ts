import type {Digest} from '../model/digest.ts';
import type {Conversion} from '../model/conversion.ts';
import type {BlobAction, PlannedManifest, Skip} from '../model/plan.ts';
import {isLocal} from '../model/place.ts';
import {isTag, type Tag} from '../model/reference.ts';
import {MANIFEST_NESTING_LIMIT} from '../observe/manifest-limits.ts';
import {
  copyId,
  ManifestDescendants,
  type PlanTables,
  type RouteRow,
  usualReason,
} from './plan-tables.ts';
import type {BlobRecord, BlobRow, CopyRecord, ManifestRow, SkipRecord} from './schema-parts.ts';
import type {UncostedCopy} from './totals.ts';

/**
 * An error in a plan file that the schema does not detect. The message starts with the position: `steps.3.route: …`.
 */
export class RecordError extends Error {
  override readonly name = 'RecordError';

  /** @param place the position as a path, as zod writes it */
  constructor(place: string, what: string) {
    super(`${place}: ${what}`);
  }
}

/**
 * Reads the records of a plan file that may have been forged. It checks that each index exists, that nothing is listed
 * twice, and that everything comes after what it needs, so that there are no cycles.
 */
export class TableReader {
  readonly manifests: readonly PlannedManifest[];
  readonly #tables: PlanTables;
  readonly #routes: readonly RouteRow[];
  readonly #below: ManifestDescendants;
  readonly #most: number;
  #listed = 0;

  /**
   * @param most maximum number of manifests in lists that the file implies: a short file can imply very long lists
   * @throws RecordError, as all methods do
   */
  constructor(tables: PlanTables, routes: readonly RouteRow[], most: number) {
    this.#tables = tables;
    this.#routes = routes;
    this.#most = most;
    this.#below = new ManifestDescendants(tables.manifests, (length) => this.#count(length));
    for (const [at, [from, to]] of routes.entries()) {
      this.repository(from, `routes.${at}.0`);
      this.repository(to, `routes.${at}.1`);
    }
    for (const [at, [, mediaType]] of tables.blobs.entries())
      if (mediaType !== undefined)
        entry(tables.mediaTypes, mediaType, 'mediaTypes', `blobs.${at}.1`);
    this.manifests = this.#readManifests();
  }

  repository(index: number, place: string): string {
    return entry(this.#tables.repositories, index, 'repositories', place);
  }

  route(index: number, place: string): {readonly from: string; readonly to: string} {
    const [from, to] = entry(this.#routes, index, 'routes', place);
    return {from: this.repository(from, place), to: this.repository(to, place)};
  }

  /** The manifests at these indexes, which must be ascending, so that children come before their parents. */
  manifestsAt(indexes: readonly number[], place: string): readonly PlannedManifest[] {
    return indexes.map((index, at) => {
      if (at > 0 && index <= (indexes[at - 1] ?? 0))
        throw new RecordError(place, `${index} does not come after ${indexes[at - 1]}`);
      return this.#manifest(index, place);
    });
  }

  copies(records: readonly CopyRecord[], place: string): readonly UncostedCopy[] {
    const ids = new Set<string>();
    const copies: UncostedCopy[] = [];
    for (const [at, record] of records.entries()) {
      const here = `${place}.${at}`;
      const copy = this.#copy(record, here, copies);
      if (ids.has(copy.id)) throw new RecordError(here, `${copy.id} appears twice`);
      ids.add(copy.id);
      copies.push(copy);
    }
    return copies;
  }

  /** @param before the copies that it may need */
  #copy(record: CopyRecord, place: string, before: readonly UncostedCopy[]): UncostedCopy {
    const {tag, sourceTag = tag ?? null, replaces = null, needs = []} = record;
    const {from, to} = this.route(record.route, `${place}.route`);
    const {digest} = this.#manifest(record.manifest, `${place}.manifest`);
    throwUnlessCalled(to, tag, `${place}.tag`);
    throwUnlessCalled(from, sourceTag ?? undefined, `${place}.sourceTag`);
    return {
      kind: 'copy',
      id: copyId(to, tag, digest),
      from,
      to,
      digest,
      ...(tag === undefined ? {} : {tag}),
      ...(sourceTag === null
        ? {}
        : {sourceTag: {name: sourceTag, digest: record.sourceDigest ?? digest}}),
      replaces,
      manifests: this.#put(record, place),
      needs: needs.map((need) => entry(before, need, 'the copies before', `${place}.needs`).id),
      why: record.why ?? usualReason(replaces),
    };
  }

  #put({manifest, put}: CopyRecord, place: string): readonly Digest[] {
    if (put !== undefined && put.at(-1) !== manifest)
      throw new RecordError(`${place}.put`, 'the manifest itself must be the last');
    const list = put ?? this.#below.of(manifest);
    this.#count(list.length);
    return list.map((one) => this.#manifest(one, `${place}.put`).digest);
  }

  #count(length: number): void {
    this.#listed += length;
    if (this.#listed > this.#most)
      throw new RecordError('manifests', `they list more than ${this.#most} manifests`);
  }

  blobs(records: readonly BlobRecord[], place: string): readonly BlobAction[] {
    const seen = new Set<string>();
    return records.flatMap((record, at) => {
      const here = `${place}.${at}`;
      const {action, mountFrom} = record;
      const {from, to} = this.route(record.route, `${here}.route`);
      if ((action === 'mount') !== (mountFrom !== undefined))
        throw new RecordError(here, 'a mount needs mountFrom, and no other action may have it');
      const more =
        mountFrom === undefined ? {} : {mountFrom: this.repository(mountFrom, `${here}.mountFrom`)};
      return record.blobs.map((index): BlobAction => {
        const [digest, mediaType, size, urls] = this.#blob(index, `${here}.blobs`);
        if (mediaType === undefined || size === undefined)
          throw new RecordError(`blobs.${index}`, 'it has no media type or size');
        const key = `${to} ${digest}`;
        if (seen.has(key)) throw new RecordError(here, `${digest} appears twice for ${to}`);
        seen.add(key);
        const base = {
          digest,
          mediaType: this.#mediaType(mediaType),
          size,
          from,
          to,
          action,
          ...more,
        };
        return action === 'copy' && urls !== undefined && urls.length > 0 ? {...base, urls} : base;
      });
    });
  }

  skips(records: readonly SkipRecord[]): readonly Skip[] {
    return records.map((record, at): Skip => {
      const place = `skipped.${at}`;
      if (record.reason !== 'present')
        return {...record, from: this.repository(record.from, `${place}.from`)};
      const {reason, route, ...rest} = record;
      const {from, to} = this.route(route, `${place}.route`);
      throwUnlessCalled(to, rest.tag, `${place}.tag`);
      throwUnlessCalled(from, rest.sourceTag, `${place}.sourceTag`);
      return {reason, from, to, ...rest};
    });
  }

  #readManifests(): readonly PlannedManifest[] {
    const rows = this.#tables.manifests;
    const known = new Set<Digest>();
    const levels: number[] = [];
    return rows.map(([digest, mediaType, size, blobs, children, more], at) => {
      const place = `manifests.${at}`;
      if (known.has(digest)) throw new RecordError(place, `${digest} appears twice`);
      known.add(digest);
      const child = (index: number): Digest => {
        const row = index < at ? rows[index] : undefined;
        if (row === undefined) throw new RecordError(place, `${index} is not a manifest before it`);
        return row[0];
      };
      const level = children.reduce((most, one) => Math.max(most, (levels[one] ?? 0) + 1), 0);
      if (level > MANIFEST_NESTING_LIMIT)
        throw new RecordError(place, `it is nested deeper than ${MANIFEST_NESTING_LIMIT} levels`);
      levels.push(level);
      const {platform, subject, cutFrom, convertedFrom} = more ?? {};
      return {
        digest,
        mediaType: entry(this.#tables.mediaTypes, mediaType, 'mediaTypes', `${place}.1`),
        size,
        manifests: children.map(child),
        blobs: blobs.map((blob) => this.#blob(blob, `${place}.3`)[0]),
        ...(platform === undefined
          ? {}
          : {platform: entry(this.#tables.platforms ?? [], platform, 'platforms', `${place}.5`)}),
        ...(subject === undefined ? {} : {subject}),
        ...(cutFrom === undefined
          ? {}
          : {cutFrom: {digest: cutFrom.digest, keep: cutFrom.keep.map(child)}}),
        ...(convertedFrom === undefined
          ? {}
          : {convertedFrom: this.#conversion(convertedFrom, child, place)}),
      };
    });
  }

  #conversion(
    conversion: NonNullable<NonNullable<ManifestRow[5]>['convertedFrom']>,
    child: (index: number) => Digest,
    place: string,
  ): Conversion {
    switch (conversion.kind) {
      case 'schema1': {
        const layers = conversion.layers.map((layer) => ({
          ...layer,
          mediaType: entry(this.#tables.mediaTypes, layer.mediaType, 'mediaTypes', place),
        }));
        return {...conversion, layers};
      }
      case 'foreign-layers':
        return conversion;
      case 'index': {
        const instead = conversion.instead.map(({from, to}) => ({from, to: child(to)}));
        return {...conversion, instead};
      }
    }
  }

  #manifest(index: number, place: string): PlannedManifest {
    return entry(this.manifests, index, 'manifests', place);
  }

  #blob(index: number, place: string): BlobRow {
    return entry(this.#tables.blobs, index, 'blobs', place);
  }

  #mediaType(index: number): string {
    return this.#tables.mediaTypes[index] ?? '';
  }
}

/** @throws RecordError if the entry does not exist */
function entry<T>(list: readonly T[], index: number, what: string, place: string): T {
  const found = list[index];
  if (found === undefined) throw new RecordError(place, `${index} is not in ${what}`);
  return found;
}

/** A name that is not a tag must not become part of a request URL. */
function throwUnlessCalled(repository: string, called: Tag | undefined, place: string): void {
  if (called === undefined || isTag(called) || isLocal(repository)) return;
  throw new RecordError(place, 'the name of an image in a registry must be a tag');
}
