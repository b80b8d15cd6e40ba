import {describe, expect, it} from 'vitest';
import type {Manifest} from '../../src/model/manifest.ts';
import {digestOf} from '../../src/model/digest.ts';
import {copiesOf, type CopyPlan, type WishFilters} from '../../src/model/plan.ts';
import type {Tag} from '../../src/model/reference.ts';
import type {SourceInventory, SourceRoot} from '../../src/observe/inventory.ts';
import {cutIndex} from '../../src/plan/cut-index.ts';
import {
  destination,
  entry,
  image,
  index,
  layoutSource,
  manifest,
  source,
} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

const FROM = 'a.test/team/app';
const TO = 'b.test/group/app';
const amd64 = image(['amd64']);
const arm64 = image(['arm64']);
const arm = image(['arm']);
const app = index([
  entry(amd64, 'linux/amd64'),
  entry(arm64, 'linux/arm64'),
  entry(arm, 'linux/arm/v7'),
]);
const sbom = image(['sbom of amd64'], {subject: amd64});
const signature = image(['signature of the sbom'], {subject: sbom});
const cosign = image(['signature of the index']);

const tagFor = ({descriptor}: Manifest) => descriptor.digest.replace(':', '-');
const referrer = (of: Manifest, subject: Manifest): SourceRoot => ({
  digest: of.descriptor.digest,
  as: 'referrer',
  subject: subject.descriptor.digest,
});

function withAttached(): SourceInventory {
  const from = source(FROM, {'1.0': app}, [amd64, arm64, arm, sbom, signature, cosign]);
  const cosignTag = `${tagFor(app)}.sig` as Tag;
  const signed: SourceRoot = {
    ...referrer(cosign, app),
    tag: cosignTag,
    as: 'signature',
  } as SourceRoot;
  return {
    ...from,
    roots: [referrer(signature, sbom), signed, referrer(sbom, amd64), ...from.roots],
  };
}

function planOne(from: SourceInventory, filters: WishFilters = {}, to = destination(TO)): CopyPlan {
  const route = {source: from, destination: to, single: true};
  return copyPlan([route], filters);
}

describe('makeCopyPlan: what belongs to an image', () => {
  it('follows it, each after its requirements', () => {
    const {steps} = planOne(withAttached());
    const id = (what: Manifest) => `copy:${TO}@${what.descriptor.digest}`;
    expect(steps.map((step) => [step.id, step.needs])).toEqual([
      [`copy:${TO}:1.0`, []],
      [id(sbom), [`copy:${TO}:1.0`]],
      [`copy:${TO}:${tagFor(app)}.sig`, [`copy:${TO}:1.0`]],
      [id(signature), [id(sbom)]],
    ]);
  });

  it('needs nothing where the image is there already', () => {
    const to = destination(TO, {'1.0': app.descriptor.digest});
    const {steps, skipped} = planOne(withAttached(), {}, to);
    expect(skipped).toMatchObject([{reason: 'present', tag: '1.0'}]);
    expect(steps.map(({needs}) => needs.length)).toEqual([0, 0, 1]);
  });

  it('follows it also if it was requested as a tag', () => {
    const made = planOne(layoutSource('signed', FROM));
    const image1 = copiesOf(made).find(({tag}) => tag === '1.0');
    expect(made.steps).toHaveLength(5);
    for (const step of made.steps) {
      expect(step.needs).toEqual(step === image1 ? [] : [image1?.id]);
    }
  });

  it('follows it regardless of the names', () => {
    const tags = {v1: amd64, [`${tagFor(amd64)}.sig`]: cosign};
    expect(copiesOf(planOne(source(FROM, tags))).map(({tag}) => tag)).toEqual(Object.keys(tags));
  });

  it('is skipped if it cannot be copied, and only then', () => {
    const old = manifest({schemaVersion: 1, name: 'x', fsLayers: []});
    const from = source(FROM, {'1.0': amd64}, [old]);
    const tagged = {tag: `${tagFor(amd64)}.sig` as Tag, as: 'signature'} as const;
    const root = {...tagged, digest: old.descriptor.digest, subject: amd64.descriptor.digest};
    const made = planOne({...from, roots: [...from.roots, root]});
    expect(made.steps).toHaveLength(1);
    expect(made.checks).toMatchObject([{code: 'SCHEMA1_UNSUPPORTED', result: 'warn'}]);
  });

  it('stays behind with it', () => {
    const old = new Map([[app.descriptor.digest, '2020-01-01T00:00:00Z']]);
    const made = planOne({...withAttached(), created: old}, {newerThan: '2026-01-01T00:00:00Z'});
    expect(made.steps).toEqual([]);
    expect(made.skipped).toHaveLength(4);
    expect(made.skipped).toContainEqual({
      reason: 'filtered',
      from: FROM,
      digest: sbom.descriptor.digest,
      detail: expect.stringContaining('which is not copied'),
    });
  });

  it('is refused if it is incomplete', () => {
    const from = withAttached();
    const manifests = new Map(from.manifests);
    manifests.delete(sbom.descriptor.digest);
    const made = planOne({...from, manifests});
    expect(copiesOf(made).map(({tag}) => tag)).toEqual(['1.0', `${tagFor(app)}.sig`]);
    expect(made.checks).toMatchObject([{code: 'SOURCE_INCOMPLETE', result: 'warn'}]);
    expect(made.skipped).toMatchObject([
      {reason: 'incomplete', digest: sbom.descriptor.digest},
      {reason: 'incomplete', digest: signature.descriptor.digest},
    ]);
  });
});

describe('makeCopyPlan: platforms', () => {
  it('copies the one image, and what belongs to it', () => {
    const made = planOne(withAttached(), {platforms: ['linux/amd64']});
    expect(copiesOf(made).map(({digest}) => digest)).toEqual(
      [amd64, sbom, signature].map(({descriptor}) => descriptor.digest),
    );
    expect(made.steps[0]).toMatchObject({
      tag: '1.0',
      sourceTag: {name: '1.0', digest: app.descriptor.digest},
    });
    expect(made.skipped).toMatchObject([{reason: 'filtered', tag: `${tagFor(app)}.sig`}]);
    expect(made.checks).toMatchObject([{code: 'INDEX_CUT', result: 'warn', subject: `${TO}:1.0`}]);
  });

  it('cuts an index so that the same bytes can be made again', () => {
    const made = planOne(withAttached(), {platforms: ['linux/amd64', 'linux/arm']});
    const keep = [amd64, arm].map(({descriptor}) => descriptor.digest);
    const cut = made.manifests.find(({cutFrom}) => cutFrom !== undefined);
    expect(cut).toMatchObject({cutFrom: {digest: app.descriptor.digest, keep}, manifests: keep});
    expect(cut?.digest).toBe(digestOf(cutIndex(app.bytes, keep)));
    expect(made.steps[0]).toMatchObject({digest: cut?.digest, manifests: [...keep, cut?.digest]});
    expect(made.checks.map(({code}) => code)).toEqual(['INDEX_CUT']);
  });

  it('cuts an index in its own repository', () => {
    const made = planOne(
      withAttached(),
      {platforms: ['linux/amd64', 'linux/arm']},
      destination(FROM, {'1.0': app.descriptor.digest}),
    );
    expect(made.steps[0]).toMatchObject({
      why: 'the tag points to something else',
      replaces: app.descriptor.digest,
      manifests: [copiesOf(made)[0]?.digest],
    });
    const from = withAttached();
    const roots = from.roots.map((root) =>
      root.tag === '1.0' ? {digest: root.digest, as: 'asked' as const} : root,
    );
    const byDigest = {...from, roots};
    const again = planOne(byDigest, {platforms: ['linux/amd64', 'linux/arm']}, destination(FROM));
    expect(copiesOf(again)[0]).toMatchObject({
      digest: copiesOf(made)[0]?.digest,
      why: 'not there yet',
    });
  });

  it('finds an index that was cut before', () => {
    const filters = {platforms: ['linux/amd64', 'linux/arm']};
    const [first] = copiesOf(planOne(withAttached(), filters));
    const to = destination(TO, {'1.0': first?.digest ?? amd64.descriptor.digest});
    expect(planOne(withAttached(), filters, to).skipped[0]).toMatchObject({reason: 'present'});
  });

  it('copies the complete platform of an incomplete source', () => {
    const made = planOne(layoutSource('sparse', FROM), {platforms: ['linux/amd64']});
    expect(made.steps).toHaveLength(1);
    expect(planOne(layoutSource('sparse', FROM)).steps).toEqual([]);
  });

  it('refuses a single image that has none of them, naming those it has', () => {
    const made = planOne(withAttached(), {platforms: ['windows/amd64']});
    expect(made.steps).toEqual([]);
    expect(made.checks).toMatchObject([{code: 'SKIPPED', result: 'forbid'}]);
    expect(made.skipped[0]).toMatchObject({
      reason: 'filtered',
      tag: '1.0',
      detail: 'it has only linux/amd64, linux/arm/v7, linux/arm64, no chosen platform',
    });
  });
});
