import {expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';

const TAGS = 20;

it('is small: at most 250 bytes for a tag beside its distinct blobs, platforms included', () => {
  const amd64 = {os: 'linux', architecture: 'amd64'};
  const repositories = 500;
  const routes = largeRoutes(repositories, TAGS, () => ({})).map((route) => {
    const platformOf = new Map([...route.source.manifests.keys()].map((one) => [one, amd64]));
    return {...route, source: {...route.source, platformOf}};
  });
  const plan = largePlan(routes);
  const text = serializePlan(plan);
  const {blobs = [], platforms} = JSON.parse(text) as Record<string, readonly unknown[]>;
  const blobBytes = blobs.reduce<number>((sum, row) => sum + JSON.stringify(row).length + 2, 0);
  expect(plan.steps).toHaveLength(repositories * TAGS);
  expect(platforms).toEqual(['linux/amd64']);
  expect((text.length - blobBytes) / (repositories * TAGS)).toBeLessThan(250);
  const read = parsePlan(text, 'plan.json');
  expect(read).toEqual(plan);
  expect(read.id).toBe(plan.id);
});

it('is small where nothing is left to do', () => {
  const repositories = 100;
  const routes = largeRoutes(repositories, TAGS, (_at, tags) => {
    const there = Object.entries(tags).map(([tag, {descriptor}]) => [tag, descriptor.digest]);
    return Object.fromEntries(there) as Record<string, Digest>;
  }).map((route) => ({...route, source: {...route.source, manifests: new Map()}}));
  const plan = largePlan(routes);
  expect(plan.totals).toMatchObject({steps: 0, present: repositories * TAGS});
  expect(serializePlan(plan).length / (repositories * TAGS)).toBeLessThan(250);
});
