import {once} from 'node:events';
import {describe, expect, test} from 'vitest';
import {TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';

/** Applies; from the beginning of the step on the registry answers nothing, and the first signal comes. */
async function stoppedAt(rig: TransferRig, step: string) {
  const stopping = new AbortController();
  rig.onRequest = async ({signal, path}) => {
    if (!rig.isAt(step) || !path.startsWith('/v2/')) return;
    stopping.abort();
    await once(signal, 'abort');
  };
  const result = await rig.apply({stopping: stopping.signal});
  rig.onRequest = undefined;
  expect(stopping.signal.aborted).toBe(true);
  return result;
}

describe('the first signal ends at once what only compares', () => {
  test.each(['pull', 'verify-donor', 'push', 'verify-target'])('%s', async (step) => {
    await using rig = await TransferRig.start({donor: 'project'});
    const before = await rig.tagsBelow(OLD);

    const {result, steps} = await stoppedAt(rig, step);

    expect(result).toBe('interrupted');
    const outcomes = new Map(steps.map(({id, outcome}) => [id, outcome]));
    expect(outcomes.get(step)).toBe('not-started');
    expect(steps.filter(({outcome}) => outcome === 'failed')).toEqual([]);
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
  });
});
