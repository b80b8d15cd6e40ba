import {expect, test} from 'vitest';
import type {RunEvent} from '../../../src/model/event.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';
const IMAGES = [{layout: layoutDirectory('helm'), ref: '0.1.0', tag: 'v1'}];
const OPTIONS = {freeze: true, donor: 'project', images: IMAGES} as const;

/** Whether a maintainer may push to this path now. */
async function mayPush(rig: TransferRig, path: string): Promise<boolean> {
  const {granted} = await rig.registryToken('dev:dev-api', `repository:${path}:pull,push`);
  return granted.includes(`${path}:pull,push`);
}

async function rulesOf(rig: TransferRig): Promise<unknown> {
  const path = `projects/${rig.move.project.id}/registry/protection/repository/rules`;
  return (await rig.api('GET', path)).json;
}

/** Notes before the first deletion whether a maintainer may push. */
function watch(rig: TransferRig): boolean[] {
  const seen: boolean[] = [];
  rig.onRequest = async ({method, path}) => {
    if (method !== 'DELETE' || !path.includes('/manifests/') || seen.length > 0) return;
    rig.onRequest = undefined;
    for (const name of [OLD, `${OLD}/tools`]) seen.push(await mayPush(rig, name));
  };
  return seen;
}

test('only owners can push during the move, and everyone afterwards', async () => {
  await using rig = await TransferRig.start(OPTIONS);
  expect(await mayPush(rig, OLD)).toBe(true);
  const seen = watch(rig);
  const told: string[] = [];
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'notice') told.push(event.code);
  };
  expect((await rig.apply({onEvent})).result).toBe('done');
  expect(seen).toEqual([false, false]);
  expect(await rulesOf(rig)).toEqual([]);
  expect((await rig.rollback({onEvent})).result).toBe('done');
  // They are not to be changed by anybody.
  expect(told).not.toContain('RULE_KEEPS_OLD_PATH');
  expect(await rulesOf(rig)).toEqual([]);
  expect(await mayPush(rig, OLD)).toBe(true);
});

test.each(['apply', 'rollback'] as const)(
  'after a kill, %s removes the rules at the end',
  async (then) => {
    await using rig = await TransferRig.start(OPTIONS);
    await rig.applyKilledAt('change-namespace');
    expect(await mayPush(rig, OLD)).toBe(false);
    expect((await rig[then]()).result).toBe('done');
    expect(await rulesOf(rig)).toEqual([]);
  },
);

test('a run that stops before any deletion removes the rules', async () => {
  await using rig = await TransferRig.start(OPTIONS);
  const before = await rig.tagsBelow(OLD);
  rig.onRequest = async ({method, path}) => {
    if (method !== 'PUT' || !path.includes('/donors/')) return;
    rig.onRequest = undefined;
    await rig.retag(`${OLD}:v1`, `${OLD}:late`);
  };
  expect((await rig.apply()).result).toBe('drift');
  expect(await rulesOf(rig)).toEqual([]);
  expect(await rig.tagsBelow(OLD)).toMatchObject(before);
  expect(await rig.tagsBelow(NEW)).toEqual({});
});
