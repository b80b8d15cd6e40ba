import {expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {killAfter} from './killed.ts';
import {TransferRig} from './rig.ts';

/** An image of one manifest, so that there are few points to be killed at. */
const IMAGES = [{layout: layoutDirectory('helm'), ref: '0.1.0', tag: 'v1'}];
const PATHS = [
  ['org/build/app', 'new_org/build/renamed'],
  ['org/build/lib', 'new_org/build/lib'],
] as const;
const LIMIT = {timeout: 240_000};

/** Kills a run of two projects, which have one donor, at each of its writes until one comes to its end. */
async function atEachWrite(
  check: (rig: TransferRig, before: readonly object[]) => Promise<void>,
): Promise<number> {
  for (let count = 1; ; count += 1) {
    await using rig = await TransferRig.start({
      donor: 'project',
      images: IMAGES,
      others: {'org/build/lib': IMAGES},
    });
    const before = await Promise.all(PATHS.map(([from]) => rig.tagsBelow(from)));
    if ((await killAfter(rig, count, 'writes')) === 'finished') return count - 1;
    await rig.sandbox.settled();
    await check(rig, before);
    expect(gaps(rig.sandbox.events.events)).toEqual([]);
  }
}

async function pathsOf(rig: TransferRig): Promise<readonly unknown[]> {
  return Promise.all(
    rig.plan.moves.map(async ({project}) => {
      const {json} = await rig.api('GET', `projects/${project.id}`);
      return (json as {path_with_namespace: string}).path_with_namespace;
    }),
  );
}

test('two projects, killed at each write and applied again, both move', LIMIT, async () => {
  const points = await atEachWrite(async (rig, before) => {
    expect((await rig.apply()).result).toBe('done');
    expect(await pathsOf(rig)).toEqual(PATHS.map(([, to]) => to));
    for (const [at, [from, to]] of PATHS.entries()) {
      expect(await rig.tagsBelow(to)).toEqual(before[at]);
      expect(await rig.tagsBelow(from)).toEqual({});
    }
  });
  expect(points).toBeGreaterThan(15);
});

test(
  'two projects, killed at each write and rolled back, are as before or moved',
  LIMIT,
  async () => {
    const seen = new Set<number>();
    await atEachWrite(async (rig, before) => {
      const paths = await pathsOf(rig);
      const left = paths.map((path, at) => path !== PATHS[at]?.[0]);
      const moved = left.filter((one) => one).length;
      seen.add(moved);
      const back = await rig.rollback().catch((error: unknown) => error);
      // What was not begun is not taken back: then nothing can be.
      expect(back).toMatchObject(moved === 0 ? {result: 'done'} : {});
      const kept = PATHS.map((_, at) => (left[at] === true ? {} : before[at]));
      expect(await Promise.all(PATHS.map(([from]) => rig.tagsBelow(from)))).toEqual(kept);
      expect(await pathsOf(rig)).toEqual(paths);
      expect((await rig.apply()).result).toBe('done');
      expect(await pathsOf(rig)).toEqual(PATHS.map(([, to]) => to));
    });
    expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
  },
);
