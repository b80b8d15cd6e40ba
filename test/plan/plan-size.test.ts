import {expect, it} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {Manifest} from '../../src/model/manifest.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {destination, image, layer, source} from '../support/inventories.ts';

const REPOSITORIES = 500;
const TAGS = 20;

/**
 * A registry as teams have them: a base of one team in ten, layers of the repository, and one layer and a config of each
 * image's own.
 */
function images(repository: number): Record<string, Manifest> {
  const shared = [0, 1, 2, 3].map((at) => layer(`base ${repository % 50} ${at}`));
  const own = [0, 1].map((at) => layer(`repository ${repository} ${at}`));
  return Object.fromEntries(
    Array.from({length: TAGS}, (_, tag) => {
      const last = layer(`image ${repository} ${tag}`);
      return [`v1.${tag}.0-build.${1000 + tag}`, image([...shared, ...own, last])];
    }),
  );
}

const names = Array.from({length: REPOSITORIES}, (_, at) => `team-${at % 25}/service-${at}`);
const wish = {
  routes: [
    {source: 'harbor.acme.example/**', destination: 'registry.acme.example/acme', filters: {}},
  ],
};

it('is small: at most 250 bytes for a tag beside its distinct blobs', () => {
  const routes = names.map((name, at) => ({
    source: source(`harbor.acme.example/${name}`, images(at)),
    destination: destination(`registry.acme.example/acme/${name}`),
    wish: 0,
  }));
  const plan = makeCopyPlan({wish, routes});
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
  const routes = names.map((name, at) => {
    const tags = images(at);
    const there = Object.entries(tags).map(([tag, {descriptor}]) => [tag, descriptor.digest]);
    const from = source(`harbor.acme.example/${name}`, tags);
    return {
      source: {...from, manifests: new Map()},
      destination: destination(
        `registry.acme.example/acme/${name}`,
        Object.fromEntries(there) as Record<string, Digest>,
      ),
      wish: 0,
    };
  });
  const plan = makeCopyPlan({wish, routes});
  expect(plan.totals).toMatchObject({steps: 0, present: REPOSITORIES * TAGS});
  expect(serializePlan(plan).length / (REPOSITORIES * TAGS)).toBeLessThan(250);
});
