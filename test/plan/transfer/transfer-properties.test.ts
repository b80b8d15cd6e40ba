import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {childBlobs, type Manifest} from '../../../src/model/manifest.ts';
import type {CopySet, ProjectMove} from '../../../src/model/transfer-plan.ts';
import {entry, image, index} from '../../support/inventories.ts';
import {repository, transferFacts, planOne} from '../../support/transfer-facts.ts';

/** Repositories of a few layers and tags, so that they share much. */
const layers = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), {minLength: 1, maxLength: 3});
const content = fc.oneof(
  layers.map((some) => ({root: image(some), others: [] as Manifest[]})),
  fc.uniqueArray(layers, {minLength: 1, maxLength: 2, selector: String}).map((many) => {
    const children = many.map((some) => image(some));
    return {root: index(children.map((child) => entry(child, 'linux/amd64'))), others: children};
  }),
);
const tags = fc.dictionary(fc.constantFrom('v1', 'v2', 'latest', 'edge'), content, {minKeys: 1});
const facts = fc
  .uniqueArray(fc.tuple(fc.constantFrom('', 'a', 'a/b', 'c'), tags), {
    selector: ([name]) => name,
    minLength: 1,
  })
  .map((repositories) =>
    transferFacts({
      repositories: repositories.map(([name, contents]) =>
        repository(
          name,
          Object.fromEntries(Object.entries(contents).map(([tag, {root}]) => [tag, root])),
          {others: Object.values(contents).flatMap(({others}) => others)},
        ),
      ),
    }),
  );

/** Each of them makes images, which takes its time. */
const RUNS = {numRuns: 30};

describe('a transfer, whatever the project has', () => {
  it('carries every tag with its digest to the donor and to the new path', () => {
    fc.assert(
      fc.property(facts, (given) => {
        const plan = planOne(given);
        const wanted = given.repositories.flatMap(({source, donor, to}) =>
          source.roots.map(({tag, digest}) => ({tag, digest, donor, to})),
        );
        const {pull, push} = transferCopies(plan);
        expect(names(pull)).toEqual(
          wanted.map(({donor, tag, digest}) => `${donor}:${tag}@${digest}`).sort(),
        );
        expect(names(push)).toEqual(
          wanted.map(({to, tag, digest}) => `${to}:${tag}@${digest}`).sort(),
        );
      }),
      RUNS,
    );
  });

  it('brings every blob to each repository whose manifests need it', () => {
    fc.assert(
      fc.property(facts, (given) => {
        const {pull, push} = transferCopies(planOne(given));
        for (const {source, donor, to} of given.repositories) {
          const needed = new Set(
            [...source.manifests.values()].flatMap(({view}) =>
              childBlobs(view).map(({digest}) => digest),
            ),
          );
          for (const [copySet, at] of [
            [pull, donor],
            [push, to],
          ] as const) {
            const brought = copySet.blobs.filter((blob) => blob.to === at);
            expect(new Set(brought.map(({digest}) => digest))).toEqual(needed);
            expect(brought).toHaveLength(needed.size);
          }
        }
      }),
      RUNS,
    );
  });

  it('mounts for the new path only from what still is there then', () => {
    fc.assert(
      fc.property(facts, (given) => {
        const donors = new Set(given.repositories.map(({donor}) => donor));
        for (const {mountFrom} of transferCopies(planOne(given)).push.blobs)
          expect(donors).toContain(mountFrom);
      }),
      RUNS,
    );
  });

  it('is planned the same whatever the order in which tags were seen', () => {
    fc.assert(
      fc.property(facts, (given) => {
        const reversed = given.repositories.map((one) => ({
          ...one,
          source: {...one.source, roots: one.source.roots.toReversed()},
        }));
        expect(planOne({...given, repositories: reversed}).id).toBe(planOne(given).id);
      }),
      RUNS,
    );
  });

  it('deletes only after everything was carried and verified', () => {
    fc.assert(
      fc.property(facts, (given) => {
        const {steps} = planOne(given);
        const at = (id: string) => steps.findIndex((step) => step.id === id);
        const order = ['pull', 'verify-donor', 'delete-old', 'change-namespace', 'push'].map(at);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect(order.every((place) => place >= 0)).toBe(true);
      }),
      RUNS,
    );
  });
});

function names({copies}: CopySet): readonly string[] {
  return copies.map(({to, tag, digest}) => `${to}:${tag}@${digest}`).sort();
}

function transferCopies({steps}: ProjectMove): {readonly pull: CopySet; readonly push: CopySet} {
  const find = (kind: 'pull' | 'push'): CopySet => {
    const step = steps.find((one) => one.kind === kind);
    if (step?.kind !== kind) throw new Error(`no ${kind}`);
    return step;
  };
  return {pull: find('pull'), push: find('push')};
}
