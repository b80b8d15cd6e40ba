import {once} from 'node:events';
import {describe, expect, test} from 'vitest';
import {TAG_DELETE_CONCURRENCY} from '../../../src/apply/transfer/delete-old.ts';
import {transferRunDocument} from '../../../src/report/transfer-run-document.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
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

describe('the first signal ends a comparison immediately', () => {
  test.each(['pull', 'verify-donor', 'push', 'verify-target'])('%s', async (step) => {
    await using rig = await TransferRig.start({donor: 'project'});
    const before = await rig.tagsBelow(OLD);

    const {result, steps} = await stoppedAt(rig, step);

    expect(result).toBe('interrupted');
    const outcomes = new Map(steps.map(({id, outcome}) => [id, outcome]));
    expect(outcomes.get(step)).toBe('interrupted');
    expect(steps.filter(({outcome}) => outcome === 'failed')).toEqual([]);
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
  });
});

test('the first signal in the middle of the deletion leaves both ways open', async () => {
  const images = Array.from({length: TAG_DELETE_CONCURRENCY + 1}, (_, at) => ({
    layout: layoutDirectory('attested'),
    ref: '1.0',
    tag: `v${at}`,
  }));
  await using rig = await TransferRig.start({donor: 'project', images});
  const before = await rig.tagsBelow(OLD);
  const stopping = new AbortController();
  rig.onRequest = async ({method}) => {
    if (method === 'DELETE' && rig.isAt('delete-old')) stopping.abort();
    await Promise.resolve();
  };
  const result = await rig.apply({stopping: stopping.signal});
  rig.onRequest = undefined;

  const outcomes = new Map(result.steps.map(({id, outcome}) => [id, outcome]));
  expect(outcomes.get('delete-old')).toBe('interrupted');
  expect(outcomes.get('change-path')).toBe('not-started');
  expect(transferRunDocument(result, rig.plan).summary).toContain('transship rollback PLAN');
  expect(await rig.tagsBelow(OLD)).not.toEqual(before);
  expect((await rig.rollback()).result).toBe('done');
  expect(await rig.tagsBelow(OLD)).toEqual(before);
});
