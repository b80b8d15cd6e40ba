import {expect, test} from 'vitest';
import {type DonorKind, TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';
const DONORS: readonly DonorKind[] = ['directory', 'project'];

test.each(DONORS)(
  'tags that came and moved since planning are taken along when asked for: %s',
  async (donor) => {
    await using rig = await TransferRig.start({donor});
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:v1`);
    const now = await rig.tagsBelow(OLD);
    expect((await rig.apply({adoptNewTags: true})).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(now);
    expect(await rig.tagsBelow(OLD)).toEqual({});
  },
);

test.each(DONORS)(
  'tags that come while the old path is emptied are taken along, too: %s',
  async (donor) => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    let isPushed = false;
    rig.onRequest = async ({method}) => {
      if (isPushed || method !== 'DELETE') return;
      isPushed = true;
      await rig.retag(`${OLD}/tools:1.0`, `${OLD}:late`);
    };
    expect((await rig.apply({adoptNewTags: true})).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual({...before, ':late': before['/tools:1.0']});
  },
);

test.each(['delete-old', 'change-namespace', 'push', 'verify-target'])(
  'killed at %s, the next run knows of them without being asked again',
  async (step) => {
    await using rig = await TransferRig.start({donor: 'project'});
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
    const now = await rig.tagsBelow(OLD);
    const kill = new AbortController();
    const run = rig.apply({
      adoptNewTags: true,
      killed: kill.signal,
      onEvent: (event) => {
        if (event.type === 'step-started' && event.step === step)
          kill.abort(new DOMException('killed', 'AbortError'));
      },
    });
    await run.catch(() => undefined);
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(now);
  },
);

test('rolled back, they are at the old path again', async () => {
  await using rig = await TransferRig.start();
  await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
  const now = await rig.tagsBelow(OLD);
  const kill = new AbortController();
  const run = rig.apply({
    adoptNewTags: true,
    killed: kill.signal,
    onEvent: (event) => {
      if (event.type === 'step-started' && event.step === 'change-namespace')
        kill.abort(new DOMException('killed', 'AbortError'));
    },
  });
  await run.catch(() => undefined);
  expect(await rig.tagsBelow(OLD)).toEqual({});
  expect((await rig.rollback()).result).toBe('done');
  expect(await rig.tagsBelow(OLD)).toEqual(now);
});
