import {describe, expect, it} from 'vitest';
import type {CopySet, ProjectMove} from '../../../src/model/transfer-plan.ts';
import {parsePlan, serializePlan} from '../../../src/plan/plan-file.ts';
import {destination, entry, image, index} from '../../support/inventories.ts';
import {
  FROM,
  HOST,
  repository,
  STAGED,
  TO,
  transferFacts,
  transferPlan,
  planOne,
} from '../../support/transfer-facts.ts';

const steps = (plan: ProjectMove) => plan.steps.map(({id}) => id);

function copySet(plan: ProjectMove, kind: 'pull' | 'push'): CopySet {
  const step = plan.steps.find((one) => one.kind === kind);
  if (step?.kind !== kind) throw new Error(`no ${kind}`);
  return step;
}

describe('a transfer', () => {
  it('takes the order of the manual, each step after the one before', () => {
    const plan = planOne(transferFacts());
    expect(plan).toMatchObject({way: 'staged', project: {id: 12, from: FROM, to: TO}});
    expect(steps(plan)).toEqual(STAGED);
    expect(plan.steps.map(({needs}) => needs)).toEqual([
      [],
      ...STAGED.slice(0, -1).map((id) => [id]),
    ]);
  });

  it('pauses a cleanup policy that is at work, and puts it back as it was', () => {
    const policy = {enabled: true, cadence: '1month', keep_n: 5};
    const plan = planOne(transferFacts({project: {policy}}));
    const withPolicy = STAGED.toSpliced(-1, 0, 'resume');
    expect(steps(plan)).toEqual(['pause', ...withPolicy]);
    expect(plan.steps.at(0)).toMatchObject({policy});
    expect(plan.steps.at(-2)).toMatchObject({policy});
    const idle = planOne(transferFacts({project: {policy: {...policy, enabled: false}}}));
    expect(steps(idle)).toEqual(STAGED);
  });

  it('creates a donor project first, and tries uploads before the deletion with a directory', () => {
    const missing = {kind: 'project', path: 'donors/new', namespaceId: 7} as const;
    const created = planOne(transferFacts({donor: {donor: missing, mayCreate: true}}));
    expect(steps(created)).toEqual(['create-donor', ...STAGED]);
    expect(created.steps.at(0)).toMatchObject({path: 'donors/new', namespaceId: 7});
    const directory = {kind: 'directory', path: './donor'} as const;
    const probed = planOne(transferFacts({donor: {donor: directory}}));
    expect(steps(probed)).toEqual(STAGED.toSpliced(2, 0, 'probe'));
    const probe = probed.steps.find(({kind}) => kind === 'probe');
    expect(probe).toMatchObject({uploadsTo: `${HOST}/${FROM}`, manifests: [{}]});
  });

  it('leaves the images to GitLab where it can move them', () => {
    const near = {fullPath: 'org/other/app', namespace: {id: 4, fullPath: 'org/other'}};
    const native = transferFacts({registry: {database: true}, target: near});
    expect(planOne(native)).toMatchObject({way: 'native', downtimeSeconds: 0});
    expect(steps(planOne(native))).toEqual(['change-namespace', 'verify-target']);
    expect(planOne({...native, staged: true}).way).toBe('staged');
    expect(planOne(transferFacts({target: near})).way).toBe('staged');
    expect(planOne(transferFacts({registry: {database: true}})).way).toBe('staged');
  });

  it('only moves a project without images', () => {
    const plan = planOne(transferFacts({repositories: [repository('empty', {})]}));
    expect(plan).toMatchObject({way: 'empty', repositories: []});
    expect(steps(plan)).toEqual(['change-namespace']);
  });

  it('does nothing for a project that is there already', () => {
    const target = {fullPath: FROM, path: 'app', namespace: {id: 3, fullPath: 'org/build'}};
    const plan = planOne(transferFacts({target, repositories: []}));
    expect(plan.steps).toEqual([]);
    expect(plan.checks).toMatchObject([{code: 'ALREADY_THERE', result: 'warn'}]);
  });

  it.each([
    ['transfer, then path', {}, ['change-namespace', 'change-path']],
    ['path, then transfer', {oldPathInNew: 'x/app'}, ['change-path', 'change-namespace']],
    ['transfer, then path again', {newPathInOld: 'y/tool'}, ['change-namespace', 'change-path']],
  ])('changes both namespace and path: %s', (_order, taken, order) => {
    const target = {fullPath: 'new_org/build/tool', path: 'tool', taken};
    const plan = planOne(transferFacts({target}));
    expect(steps(plan).filter((id) => id.startsWith('change'))).toEqual(order);
    expect(plan.steps).toContainEqual(expect.objectContaining({kind: 'change-path', path: 'tool'}));
    expect(plan.steps).toContainEqual(
      expect.objectContaining({kind: 'change-path', namespaceId: 9}),
    );
  });

  it('keeps its form in a plan file', () => {
    const plan = transferPlan(transferFacts({project: {policy: {enabled: true, keep_n: 1}}}));
    expect(parsePlan(serializePlan(plan), 'move.json')).toEqual(plan);
  });
});

describe('the images of a transfer', () => {
  const shared = image(['base', 'one']);
  const multi = index([entry(shared, 'linux/amd64'), entry(image(['base', 'two']), 'linux/arm64')]);
  const children = [shared, image(['base', 'two'])];
  const facts = transferFacts({
    repositories: [
      repository('', {multi}, {others: children}),
      repository('tools/lint', {v1: shared, same: shared}),
    ],
  });

  it('go to the donor project and back without a byte', () => {
    const plan = planOne(facts);
    expect(plan.totals).toMatchObject({bytes: 0, blobs: {copy: 0, foreign: 0}});
    const from = new Set(copySet(plan, 'pull').blobs.map((blob) => blob.mountFrom));
    expect(from).toEqual(new Set([`${HOST}/${FROM}`, `${HOST}/${FROM}/tools/lint`]));
    const back = new Set(copySet(plan, 'push').blobs.map((blob) => blob.mountFrom));
    expect(back).toEqual(new Set(plan.repositories.map(({donor}) => donor)));
  });

  it('travel to a directory, and back each blob once', () => {
    const donor = {donor: {kind: 'directory', path: '/donor'}} as const;
    const repositories = facts.repositories.map((one, at) => ({
      ...one,
      donor: `oci:/donor/${at}`,
      atDonor: {...destination(`oci:/donor/${at}`), exists: false},
    }));
    const plan = planOne({...facts, donor: {...donor, mayCreate: false}, repositories});
    const [pull, push] = [copySet(plan, 'pull'), copySet(plan, 'push')];
    expect(new Set(pull.blobs.map(({action}) => action))).toEqual(new Set(['copy']));
    const digests = new Set(push.blobs.map(({digest}) => digest));
    expect(push.blobs.filter(({action}) => action === 'copy')).toHaveLength(digests.size);
    const mounts = push.blobs.filter(({action}) => action === 'mount');
    expect(mounts.length).toBeGreaterThan(0);
    for (const {mountFrom} of mounts) expect(mountFrom).toContain(`${HOST}/${TO}`);
  });

  it('keep tag and digest on both ways', () => {
    const plan = planOne(facts);
    for (const kind of ['pull', 'push'] as const) {
      const {copies} = copySet(plan, kind);
      expect(copies.map(({tag, digest}) => `${tag} ${digest}`)).toEqual([
        `multi ${multi.descriptor.digest}`,
        `same ${shared.descriptor.digest}`,
        `v1 ${shared.descriptor.digest}`,
      ]);
    }
    const [first] = copySet(plan, 'push').copies;
    expect(first?.manifests).toHaveLength(3);
  });

  it('are listed with the size of all that they need', () => {
    const bytes = (one: typeof multi): number => one.descriptor.size;
    const [root] = planOne(facts).repositories;
    const blobs = new Map(
      children.flatMap(({view}) =>
        view.kind === 'image'
          ? [view.config, ...view.layers].map(({digest, size}) => [digest, size] as const)
          : [],
      ),
    );
    const expected = [...blobs.values()].reduce((sum, size) => sum + size, 0);
    expect(root?.tags).toEqual([
      {
        name: 'multi',
        digest: multi.descriptor.digest,
        size: expected + bytes(multi) + children.reduce((sum, child) => sum + bytes(child), 0),
      },
    ]);
  });

  it('are pushed in the order in which they were pushed before', () => {
    const tags = {a: image(['a']), b: image(['b']), c: image(['c'])};
    const tagTimes = new Map([
      ['a', 300],
      ['b', 100],
      ['c', 200],
    ]);
    const plan = planOne(transferFacts({repositories: [repository('', tags, {tagTimes})]}));
    expect(copySet(plan, 'push').copies.map(({tag}) => tag)).toEqual(['b', 'c', 'a']);
    expect(plan.repositories[0]?.tags.map(({name}) => name)).toEqual(['b', 'c', 'a']);
  });

  it('that the donor has are not pulled again, but pushed', () => {
    const [one] = facts.repositories;
    if (!one) throw new Error('no repository');
    const atDonor = destination(one.donor, {multi: multi.descriptor.digest});
    const plan = planOne({...facts, repositories: [{...one, atDonor}]});
    expect(copySet(plan, 'pull').copies).toEqual([]);
    expect(copySet(plan, 'pull').blobs.every(({action}) => action === 'present')).toBe(true);
    expect(copySet(plan, 'push').copies).toHaveLength(1);
  });

  it('are away the longer the more has to be sent', () => {
    const near = planOne(facts).downtimeSeconds;
    const layers = [{mediaType: 'x', digest: image(['q']).descriptor.digest, size: 2 ** 30}];
    const large = repository('', {v1: image(layers)}, {donor: 'oci:/donor/0'});
    const donor = {donor: {kind: 'directory', path: '/donor'}, mayCreate: false} as const;
    const far = planOne({...facts, donor, repositories: [large]}).downtimeSeconds;
    expect(near).toBeLessThan(20);
    expect(far).toBeGreaterThan(near + 20);
  });
});
