import {describe, expect, it} from 'vitest';
import {partOfPlan} from '../../../src/plan/part-of-plan.ts';
import {parsePlan, planId, serializePlan} from '../../../src/plan/plan-file.ts';
import {image} from '../../support/inventories.ts';
import {FROM, HOST, otherFacts, transferFacts, transferPlan} from '../../support/transfer-facts.ts';

const shared = image(['base', 'shared']);
const own = image(['base', 'own']);
const facts = [
  transferFacts({project: {policy: {enabled: true}}}),
  otherFacts(13, 'lib', {v1: shared, v2: own}),
  otherFacts(14, 'web', {v1: shared}),
];
const plan = transferPlan(...facts);

/** What forbids a plan or is worth a look, as `code project`. */
function found(...given: typeof facts): readonly string[] {
  return transferPlan(...given)
    .checks.filter(({result, code}) => result !== 'pass' && code !== 'UNTAGGED_NOT_SEEN')
    .map(({code, project}) => `${code} ${project ?? ''}`);
}

describe('a plan of several projects', () => {
  it('has the move of each in the order of the wish, and their path in the ids of the steps', () => {
    expect(plan.moves.map(({project}) => project.from)).toEqual([
      FROM,
      'org/build/lib',
      'org/build/web',
    ]);
    expect(plan.moves[1]?.steps.slice(0, 3)).toMatchObject([
      {id: 'pull:org/build/lib', needs: []},
      {id: 'verify-donor:org/build/lib', needs: ['pull:org/build/lib']},
      {id: 'delete-old:org/build/lib', needs: ['verify-donor:org/build/lib']},
    ]);
  });

  it('adds up what all of them cost', () => {
    const alone = facts.map((one) => transferPlan(one).totals);
    const sum = (of: (totals: (typeof alone)[number]) => number) =>
      alone.reduce((total, totals) => total + of(totals), 0);
    expect(plan.totals.steps).toBe(sum(({steps}) => steps));
    expect(plan.totals.blobs.mount).toBe(sum(({blobs}) => blobs.mount));
    const copying = plan.moves
      .flatMap(({steps}) => steps)
      .filter(({kind}) => kind === 'pull' || kind === 'push');
    const {source, destination} = plan.totals.requests;
    expect(copying.reduce((total, {estimate}) => total + estimate.requests, 0)).toBe(
      source + destination,
    );
  });

  it('reports common findings once, and others with their project', () => {
    const codes = plan.checks.filter(({code}) => code === 'TOKEN_READY');
    expect(codes).toHaveLength(1);
    expect(codes[0]).not.toHaveProperty('project');
    const paused = plan.checks.filter(({code}) => code === 'POLICY_PAUSED');
    expect(paused).toMatchObject([{project: FROM}]);
  });

  it('keeps its form in a plan file, in which an image of two projects is written once', () => {
    const text = serializePlan(plan);
    const read = parsePlan(text, 'move.json');
    expect(read).toEqual(plan);
    expect(planId(read)).toBe(plan.id);
    expect(text.split(`["${shared.descriptor.digest}",`)).toHaveLength(2);
  });

  it('is shown in part by the repositories of a project', () => {
    const part = partOfPlan(plan, ['org/build/lib']) as typeof plan;
    expect(part.moves.map(({repositories}) => repositories.length)).toEqual([0, 1, 0]);
    expect(part.moves.map(({manifests}) => manifests.length)).toEqual([0, 2, 0]);
    expect(part.totals.steps).toBe(4);
  });
});

describe('projects that are in the way of each other', () => {
  const app = transferFacts();
  const lib = otherFacts(13, 'lib', {v1: shared});

  it('are none where nothing is', () => {
    expect(found(app, lib)).toEqual([]);
  });

  it('forbid the plan: one project twice, one path or one name for two', () => {
    expect(found(app, transferFacts())).toContain(`MOVES_CONFLICT ${FROM}`);
    const target = {fullPath: 'new_org/build/APP'};
    expect(found(app, otherFacts(13, 'lib', {v1: shared}, {target}))).toEqual([
      `MOVES_CONFLICT ${FROM}`,
    ]);
    const named = {project: {name: 'App'}};
    const [one, two] = [transferFacts(named), otherFacts(13, 'lib', {}, named)];
    expect(found(one, two)).toContain(`MOVES_CONFLICT ${FROM}`);
  });

  it('forbid the plan where one is on the way of another between two changes of its path', () => {
    const target = {fullPath: 'new_org/build/tool', path: 'tool'};
    const renamed = otherFacts(13, 'lib', {v1: shared}, {target});
    const there = {fullPath: 'new_org/build/lib', path: 'lib'};
    expect(found(renamed, otherFacts(14, 'web', {v1: shared}, {target: there}))).toEqual([
      'MOVES_CONFLICT org/build/lib',
    ]);
  });

  it('forbid the plan if one is the donor of another, or moves to its path', () => {
    const donor = {
      donor: {kind: 'project', path: 'org/build/lib', id: 13, namespaceId: 3},
    } as const;
    expect(found(transferFacts({donor}), lib)).toEqual([`DONOR_UNFIT ${FROM}`]);
    const made = {donor: {kind: 'project', path: 'new_org/build/lib', namespaceId: 9}} as const;
    expect(found(transferFacts({donor: {...made, mayCreate: true}}), lib)).toContain(
      `DONOR_UNFIT ${FROM}`,
    );
  });

  it('forbid the plan where their images wait at one place', () => {
    const [repository] = app.repositories;
    const place = {...repository, donor: `${HOST}/donors/parking/p13`} as NonNullable<
      typeof repository
    >;
    expect(found({...app, repositories: [place]}, lib)).toEqual(['DONOR_UNFIT org/build/lib']);
  });

  it('are told of where one disk may not have room for all of them', () => {
    const donor = {donor: {kind: 'directory', path: './a'}, freeBytes: 300_000} as const;
    const layer = [{mediaType: 'x', digest: own.descriptor.digest, size: 200_000}];
    const atDirectory = (id: number, name: string) => {
      const given = otherFacts(id, name, {v1: image(layer)}, {donor});
      return {
        ...given,
        repositories: given.repositories.map((one) => ({
          ...one,
          donor: `oci:./a/${name}`,
          atDonor: {...one.atDonor, repository: `oci:./a/${name}`},
        })),
      };
    };
    expect(found(atDirectory(13, 'lib'))).toEqual([]);
    expect(found(atDirectory(13, 'lib'), atDirectory(14, 'web'))).toEqual(['DONOR_TOO_SMALL ']);
  });
});
