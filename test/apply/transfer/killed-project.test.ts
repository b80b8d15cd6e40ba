import {expect, test} from 'vitest';
import {NATIVE, PROJECT, testKilledRuns} from './kill-matrix.ts';
import {TransferRig} from './rig.ts';

for (const donor of ['directory', 'project'] as const) {
  const options = {...PROJECT.options, donor, freeze: donor === 'project'};
  testKilledRuns(`the move of a project by way of a ${donor}`, {
    ...PROJECT,
    options,
    killed: 'apply',
  });
  testKilledRuns(`the way back of a project by way of a ${donor}`, {
    ...PROJECT,
    options: {...options, mode: 'metadata-db'},
    killed: 'rollback',
  });
}

for (const nativeMove of ['works', 'unsupported', 'lost'] as const) {
  const options = {...NATIVE.options, donor: 'project', nativeMove} as const;
  testKilledRuns(`the native move of a project, which is ${nativeMove}`, {
    ...NATIVE,
    options,
    killed: 'apply',
  });
  testKilledRuns(`the way back of a native move, which is ${nativeMove}`, {
    ...NATIVE,
    options,
    killed: 'rollback',
  });
}

test('after a rollback the same plan can be applied', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow('org/build/app');
  await rig.applyKilledAt('change-namespace');
  expect(await rig.tagsBelow('org/build/app')).toEqual({});
  await rig.rollback();
  expect(await rig.tagsBelow('org/build/app')).toEqual(before);
  expect((await rig.apply()).result).toBe('done');
  expect(await rig.tagsBelow('new_org/build/renamed')).toEqual(before);
});
