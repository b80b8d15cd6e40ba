import {describe, expect, test} from 'vitest';
import {RunTally} from '../../../src/cli/reporters/run-tally.ts';
import type {RunEvent} from '../../../src/model/event.ts';
import {type RunOptions, TransferRig} from './rig.ts';

/** Applies, and tells how far the run was after each event. */
async function watched(rig: TransferRig, options: RunOptions = {}) {
  const tally = new RunTally();
  const onEvent = (event: RunEvent): void => {
    tally.add(event);
    expect(tally.acknowledged).toBeLessThanOrEqual(tally.bytes);
    options.onEvent?.(event);
  };
  await rig.apply({...options, onEvent}).catch((error: unknown) => {
    if (options.killed?.aborted !== true) throw error;
  });
  return tally;
}

function whole({bytes, steps}: RunTally): object {
  return {acknowledged: bytes, stepsEnded: steps};
}

describe.each(['directory', 'project'] as const)('progress with a donor that is a %s', (donor) => {
  test('ends at 100 %, however often the run is killed', async () => {
    await using rig = await TransferRig.start({donor});
    for (const at of ['delete-old', 'change-namespace', 'push']) {
      const kill = new AbortController();
      const onEvent = (event: RunEvent): void => {
        if (event.type === 'step-started' && event.step === at)
          kill.abort(new DOMException('killed', 'AbortError'));
      };
      await watched(rig, {killed: kill.signal, onEvent});
      expect(kill.signal.aborted).toBe(true);
    }
    const last = await watched(rig);
    expect(last).toMatchObject(whole(last));
    const again = await watched(rig);
    expect(again).toMatchObject({...whole(again), travelled: 0});
  });

  test('counts adopted tags', async () => {
    await using rig = await TransferRig.start({donor});
    let isPushed = false;
    rig.onRequest = async () => {
      if (isPushed || !rig.isAt('delete-old')) return;
      isPushed = true;
      await rig.retag('org/build/app:v1', 'org/build/app:late');
    };
    const tally = await watched(rig, {adoptNewTags: true});
    expect(isPushed).toBe(true);
    expect(tally).toMatchObject(whole(tally));
    // It is all of one run: what was there when the images were pulled once more is not counted once more.
    expect(tally.travelled).toBe(tally.bytes);
  });
});
