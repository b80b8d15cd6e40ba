import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {Manifest} from '../../src/model/manifest.ts';
import {copiesOf, type CopyPlan, creationsOf} from '../../src/model/plan.ts';
import type {CopyRoute} from '../../src/plan/copy-plan.ts';
import {shardOfPlan} from '../../src/plan/shards.ts';
import {destination, image, layer, source} from '../support/inventories.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';

const KIB = 1024;

/** Repositories with layers of their own, and some of the shared ones. */
const repository = fc.record({
  own: fc.integer({min: 1, max: 400}),
  shares: fc.uniqueArray(fc.nat({max: 7}), {maxLength: 3}),
  tags: fc.integer({min: 1, max: 4}),
  isThere: fc.boolean(),
  at: fc.constantFrom('a.test', 'b.test'),
});
const repositories = fc.array(repository, {minLength: 1, maxLength: 20});
const totals = fc.integer({min: 1, max: 9});

type Repository = typeof repository extends fc.Arbitrary<infer T> ? T : never;

/** A layer of so many KiB. */
function sized(name: string, kib: number) {
  return layer(name, {size: kib * KIB});
}

function planOf(all: readonly Repository[]): CopyPlan {
  return largePlan(
    all.map(({own, shares, tags, isThere, at}, number): CopyRoute => {
      const images: Record<string, Manifest> = Object.fromEntries(
        Array.from({length: tags}, (_, tag) => [
          `v${tag}`,
          image([
            ...shares.map((share) => sized(`shared ${share}`, 50 * (share + 1))),
            sized(`own ${number} ${tag}`, own),
          ]),
        ]),
      );
      const there: Record<string, Digest> = isThere
        ? {v0: images['v0']?.descriptor.digest ?? ('' as Digest)}
        : {};
      const name = `team/app-${number}`;
      return {
        source: source(`source.test/${name}`, images),
        destination: destination(`${at}/${name}`, there),
        wish: 0,
      };
    }),
  );
}

function shards(plan: CopyPlan, total: number): readonly CopyPlan[] {
  return Array.from({length: total}, (_, at) => {
    const part = shardOfPlan(plan, {index: at + 1, total});
    return part.kind === 'copy' ? part : plan;
  });
}

const skips = (one: CopyPlan) => one.skipped.map((skip) => JSON.stringify(skip));
const routes = (one: CopyPlan) => one.routes.map(({to}) => to);
const byText = (a: string, b: string): number => (a < b ? -1 : 1);

describe('the shards of a plan of copies', () => {
  it('are disjoint, and together they are the plan', () => {
    fc.assert(
      fc.property(repositories, totals, (all, total) => {
        const plan = planOf(all);
        const parts = shards(plan, total);
        const ids = parts.flatMap((part) => copiesOf(part).map(({id}) => id));
        expect(ids.toSorted(byText)).toEqual(
          copiesOf(plan)
            .map(({id}) => id)
            .toSorted(byText),
        );
        expect(parts.flatMap(skips).toSorted(byText)).toEqual(skips(plan).toSorted(byText));
        expect(parts.flatMap(routes).toSorted(byText)).toEqual(routes(plan).toSorted(byText));
        expect(new Set(parts.map(({id}) => id))).toEqual(new Set([plan.id]));
      }),
      {numRuns: 25},
    );
  });

  it('do not depend on the order of the plan', () => {
    fc.assert(
      fc.property(repositories, totals, (all, total) => {
        const plan = planOf(all);
        const turned = {...plan, routes: plan.routes.toReversed()};
        const names = (one: CopyPlan) =>
          shards(one, total).map((part) =>
            copiesOf(part)
              .map(({id}) => id)
              .toSorted(byText),
          );
        expect(names(turned)).toEqual(names(plan));
        expect(names(plan)).toEqual(names(plan));
      }),
      {numRuns: 15},
    );
  });

  it('can be applied separately: everything that an image needs is in its shard', () => {
    fc.assert(
      fc.property(repositories, totals, (all, total) => {
        for (const part of shards(planOf(all), total)) {
          const manifests = new Map(part.manifests.map((one) => [one.digest, one]));
          const blobs = new Map(part.blobs.map((one) => [`${one.to} ${one.digest}`, one]));
          const ids = new Set(part.steps.map(({id}) => id));
          for (const step of copiesOf(part)) {
            for (const need of step.needs) expect(ids).toContain(need);
            for (const digest of step.manifests) {
              for (const blob of manifests.get(digest)?.blobs ?? ['not planned'])
                expect(blobs.has(`${step.to} ${blob}`)).toBe(true);
            }
          }
          // What is mounted is there before, or comes in the same shard, once.
          for (const {digest, action, mountFrom = ''} of part.blobs) {
            if (action !== 'mount') continue;
            expect(['copy', 'present', undefined]).toContain(
              blobs.get(`${mountFrom} ${digest}`)?.action,
            );
          }
          const sent = part.blobs.filter(({action}) => action === 'copy');
          const keys = sent.map(({digest, to}) => `${to.split('/')[0]} ${digest}`);
          expect(new Set(keys).size).toBe(keys.length);
        }
      }),
      {numRuns: 25},
    );
  });

  it('have estimates that add up, each to its own totals', () => {
    fc.assert(
      fc.property(repositories, totals, (all, total) => {
        const plan = planOf(all);
        const parts = shards(plan, total);
        for (const part of parts) {
          const sum = copiesOf(part).reduce((bytes, {estimate}) => bytes + estimate.bytes, 0);
          expect(sum).toBe(part.totals.bytes);
        }
        const sent = parts.reduce((bytes, part) => bytes + part.totals.bytes, 0);
        expect(sent).toBeGreaterThanOrEqual(plan.totals.bytes);
      }),
      {numRuns: 15},
    );
  });

  it('are balanced where no repository is large', () => {
    const small = fc.array(
      fc.record({
        own: fc.integer({min: 1, max: 40}),
        shares: fc.uniqueArray(fc.nat({max: 2}), {maxLength: 2}),
        tags: fc.integer({min: 1, max: 4}),
        isThere: fc.constant(false),
        at: fc.constant('a.test'),
      }),
      {minLength: 120, maxLength: 160},
    );
    fc.assert(
      fc.property(small, fc.integer({min: 2, max: 4}), (all, total) => {
        const plan = planOf(all);
        // An image counts as 64 KiB beside its bytes.
        const costs = shards(plan, total).map(
          (part) => part.totals.bytes + copiesOf(part).length * 64 * KIB,
        );
        const mean = costs.reduce((sum, cost) => sum + cost, 0) / total;
        expect(Math.max(...costs) / mean).toBeLessThanOrEqual(1.15);
      }),
      {numRuns: 6},
    );
  });
});

it('repositories that share blobs are in one shard, where that is balanced', () => {
  // Eight teams of five repositories; a team has a base of its own.
  const all = Array.from({length: 40}, (_, at) => ({
    own: 100,
    shares: [at % 8],
    tags: 2,
    isThere: false,
    at: 'a.test' as const,
  }));
  const plan = planOf(all);
  const parts = shards(plan, 4);
  expect(parts.map(({blobs}) => blobs.some(({mountFrom}) => mountFrom !== undefined))).toEqual(
    Array.from({length: 4}, () => true),
  );
  expect(parts.reduce((sum, {totals: own}) => sum + own.bytes, 0)).toBe(plan.totals.bytes);
  const sizes = parts.map(({totals: own}) => own.bytes);
  expect(Math.max(...sizes) / (plan.totals.bytes / 4)).toBeLessThanOrEqual(1.15);
});

it('a base that all repositories share is sent once for each shard', () => {
  const all = Array.from({length: 40}, () => ({
    own: 100,
    shares: [0],
    tags: 1,
    isThere: false,
    at: 'a.test' as const,
  }));
  const plan = planOf(all);
  const parts = shards(plan, 4);
  const [base] = plan.blobs.filter(({size}) => size === 50 * KIB);
  const sending = parts.map(({blobs}) =>
    blobs.filter(({digest, action}) => digest === base?.digest && action === 'copy'),
  );
  expect(sending.map(({length}) => length)).toEqual([1, 1, 1, 1]);
  // Where it is not the shard that the plan sends it from, it is mounted from there if it came before.
  expect(sending.flat().filter(({mountFrom}) => mountFrom !== undefined)).toHaveLength(3);
});

it('more shards than repositories leave some with nothing to do', () => {
  const plan = planOf([{own: 1, shares: [], tags: 1, isThere: false, at: 'a.test'}]);
  const parts = shards(plan, 3);
  expect(parts.map(({steps}) => steps.length).filter(Boolean)).toEqual([1]);
});

it('an archive or a layout is written by one run, whatever is in it', () => {
  const images = {v1: image([sized('a layer', 100)])};
  const plan = largePlan(
    ['a', 'b', 'c', 'd'].map((name) => ({
      source: source(`source.test/${name}`, images),
      destination: destination(`oci:/srv/all:${name}`),
      wish: 0,
    })),
  );
  const parts = shards(plan, 4);
  expect(parts.map(({steps}) => steps.length).filter(Boolean)).toEqual([4]);
});

it('groups and projects are created by each shard that needs them', () => {
  const plan = planOf(
    [0, 1].map(() => ({own: 100, shares: [], tags: 1, isThere: false, at: 'a.test'})),
  );
  const creation = {
    kind: 'create-group' as const,
    id: 'create-group:team',
    gitlab: 'https://gitlab.test',
    registry: 'a.test',
    path: 'team',
    visibility: 'private' as const,
    needs: [],
    why: '',
    estimate: {bytes: 0, requests: 2},
  };
  const other = {...creation, id: 'create-group:other', path: 'other'};
  const whole = {...plan, steps: [creation, other, ...plan.steps]};
  expect(shards(whole, 2).map((part) => creationsOf(part).map(({path}) => path))).toEqual([
    ['team'],
    ['team'],
  ]);
});

it('a complete registry is divided evenly', () => {
  const plan = largePlan(largeRoutes(150, 5, () => ({})));
  for (const total of [4, 16]) {
    const costs = shards(plan, total).map(
      (part) => part.totals.bytes + copiesOf(part).length * 64 * KIB,
    );
    const mean = costs.reduce((sum, cost) => sum + cost, 0) / total;
    expect(Math.max(...costs) / mean).toBeLessThanOrEqual(1.15);
  }
});
