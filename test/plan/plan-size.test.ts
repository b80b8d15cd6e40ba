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

it('is small with the platforms of all images, too', () => {
  const amd64 = {os: 'linux', architecture: 'amd64'};
  const routes = largeRoutes(REPOSITORIES, TAGS, () => ({})).map((route) => {
    const platformOf = new Map([...route.source.manifests.keys()].map((one) => [one, amd64]));
    return {...route, source: {...route.source, platformOf}};
  });
  const text = serializePlan(largePlan(routes));
  const {blobs, platforms} = JSON.parse(text) as Record<string, readonly unknown[]>;
  const blobBytes = blobs?.reduce<number>((sum, row) => sum + JSON.stringify(row).length + 2, 0);
  expect(platforms).toEqual(['linux/amd64']);
  expect((text.length - (blobBytes ?? 0)) / (REPOSITORIES * TAGS)).toBeLessThan(250);
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
