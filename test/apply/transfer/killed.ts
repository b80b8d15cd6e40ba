import {expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {type DonorKind, TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';
const ENABLED = {container_expiration_policy: {enabled: true}};

const CHART = {layout: layoutDirectory('helm'), ref: '0.1.0'};
/** Small, so that there are few points to be killed at: an index with two children, and images of one manifest. */
const IMAGES = {
  writes: [
    {layout: layoutDirectory('attested'), ref: '1.0', tag: 'v1'},
    {name: 'tools', ...CHART, tag: 'chart'},
  ],
  lines: [
    {...CHART, tag: 'v1'},
    {name: 'tools', ...CHART, tag: 'chart'},
  ],
};
const LIMIT = {timeout: 120_000};

/** Applies until so many requests were answered that change something, or lines written; then all ends at once. */
export async function killAfter(
  rig: TransferRig,
  count: number,
  what: 'writes' | 'lines',
): Promise<'killed' | 'finished'> {
  const kill = new AbortController();
  let seen = 0;
  const next = () => {
    seen += 1;
    if (seen === count) kill.abort(new DOMException('killed', 'AbortError'));
  };
  if (what === 'writes') rig.onWritten = next;
  const push = rig.journal.push.bind(rig.journal);
  if (what === 'lines') {
    rig.journal.push = (...entries) => {
      next();
      return push(...entries);
    };
  }
  // However it ends: a killed process has no result.
  await rig.apply({killed: kill.signal}).catch(() => undefined);
  rig.onWritten = undefined;
  rig.journal.push = push;
  return kill.signal.aborted ? 'killed' : 'finished';
}

/** Whether every image has its tag in the registry, or all of them are whole at the donor. */
async function isHeld(
  rig: TransferRig,
  before: Readonly<Record<string, string>>,
): Promise<boolean> {
  const there = {...(await rig.tagsBelow(OLD)), ...(await rig.tagsBelow(NEW))};
  if (Object.entries(before).every(([tag, digest]) => there[tag] === digest)) return true;
  return (await rig.compare('donor')).differences.length === 0;
}

/** Kills a run of its own at each point until one comes to its end. */
async function atEachPoint(
  donor: DonorKind,
  what: 'writes' | 'lines',
  check: (rig: TransferRig, before: Readonly<Record<string, string>>) => Promise<void>,
): Promise<number> {
  for (let count = 1; ; count += 1) {
    await using rig = await TransferRig.start({donor, images: IMAGES[what]});
    const before = await rig.tagsBelow(OLD);
    if ((await killAfter(rig, count, what)) === 'finished') return count - 1;
    await rig.sandbox.settled();
    expect(await isHeld(rig, before)).toBe(true);
    await check(rig, before);
  }
}

/**
 * The tests of a run that is killed. In a file for each kind of donor, since each takes half a minute and files run side by
 * side.
 */
export function testKilledRuns(donor: DonorKind): void {
  for (const what of ['writes', 'lines'] as const) {
    test(
      `killed at each of its ${what} and applied again, it completes: ${donor}`,
      LIMIT,
      async () => {
        const points = await atEachPoint(donor, what, async (rig, before) => {
          expect((await rig.apply()).result).toBe('done');
          expect(await rig.tagsBelow(NEW)).toEqual(before);
          expect(await rig.tagsBelow(OLD)).toEqual({});
          expect((await rig.compare('target')).differences).toEqual([]);
          expect((await rig.api('GET', `projects/${rig.move.project.id}`)).json).toMatchObject(
            ENABLED,
          );
          const lost = donor === 'project' ? gaps(rig.sandbox.events.events) : [];
          expect(lost).toEqual([]);
        });
        expect(points).toBeGreaterThan(15);
      },
    );
  }

  test(
    `killed at each of its writes, it can be rolled back until it has moved: ${donor}`,
    LIMIT,
    async () => {
      let moved = 0;
      await atEachPoint(donor, 'writes', async (rig, before) => {
        const {json} = await rig.api('GET', `projects/${rig.move.project.id}`);
        const {path_with_namespace: path} = json as {path_with_namespace: string};
        const back = await rig.rollback().catch((error: unknown) => error);
        const isTooLate = path !== OLD;
        expect(back).toMatchObject(isTooLate ? {code: 'ROLLBACK_TOO_LATE'} : {result: 'done'});
        moved += isTooLate ? 1 : 0;
        if (isTooLate) return;
        expect(await rig.tagsBelow(OLD)).toEqual(before);
        expect((await rig.compare('old')).differences).toEqual([]);
        expect((await rig.api('GET', `projects/${rig.move.project.id}`)).json).toMatchObject(
          ENABLED,
        );
        const {length} = rig.sandbox.events.events;
        expect((await rig.rollback()).result).toBe('done');
        expect(rig.sandbox.events.events).toHaveLength(length);
      });
      expect(moved).toBeGreaterThan(0);
    },
  );
}
