import {expect, it} from 'vitest';
import {on} from '../support/fault-rules.ts';
import {NEVER} from '../support/streams.ts';
import {KiB, TransferRig} from '../support/transfer-rig.ts';

/** More than may send a large body to one host at once. */
const TRANSFERS = 40;
/** For what must come to pass, in ms: a second is not enough on a machine that has other things to do. */
const PATIENCE = {timeout: 20_000};

it('leaves small requests through while stalled chunks have all places of large bodies', async () => {
  const stalled = {kind: 'stall', body: 'request', after: 10, gate: 'bodies'} as const;
  const chunk = 300 * KiB;
  await using rig = await TransferRig.start({
    destination: [on('PATCH', stalled, {times: 999})],
    chunk,
  });
  const blobs = await Promise.all(Array.from({length: TRANSFERS}, () => rig.blob(chunk + 1)));
  const transfers = blobs.map((blob) => rig.transfer(blob));
  const {injected, gates} = rig.destinationFaults;
  const {url, log} = rig.sandboxes.destination;
  const opened = () => log.entries.filter(({method}) => method === 'POST');
  await expect.poll(() => opened().length, PATIENCE).toBe(TRANSFERS);
  // As many as there are places, and the others wait.
  await expect.poll(() => injected.length, PATIENCE).toBe(rig.http.throttle(url).limit / 2);
  expect(injected.length).toBeLessThan(TRANSFERS);
  const [blob] = blobs;
  expect(blob && (await rig.destination.hasBlob(blob, {signal: NEVER}))).toBe(false);
  gates.open('bodies');
  await Promise.all(transfers);
});
