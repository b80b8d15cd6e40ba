import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import {ERROR_CODES} from '../../src/model/error-codes.ts';
import {childBlobs} from '../../src/model/manifest.ts';
import {copiesOf, type CopyPlan, type WishFilters} from '../../src/model/plan.ts';
import type {SourceInventory} from '../../src/observe/inventory.ts';
import type {ObservedRoute} from '../../src/plan/candidate.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {registryOf} from '../../src/plan/blob-actions.ts';
import {LAYOUTS} from '../support/fixtures.ts';
import {destination, layoutSource} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

/** Real images with some of their content at the destination already, on several registries or one. */
const situation = fc.record({
  layout: fc.constantFrom(...LAYOUTS),
  from: fc.constantFrom('a.test/x', 'a.test/y', 'b.test/z'),
  to: fc.constantFrom('b.test/x', 'b.test/y', 'b.test/z', 'c.test/x', 'oci:/srv/x'),
  attach: fc.boolean(),
  present: fc.array(fc.nat(), {maxLength: 6}),
  tagged: fc.array(fc.tuple(fc.nat(), fc.nat()), {maxLength: 4}),
});
const situations = fc.array(situation, {minLength: 1, maxLength: 4});
const filters = fc.constantFrom<WishFilters>(
  {},
  {platforms: ['linux/amd64']},
  {platforms: ['linux/arm', 'linux/amd64']},
  {newest: 2},
);

function routeOf({layout, from, to, attach, present, tagged}: Situation): ObservedRoute {
  const source = layoutSource(layout, from, {attach});
  const content = contentOf(source);
  const pick = (at: number) => content[at % content.length];
  const there = present.flatMap((at) => pick(at) ?? []);
  const tags = tagged.flatMap(([tagAt, at]) => {
    const tag = source.roots[tagAt % source.roots.length]?.tag;
    const digest = pick(at);
    return tag === undefined || digest === undefined ? [] : [[tag, digest] as const];
  });
  return {source, destination: destination(to, Object.fromEntries(tags), there)};
}

type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

function planOf(routes: readonly ObservedRoute[], wanted: WishFilters): CopyPlan {
  return copyPlan(routes, wanted);
}

function contentOf({manifests}: SourceInventory): readonly Digest[] {
  const blobs = [...manifests.values()].flatMap(({view}) => childBlobs(view));
  return [...manifests.keys(), ...blobs.map(({digest}) => digest)];
}

describe('a copy plan', () => {
  it('does not depend on the order in which things were seen', () => {
    fc.assert(
      fc.property(situations, filters, fc.infiniteStream(fc.nat()), (seen, wanted, numbers) => {
        const routes = seen.map(routeOf);
        const shuffle = <T>(items: Iterable<T>): T[] =>
          [...items]
            .map((item) => ({item, key: Number(numbers.next().value)}))
            .sort((a, b) => a.key - b.key)
            .map(({item}) => item);
        const shuffled = routes.map(({source, destination: to}) => ({
          source: {
            ...source,
            roots: shuffle(source.roots),
            manifests: new Map(shuffle(source.manifests)),
            missingManifests: new Set(shuffle(source.missingManifests)),
          },
          destination: {
            ...to,
            tags: new Map(shuffle(to.tags)),
            present: new Set(shuffle(to.present)),
          },
        }));
        const plan = planOf(routes, wanted);
        const again = planOf(shuffled, wanted);
        expect(again.id).toBe(plan.id);
        expect(serializePlan(again)).toBe(serializePlan(plan));
      }),
      {numRuns: 60},
    );
  });

  it('is complete: every part of every image is pushed, exists, or stays at its URLs', () => {
    fc.assert(
      fc.property(situations, filters, (seen, wanted) => {
        const routes = seen.map(routeOf);
        const plan = planOf(routes, wanted);
        expect(faults(plan, routes)).toEqual([]);
      }),
      {numRuns: 150},
    );
  });

  it('has a step for every root, or a reason why not', () => {
    fc.assert(
      fc.property(situation, filters, (seen, wanted) => {
        const only = routeOf(seen);
        const made = planOf([only], wanted);
        const {skipped, checks} = made;
        for (const {tag, digest} of only.source.roots) {
          if (tag === undefined) continue;
          const step = copiesOf(made).find(({sourceTag}) => sourceTag?.name === tag);
          const skip = skipped.find((one) => one.tag === tag);
          expect([step, skip].filter(Boolean), `${tag} ${digest}`).toHaveLength(1);
        }
        const known = new Set([
          ...Object.keys(ERROR_CODES),
          'INDEX_CUT',
          'DIGESTS_NEW',
          'TAG_MOVES',
          'FOREIGN_LAYERS',
          'SKIPPED',
        ]);
        expect(checks.every(({code}) => known.has(code))).toBe(true);
      }),
      {numRuns: 60},
    );
  });

  it('has estimates that add up to what it costs', () => {
    fc.assert(
      fc.property(situations, filters, (seen, wanted) => {
        const {steps, skipped, totals} = planOf(seen.map(routeOf), wanted);
        const sum = (of: 'bytes' | 'requests') =>
          steps.reduce((all, {estimate}) => all + estimate[of], 0);
        expect(sum('bytes')).toBe(totals.bytes);
        // What is there already is asked for on both sides, too, a source tag once for all its routes.
        const {source, destination: toDestination} = totals.requests;
        const asked = skipped.filter(({reason, tag}) => reason === 'present' && tag !== undefined);
        const rest = source + toDestination - sum('requests');
        expect(rest).toBeGreaterThanOrEqual(asked.length);
        expect(rest).toBeLessThanOrEqual(2 * asked.length);
      }),
      {numRuns: 40},
    );
  });

  it('is the same after it was written and read', () => {
    fc.assert(
      fc.property(situations, filters, (seen, wanted) => {
        const routes = seen.map(routeOf);
        const plan = planOf(routes, wanted);
        const text = serializePlan(plan);
        expect(parsePlan(text, 'plan.json')).toEqual(plan);
        expect(serializePlan(parsePlan(text, 'plan.json'))).toBe(text);
      }),
      {numRuns: 40},
    );
  });
});

/** What is wrong with a plan: everything that must hold, looked at from the plan alone. */
function faults(plan: CopyPlan, routes: readonly ObservedRoute[]): readonly string[] {
  return [...stepFaults(plan, routes), ...blobFaults(plan, routes)];
}

function* stepFaults(plan: CopyPlan, routes: readonly ObservedRoute[]): Generator<string> {
  const {manifests, blobs} = plan;
  const planned = new Map(manifests.map((one) => [one.digest, one]));
  const actions = new Set(blobs.map(({to, digest}) => `${to} ${digest}`));
  const done = new Set<string>();
  for (const {id, to, digest, manifests: puts, needs} of copiesOf(plan)) {
    if (done.has(id)) yield `${id} is there twice`;
    if (!needs.every((need) => done.has(need))) yield `${id} comes before what it needs`;
    if (puts.at(-1) !== digest) yield `${id} does not end with its own manifest`;
    done.add(id);
    const there = new Set(routes.flatMap((route) => knownAt(to, route)));
    const put = new Set<Digest>();
    for (const one of puts) {
      const manifest = planned.get(one);
      if (!manifest) yield `${id} puts ${one}, of which nothing is known`;
      for (const child of manifest?.manifests ?? []) {
        if (!put.has(child) && !isBelow(child, there, planned))
          yield `${id} puts ${one} before ${child}`;
      }
      for (const blob of manifest?.blobs ?? []) {
        if (!actions.has(`${to} ${blob}`)) yield `${id} puts ${one} without ${blob}`;
      }
      put.add(one);
    }
  }
}

function* blobFaults({blobs}: CopyPlan, routes: readonly ObservedRoute[]): Generator<string> {
  const seen = new Set<string>();
  const copied = new Set<string>();
  for (const {to, digest, action, mountFrom} of blobs) {
    const name = `${action} of ${digest} to ${to}`;
    if (isAgain(seen, `${to} ${digest}`)) yield `${name} is there twice`;
    if (action === 'copy' && isAgain(copied, `${registryOf(to) ?? to} ${digest}`))
      yield `${name} is one too many`;
    if ((action === 'mount') !== (mountFrom !== undefined)) yield `${name} from ${mountFrom}`;
    if (mountFrom === undefined) continue;
    const isHeld =
      blobs.some(
        (one) => one.to === mountFrom && one.digest === digest && one.action !== 'mount',
      ) ||
      routes.some(
        ({source}) => source.repository === mountFrom && contentOf(source).includes(digest),
      );
    if (!isHeld || mountFrom === to || registryOf(mountFrom) !== registryOf(to)) {
      yield `${name} from ${mountFrom}, which cannot give it`;
    }
  }
}

/** What one route says of what is at a repository. */
function knownAt(repository: string, {source, destination: to}: ObservedRoute): readonly Digest[] {
  return [
    ...(source.repository === repository ? source.manifests.keys() : []),
    ...(to.repository === repository ? [...to.present, ...to.tags.values()] : []),
  ];
}

/** Whether the manifest is there, itself or as part of one that is there. */
function isBelow(
  digest: Digest,
  there: ReadonlySet<Digest>,
  manifests: ReadonlyMap<Digest, {readonly manifests: readonly Digest[]}>,
): boolean {
  if (there.has(digest)) return true;
  return [...manifests].some(
    ([parent, one]) => one.manifests.includes(digest) && isBelow(parent, there, manifests),
  );
}

/** Notes the key and says whether it was noted before. */
function isAgain(keys: Set<string>, key: string): boolean {
  return keys.size === keys.add(key).size;
}
