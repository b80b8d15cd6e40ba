import {describe, expect, it} from 'vitest';
import {CHUNK, KiB, TransferRig, type TransferRigOptions} from '../support/transfer-rig.ts';

const LIFE_SECONDS = 300;
const USER = {
  name: 'me',
  password: 'secret',
  grants: [{repository: '**', actions: ['pull' as const, 'push' as const]}],
};

/** A destination whose tokens end when they say so, by a clock that the test moves. */
function withTokens(clock: {now: number}): TransferRigOptions {
  const now = () => clock.now;
  return {
    now,
    credentials: {kind: 'basic', username: USER.name, password: USER.password},
    sandbox: {
      auth: {
        kind: 'token',
        users: [USER],
        tokenLifeSeconds: LIFE_SECONDS,
        leewaySeconds: 0,
        clock: now,
      },
    },
  };
}

function answers({sandboxes}: TransferRig, kind: string, status?: number) {
  return sandboxes.destination.log.entries.filter(
    (entry) => entry.kind === kind && (status === undefined || entry.status === status),
  );
}

describe('a token', () => {
  it('is renewed before it ends, between chunks', async () => {
    const clock = {now: Date.UTC(2026, 0, 1)};
    await using rig = await TransferRig.start(withTokens(clock));
    const blob = await rig.blob(8 * CHUNK);
    await rig.transfer(blob, {
      onSaved: () => {
        clock.now += 100_000;
      },
    });
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(answers(rig, 'upload', 401)).toHaveLength(0);
    // Over 900 s, with tokens of 300 s of which the last minute is not used.
    expect(answers(rig, 'token', 200).length).toBeGreaterThanOrEqual(4);
  });

  it.each([64 * KiB, 512 * KiB])(
    'that expires during a chunk of %i bytes is renewed, and the upload continues',
    async (chunk) => {
      const clock = {now: Date.UTC(2026, 0, 1)};
      const start = clock.now;
      const options = withTokens(clock);
      // Only the registry's clock moves on.
      const now = () => start;
      await using rig = await TransferRig.start({...options, now, chunk, part: chunk});
      const blob = await rig.blob(4 * chunk);
      const {sent} = await rig.transfer(blob, {
        onSaved: ({offset}) => {
          if (offset === 2 * chunk) clock.now = start + 1_000_000;
        },
      });
      expect(await rig.kept(blob)).toBe(blob.digest);
      expect(answers(rig, 'upload', 401)).toHaveLength(1);
      expect(sent).toBeLessThanOrEqual(5 * chunk);
    },
  );

  it('is requested once for all waiting requests', async () => {
    const clock = {now: Date.UTC(2026, 0, 1)};
    await using rig = await TransferRig.start(withTokens(clock));
    const blobs = await Promise.all(Array.from({length: 8}, () => rig.blob(2 * CHUNK)));
    await Promise.all(blobs.map((blob) => rig.transfer(blob)));
    expect(answers(rig, 'token', 200)).toHaveLength(1);
    clock.now += LIFE_SECONDS * 1000;
    const later = await Promise.all(Array.from({length: 8}, () => rig.blob(2 * CHUNK)));
    await Promise.all(later.map((blob) => rig.transfer(blob)));
    expect(answers(rig, 'token', 200)).toHaveLength(2);
  });
});
