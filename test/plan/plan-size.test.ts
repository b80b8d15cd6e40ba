import {expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';

const REPOSITORIES = 500;
const TAGS = 20;

it('is small: at most 250 bytes for a tag beside its distinct blobs', () => {
  const plan = largePlan(largeRoutes(REPOSITORIES, TAGS, () => ({})));
  const text = serializePlan(plan);
  const {blobs} = JSON.parse(text) as {readonly blobs: readonly unknown[]};
  const blobBytes = blobs.reduce<number>((sum, row) => sum + JSON.stringify(row).length + 2, 0);
  expect(plan.steps).toHaveLength(REPOSITORIES * TAGS);
  expect((text.length - blobBytes) / (REPOSITORIES * TAGS)).toBeLessThan(250);
  const read = parsePlan(text, 'plan.json');
  expect(read).toEqual(plan);
  expect(read.id).toBe(plan.id);
});

it('is small where nothing is left to do', () => {
  const routes = largeRoutes(REPOSITORIES, TAGS, (_at, tags) => {
    const there = Object.entries(tags).map(([tag, {descriptor}]) => [tag, descriptor.digest]);
    return Object.fromEntries(there) as Record<string, Digest>;
  }).map((route) => ({...route, source: {...route.source, manifests: new Map()}}));
  const plan = largePlan(routes);
  expect(plan.totals).toMatchObject({steps: 0, present: REPOSITORIES * TAGS});
  expect(serializePlan(plan).length / (REPOSITORIES * TAGS)).toBeLessThan(250);
});
