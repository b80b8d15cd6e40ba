import {describe, expect, test} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import {deletionsOf} from '../../src/model/plan.ts';
import type {Tag} from '../../src/model/reference.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {chooseTags} from '../../src/plan/delete-rules.ts';
import {destination, entry, image, index, source} from '../support/inventories.ts';
import type {Manifest} from '../../src/model/manifest.ts';

const FROM = 'a.example.com/app';
const TO = 'b.example.com/app';
/** A recursion of so many levels exceeds the stack of V8, and so many tags squared a minute. */
const LENGTH = 12_000;

/** An image, its signature, the signature of that, and so on, the last one first. */
function signatures(length: number): Record<string, Manifest> {
  let signed = image(['base']);
  const tags: [string, Manifest][] = [['image', signed]];
  for (let at = 1; at < length; at++) {
    const signature = image([], {note: `${at}`});
    tags.push([`${signed.descriptor.digest.replace(':', '-')}.sig`, signature]);
    signed = signature;
  }
  return Object.fromEntries(tags.toReversed());
}

function deletionPlan(tags: Readonly<Record<string, Manifest>>, keep: readonly string[] = []) {
  const inventory = source(FROM, tags);
  const digests = new Map<Tag, Digest>(
    inventory.roots.flatMap(({tag, digest}) => (tag === undefined ? [] : [[tag, digest]])),
  );
  const below = new Map(
    Object.values(tags).map(({descriptor: {digest}, view}) => [
      digest,
      new Set(view.kind === 'index' ? view.manifests.map((child) => child.digest) : []),
    ]),
  );
  const content = {deletion: 'alone', tags: digests, below} as const;
  const rules = {tags: ['*'], keep};
  const {wanted, checks, skipped} = chooseTags(
    {rules},
    {inventory, content, timeOf: () => undefined, hasPushTimes: false},
  );
  return makeCopyPlan({
    wish: {routes: [], deletes: [{repository: FROM, rules}]},
    routes: [],
    findings: {checks, skipped},
    deletions: {wanted, contents: new Map([[FROM, content]])},
  });
}

describe('a long chain of signatures', () => {
  const tags = signatures(LENGTH);

  test('is copied, each after what it belongs to', () => {
    const {steps} = makeCopyPlan({
      wish: {routes: [{source: FROM, destination: TO, filters: {}}]},
      routes: [{wish: 0, source: source(FROM, tags), destination: destination(TO)}],
    });
    expect(steps).toHaveLength(LENGTH);
    expect(steps[0]).toMatchObject({tag: 'image', needs: []});
    expect(steps.at(-1)?.needs).toEqual([steps.at(-2)?.id]);
  });

  test('is deleted, each after what it belongs to', () => {
    const steps = deletionsOf(deletionPlan(tags));
    expect(steps).toHaveLength(LENGTH);
    expect(steps[0]).toMatchObject({tag: 'image', needs: []});
    expect(steps.at(-1)?.needs).toEqual([steps.at(-2)?.id]);
  });
});

describe('many tags of one image', () => {
  const one = image(['base']);
  const tags = Object.fromEntries(Array.from({length: LENGTH}, (_, at) => [`t${at}`, one]));

  test('are not all named for each other', () => {
    const [first] = deletionsOf(deletionPlan(tags));
    expect(first?.why).toMatch(/same digest as (?:t\d+, ){19}t\d+ and 11979 more$/);
  });

  test('are named as long as they are few', () => {
    const steps = deletionsOf(deletionPlan({b: one, a: one, c: one}));
    expect(steps.map(({why}) => /same digest as (.+)$/.exec(why)?.[1])).toEqual([
      'b, c',
      'a, c',
      'a, b',
    ]);
  });
});

test('images that list more than a plan can name are an error', () => {
  const children = Array.from({length: 200}, (_, at) => image([], {note: `${at}`}));
  const all = index(children.map((child) => entry(child)));
  const tags = Object.fromEntries(Array.from({length: 5100}, (_, at) => [`t${at}`, all]));
  const input = {
    wish: {routes: [{source: FROM, destination: TO, filters: {}}]},
    routes: [{wish: 0, source: source(FROM, tags, children), destination: destination(TO)}],
  };
  expect(() => makeCopyPlan(input)).toThrow(/too many manifests and layers for one plan/);
});
