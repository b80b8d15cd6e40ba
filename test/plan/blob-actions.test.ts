import {describe, expect, it} from 'vitest';
import type {BlobAction} from '../../src/model/plan.ts';
import type {SourceInventory} from '../../src/observe/inventory.ts';
import type {ObservedRoute} from '../../src/plan/candidate.ts';
import {destination, image, layer, source} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

const base = layer('base');
const one = image(['base', 'one']);
const two = image(['base', 'two']);

const into = (
  from: SourceInventory,
  to: string,
  present: BlobAction['digest'][] = [],
): ObservedRoute => ({
  source: from,
  destination: destination(to, {}, present),
});

function actionsOn(blob: {digest: string}, ...routes: ObservedRoute[]): (string | undefined)[][] {
  return copyPlan(routes)
    .blobs.filter(({digest}) => digest === blob.digest)
    .map(({to, action, mountFrom}) => (mountFrom ? [to, action, mountFrom] : [to, action]));
}

describe('blobActions', () => {
  const left = source('a.test/left', {v1: one, v2: two});
  const right = source('a.test/right', {v1: two});

  it('copies a blob once for each registry and mounts it from there', () => {
    expect(
      actionsOn(
        base,
        into(left, 'b.test/left'),
        into(right, 'b.test/right'),
        into(left, 'c.test:5000/left'),
        into(right, 'c.test:5000/right'),
      ),
    ).toEqual([
      ['b.test/left', 'copy'],
      ['b.test/right', 'mount', 'b.test/left'],
      ['c.test:5000/left', 'copy'],
      ['c.test:5000/right', 'mount', 'c.test:5000/left'],
    ]);
  });

  it('mounts from the source on the same registry', () => {
    expect(actionsOn(base, into(left, 'a.test/new'), into(right, 'a.test/newer'))).toEqual([
      ['a.test/new', 'mount', 'a.test/left'],
      ['a.test/newer', 'mount', 'a.test/right'],
    ]);
  });

  it('mounts from a known location', () => {
    expect(
      actionsOn(base, into(left, 'b.test/left'), into(right, 'b.test/right', [base.digest])),
    ).toEqual([
      ['b.test/left', 'mount', 'b.test/right'],
      ['b.test/right', 'present'],
    ]);
    expect(
      actionsOn(base, into(left, 'b.test/left'), into(source('b.test/x', {v1: two}), 'c.test/x')),
    ).toEqual([
      ['b.test/left', 'mount', 'b.test/x'],
      ['c.test/x', 'copy'],
    ]);
  });

  it('takes the source that is near, of several for one repository', () => {
    expect(
      actionsOn(base, into(left, 'b.test/x'), into(source('b.test/y', {v3: two}), 'b.test/x')),
    ).toEqual([['b.test/x', 'mount', 'b.test/y']]);
  });

  it('mounts nothing between files', () => {
    expect(actionsOn(base, into(left, 'oci:/srv/a'), into(right, 'oci:/srv/b'))).toEqual([
      ['oci:/srv/a', 'copy'],
      ['oci:/srv/b', 'copy'],
    ]);
  });

  it('takes a foreign layer from the source that has it', () => {
    const url = layer('windows', {urls: ['https://example.test/w']});
    const windows = image([url]);
    const without = source('a.test/without', {w1: windows}, [], {
      absentForeign: new Set([url.digest]),
    });
    const having = source('a.test/having', {w2: windows});
    expect(actionsOn(url, into(without, 'b.test/x'))).toEqual([['b.test/x', 'foreign']]);
    expect(actionsOn(url, into(without, 'b.test/x'), into(having, 'b.test/x'))).toEqual([
      ['b.test/x', 'copy'],
    ]);
  });

  it('does not miss a layer with URLs that an image at the destination got by without', () => {
    const url = layer('windows', {urls: ['https://example.test/w']});
    const [old, fresh] = [image([url, 'old']), image([url, 'new'])];
    const there = [old.descriptor.digest];
    expect(actionsOn(url, into(source('a.test/x', {old}), 'b.test/x', there))).toEqual([
      ['b.test/x', 'foreign'],
    ]);
    expect(actionsOn(url, into(source('a.test/x', {a: old, b: fresh}), 'b.test/x', there))).toEqual(
      [['b.test/x', 'copy']],
    );
  });

  it('counts bytes that travel and bytes that need not', () => {
    const routes = [into(left, 'b.test/left'), into(right, 'b.test/right', [base.digest])];
    const {totals, blobs} = copyPlan(routes);
    const sum = (...actions: string[]) =>
      blobs.filter(({action}) => actions.includes(action)).reduce((all, {size}) => all + size, 0);
    expect(totals.bytes).toBe(sum('copy'));
    expect(totals.bytesSaved).toBe(sum('mount', 'present'));
    expect(totals.bytes + totals.bytesSaved).toBe(sum('copy', 'mount', 'present'));
  });
});
