import {randomBytes} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import type {Descriptor} from '../../src/model/descriptor.ts';
import type {SavedUpload} from '../../src/model/port.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import {CHUNK, TransferRig} from '../support/transfer-rig.ts';

const SIZE = 6 * CHUNK + 10;
const call = {signal: NEVER};

/** Transfers until three chunks are acknowledged, as a run that is told to stop. */
async function stopAfterThree(rig: TransferRig, blob: Descriptor): Promise<SavedUpload[]> {
  const stop = new AbortController();
  const saved: SavedUpload[] = [];
  const transferring = rig.transfer(blob, {
    settings: {stopping: stop.signal},
    onSaved: (upload) => {
      saved.push(upload);
      if (upload.offset === 3 * CHUNK) stop.abort();
    },
  });
  await expect(transferring).rejects.toMatchObject({code: 'INTERRUPTED'});
  return saved;
}

/** An upload as an earlier run may have left it, of these bytes. */
async function leaveUpload(rig: TransferRig, blob: Descriptor, bytes: Buffer) {
  const upload = await rig.destination.beginUpload(blob, call);
  await upload.append(streamOf([bytes]), bytes.length, call);
  return upload.saved;
}

function reads(rig: TransferRig) {
  return rig.sandboxes.source.log.entries.filter(({kind}) => kind === 'blob');
}

function heads(rig: TransferRig) {
  return rig.sandboxes.destination.log.entries.filter(({method}) => method === 'HEAD');
}

describe('a transfer in another process', () => {
  it('goes on where the upload stands, reads only from there, and looks whether the blob is kept', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const saved = (await stopAfterThree(rig, blob)).at(-1);
    expect(saved).toMatchObject({offset: 3 * CHUNK, digest: blob.digest});
    rig.sandboxes.source.log.clear();
    const told = await rig.transfer(blob, saved ? {saved} : {});
    expect(told.sent).toBe(SIZE - 3 * CHUNK);
    const starts = reads(rig).map(({range}) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
    expect(Math.min(...starts)).toBe(3 * CHUNK);
    expect(heads(rig)).toHaveLength(1);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it('believes the registry where that has more than was remembered', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const [first] = await stopAfterThree(rig, blob);
    expect(first?.offset).toBe(0);
    const told = await rig.transfer(blob, first ? {saved: first} : {});
    expect(told.sent).toBe(SIZE - 3 * CHUNK);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it('starts anew where the upload is gone', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const saved = await leaveUpload(rig, blob, randomBytes(CHUNK));
    const left = await rig.destination.resumeUpload(saved, call);
    await left?.cancel(call);
    const told = await rig.transfer(blob, {saved});
    expect(told.sent).toBe(SIZE);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it.each([
    ['has other bytes', CHUNK],
    ['has more bytes than the blob', SIZE + 1],
  ])('starts anew, once, where the upload %s', async (_what, size) => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const saved = await leaveUpload(rig, blob, randomBytes(size));
    const told = await rig.transfer(blob, {saved});
    expect(told.sent).toBeLessThanOrEqual(2 * SIZE);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it('starts anew where the upload was closed and the blob is not there', async () => {
    await using rig = await TransferRig.start({
      destination: [{method: 'HEAD', about: 'blob', fault: {kind: 'refuse', status: 404}}],
    });
    const blob = await rig.blob(SIZE);
    const saved = (await stopAfterThree(rig, blob)).at(-1);
    const told = await rig.transfer(blob, saved ? {saved} : {});
    expect(told.sent).toBe(SIZE - 3 * CHUNK + SIZE);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });
});

it('a chunk that the registry got whole, and could not say so, is not sent again', async () => {
  await using rig = await TransferRig.start({
    destination: [{method: 'PATCH', skip: 2, fault: {kind: 'lose-answer'}}],
  });
  const blob = await rig.blob(SIZE);
  const told = await rig.transfer(blob);
  expect(told.sent).toBe(SIZE);
  expect(heads(rig)).toHaveLength(0);
});
