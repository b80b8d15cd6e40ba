import {describe, expect, it} from 'vitest';
import type {Manifest} from '../../src/model/manifest.ts';
import {copiesOf, type CopyPlan, type WishFilters} from '../../src/model/plan.ts';
import type {Tag} from '../../src/model/reference.ts';
import type {SourceInventory} from '../../src/observe/inventory.ts';
import type {ObservedRoute} from '../../src/plan/candidate.ts';
import {destination, entry, image, index, layer, manifest, source} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

const FROM = 'a.test/team/app';
const TO = 'b.test/group/app';
const one = image(['base', 'one']);
const two = image(['base', 'two']);
const both = index([entry(one, 'linux/amd64'), entry(two, 'linux/arm64')]);

const digestOf = ({descriptor}: Manifest) => descriptor.digest;

function plan(routes: readonly ObservedRoute[], filters: WishFilters = {}): CopyPlan {
  return copyPlan(routes, filters, {source: FROM});
}

function planOne(
  from: SourceInventory,
  to = destination(TO),
  more: Partial<ObservedRoute> = {},
): CopyPlan {
  return plan([{source: from, destination: to, ...more}]);
}

const tagsOf = (made: CopyPlan) => copiesOf(made).map(({tag}) => tag);
const codes = ({checks}: CopyPlan) => checks.map(({code, result}) => `${result} ${code}`);

describe('makeCopyPlan: steps', () => {
  it('pins what it copies', () => {
    const {steps, manifests, totals} = planOne(source(FROM, {'1.0': both}, [one, two]));
    expect(steps).toEqual([
      {
        kind: 'copy',
        id: `copy:${TO}:1.0`,
        from: FROM,
        to: TO,
        digest: digestOf(both),
        tag: '1.0',
        sourceTag: {name: '1.0', digest: digestOf(both)},
        replaces: null,
        manifests: [one, two, both].map(digestOf),
        needs: [],
        why: 'not there yet',
        // What the totals below say, since it is alone.
        estimate: {bytes: totals.bytes, requests: 9 + 15},
      },
    ]);
    expect(manifests.at(-1)).toEqual({
      digest: digestOf(both),
      mediaType: both.descriptor.mediaType,
      size: both.descriptor.size,
      manifests: [digestOf(one), digestOf(two)],
      blobs: [],
    });
    // 1 tag, 3 manifests, 5 blobs: read each; ask for the tag twice, put the manifests, POST and PUT the blobs.
    expect(totals.requests).toEqual({source: 1 + 3 + 5, destination: 2 + 3 + 2 * 5});
    expect(totals).toMatchObject({steps: 1, manifests: 3, blobs: {copy: 5, mount: 0}});
  });

  it('counts a source tag once, whatever its names at the destinations', () => {
    const named = source(FROM, {'1.0': one});
    const roots = named.roots.map((root) => ({...root, toTag: 'stable' as Tag}) as typeof root);
    const {totals} = plan([
      {source: {...named, roots}, destination: destination(TO, {stable: digestOf(one)})},
      {source: named, destination: destination('c.test/group/app')},
    ]);
    // 1 tag, 1 manifest, and a config with 2 layers.
    expect(totals.requests.source).toBe(1 + 1 + 3);
  });

  it('sorts the images by age, then by tag', () => {
    const tags = {a: image(['a']), b: image(['b']), c: image(['c']), d: image(['d'])};
    const created = new Map([
      [digestOf(tags.a), '2026-02-01T00:00:00Z'],
      [digestOf(tags.c), '2026-01-01T00:00:00Z'],
    ]);
    expect(tagsOf(planOne(source(FROM, tags)))).toEqual(['a', 'b', 'c', 'd']);
    expect(tagsOf(planOne(source(FROM, tags, [], {created})))).toEqual(['b', 'd', 'c', 'a']);
  });

  it('uses the requested tag', () => {
    const named = source(FROM, {'1.0': one});
    const roots = named.roots.map((root) => ({...root, toTag: 'stable' as Tag}) as typeof root);
    const {steps} = planOne({...named, roots});
    expect(steps).toMatchObject([
      {id: `copy:${TO}:stable`, tag: 'stable', sourceTag: {name: '1.0', digest: digestOf(one)}},
    ]);
  });

  it('pushes only missing content', () => {
    const to = destination(TO, {old: digestOf(one)}, [digestOf(one)]);
    const made = planOne(source(FROM, {'1.0': both}, [one, two]), to);
    const {blobs} = made;
    expect(copiesOf(made)[0]?.manifests).toEqual([digestOf(two), digestOf(both)]);
    expect(blobs.filter(({action}) => action === 'present')).toHaveLength(3);
    expect(blobs.filter(({action}) => action === 'copy')).toHaveLength(2);
  });

  it('tags an image that exists', () => {
    const to = destination(TO, {}, [digestOf(one)]);
    const {steps, totals} = planOne(source(FROM, {'1.0': one}), to);
    expect(steps).toMatchObject([{manifests: [digestOf(one)], why: 'there without the tag'}]);
    expect(totals).toMatchObject({bytes: 0, blobs: {copy: 0, present: 3}});
  });

  it('skips existing images with everything below them', () => {
    const from = source(FROM, {'1.0': both, '1.1': two}, [one]);
    const made = planOne(from, destination(TO, {'1.0': digestOf(both)}));
    const {skipped, blobs} = made;
    expect(tagsOf(made)).toEqual(['1.1']);
    expect(skipped).toEqual([
      {reason: 'present', from: FROM, to: TO, tag: '1.0', digest: digestOf(both)},
    ]);
    expect(new Set(blobs.map(({action}) => action))).toEqual(new Set(['present']));
  });

  it('need not know what hangs below a tag that is there', () => {
    const {manifests, ...from} = source(FROM, {'1.0': both});
    const to = destination(TO, {'1.0': digestOf(both)});
    expect(planOne({...from, manifests: new Map()}, to).totals).toMatchObject({
      present: 1,
      steps: 0,
    });
    expect(() => planOne({...from, manifests: new Map()})).toThrow(
      expect.objectContaining({code: 'INTERNAL'}),
    );
    const unread = {source: {...from, manifests: new Map()}, destination: to};
    expect(() => plan([unread], {platforms: ['linux/amd64']})).toThrow(
      expect.objectContaining({code: 'INTERNAL'}),
    );
    expect(manifests.size).toBe(1);
  });

  it('finds nothing to do where source and destination are one', () => {
    const {steps, skipped} = planOne(source(FROM, {'1.0': one}), destination(FROM));
    expect(steps).toEqual([]);
    expect(skipped).toMatchObject([{reason: 'present', tag: '1.0'}]);
  });

  it('adds a tag in the same repository without copying bytes', () => {
    const named = source(FROM, {'1.0': both}, [one, two]);
    const roots = named.roots.map((root) => ({...root, toTag: 'stable' as Tag}) as typeof root);
    const {steps, blobs} = planOne({...named, roots}, destination(FROM, {'1.0': digestOf(both)}));
    expect(steps).toMatchObject([{tag: 'stable', manifests: [digestOf(both)]}]);
    expect(blobs.every(({action}) => action === 'present')).toBe(true);
  });

  it('says of a tag that moves where from', () => {
    const made = planOne(source(FROM, {'1.0': one}), destination(TO, {'1.0': digestOf(two)}));
    expect(made.steps).toMatchObject([
      {replaces: digestOf(two), why: 'the tag points to something else'},
    ]);
    expect(codes(made)).toEqual(['warn TAG_MOVES']);
  });

  it('copies untagged images by digest, unless a tag includes them', () => {
    const from = source(FROM, {}, [one]);
    const byDigest = {digest: digestOf(one), as: 'asked'} as const;
    expect(planOne({...from, roots: [byDigest]}).steps).toMatchObject([
      {id: `copy:${TO}@${digestOf(one)}`, replaces: null},
    ]);
    const tagged = {...byDigest, tag: 'x' as Tag};
    expect(planOne({...from, roots: [byDigest, tagged]}).steps).toMatchObject([{tag: 'x'}]);
    const there = destination(TO, {}, [digestOf(one)]);
    expect(planOne({...from, roots: [byDigest]}, there).skipped).toMatchObject([
      {reason: 'present'},
    ]);
  });
});

describe('makeCopyPlan: images that cannot be copied', () => {
  const schema1 = manifest({schemaVersion: 1, name: 'x', fsLayers: []});
  const ghost = index([entry(one, 'linux/amd64'), entry(two, 'linux/arm64')]);

  it.each([
    ['schema 1', source(FROM, {old: schema1}), 'unsupported', 'SCHEMA1_UNSUPPORTED'],
    [
      'an index that is not whole',
      source(FROM, {old: ghost}, [one]),
      'incomplete',
      'SOURCE_INCOMPLETE',
    ],
  ] as const)(
    'skips %s, and refuses if it is all that was asked for',
    (_what, from, reason, code) => {
      const several = planOne(from);
      expect(several.skipped).toMatchObject([{reason, tag: 'old'}]);
      // Nothing else is there: what is left is nothing.
      expect(codes(several)).toEqual([`warn ${code}`, 'forbid NOTHING_SELECTED']);
      expect(several.steps).toEqual([]);
      expect(codes(planOne(from, destination(TO), {single: true}))).toEqual([`forbid ${code}`]);
    },
  );

  it('names tags that hold no manifest', () => {
    const error = {
      code: 'MANIFEST_INVALID',
      side: 'source',
      retry: false,
      message: 'not JSON',
      hint: 'push',
    } as const;
    const made = planOne(
      source(FROM, {'1.0': one}, [], {unreadable: [{tag: 'bad' as Tag, error}]}),
    );
    expect(made.skipped).toMatchObject([{reason: 'unsupported', tag: 'bad', detail: 'not JSON'}]);
    expect(codes(made)).toEqual(['warn MANIFEST_INVALID']);
  });

  it('names tags with invalid names', () => {
    const notRead = [{tag: '', reason: 'invalid-name', detail: 'empty'}] as const;
    const made = planOne(source(FROM, {}, [], {notRead}));
    expect(made.skipped).toEqual([{reason: 'invalid-name', from: FROM, tag: '', detail: 'empty'}]);
    expect(codes(made)).toEqual(['warn SKIPPED', 'forbid NOTHING_SELECTED']);
  });

  it('leaves foreign layers where they are', () => {
    const url = layer('windows', {urls: ['https://example.test/windows']});
    const windows = image([url, 'own']);
    const from = source(FROM, {win: windows}, [], {absentForeign: new Set([url.digest])});
    const made = planOne(from);
    expect(made.blobs.find(({digest}) => digest === url.digest)?.action).toBe('foreign');
    expect(codes(made)).toEqual(['warn FOREIGN_LAYERS']);
    expect(made.totals.blobs).toMatchObject({copy: 2, foreign: 1});
    const done = planOne(from, destination(TO, {win: digestOf(windows)}));
    expect(done.totals.blobs).toMatchObject({present: 2, foreign: 1});
    expect(codes(done)).toEqual([]);
  });

  it('refuses two images for one tag, but not one image twice', () => {
    const [left, right] = ['a.test/left', 'a.test/right'];
    const into = (from: string, what: Manifest) => ({
      source: source(from, {'1.0': what}),
      destination: destination(TO),
    });
    const twice = plan([into(left, one), into(right, one)]);
    expect(twice.steps).toHaveLength(1);
    expect(codes(twice)).toEqual([]);
    const conflict = plan([into(left, one), into(right, two)]);
    expect(conflict.checks).toMatchObject([
      {code: 'DESTINATION_CONFLICT', result: 'forbid', subject: `${TO}:1.0`},
    ]);
    expect(conflict.checks[0]?.message).toContain(left);
    expect(conflict.checks[0]?.message).toContain(right);
  });
});
