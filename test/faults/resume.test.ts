import {randomBytes} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import type {Descriptor} from '../../src/model/descriptor.ts';
import type {SavedUpload} from '../../src/model/port.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import {KiB, TransferRig} from '../support/transfer-rig.ts';

const call = {signal: NEVER};

/** Transfers until so many bytes are acknowledged, as a run that is told to stop. */
async function stopAt(bytes: number, rig: TransferRig, blob: Descriptor): Promise<SavedUpload[]> {
  const stop = new AbortController();
  const saved: SavedUpload[] = [];
  const transferring = rig.transfer(blob, {
    settings: {stopping: stop.signal},
    onSaved: (upload) => {
      saved.push(upload);
      if (upload.offset === bytes) stop.abort();
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

function chunks(rig: TransferRig) {
  return rig.sandboxes.destination.log.entries.filter(({method}) => method === 'PATCH');
}

function heads(rig: TransferRig) {
  return rig.sandboxes.destination.log.entries.filter(({method}) => method === 'HEAD');
}

/** Bodies of more than 256 KiB wait in lanes of their own (`LARGE_BODY` in src/http/request.ts). */
describe.each([64 * KiB, 512 * KiB])(
  'a transfer in another process, in chunks of %i bytes,',
  (chunk) => {
    const size = 6 * chunk + 10;
    const sizes = {chunk, part: chunk};

    it('resumes at the offset of the upload, reads only from there, and verifies the blob', async () => {
      await using rig = await TransferRig.start(sizes);
      const blob = await rig.blob(size);
      const saved = (await stopAt(3 * chunk, rig, blob)).at(-1);
      expect(saved).toMatchObject({offset: 3 * chunk, digest: blob.digest});
      rig.sandboxes.source.log.clear();
      rig.sandboxes.destination.log.clear();
      const told = await rig.transfer(blob, saved ? {saved} : {});
      expect(told.sent).toBe(size - 3 * chunk);
      expect(chunks(rig)[0]?.contentRange).toBe(`${3 * chunk}-${4 * chunk - 1}`);
      const ranges = reads(rig).map(({range = ''}) => range);
      expect(ranges).toContain(`bytes=${3 * chunk}-${4 * chunk - 1}`);
      const starts = ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range)?.[1]));
      expect(Math.min(...starts)).toBe(3 * chunk);
      expect(heads(rig)).toHaveLength(1);
      expect(await rig.kept(blob)).toBe(blob.digest);
    });

    it('believes the registry where that has more than was remembered', async () => {
      await using rig = await TransferRig.start(sizes);
      const blob = await rig.blob(size);
      const [first] = await stopAt(3 * chunk, rig, blob);
      expect(first?.offset).toBe(0);
      const told = await rig.transfer(blob, first ? {saved: first} : {});
      expect(told.sent).toBe(size - 3 * chunk);
      expect(await rig.kept(blob)).toBe(blob.digest);
    });

    it('starts again if the upload is lost', async () => {
      await using rig = await TransferRig.start(sizes);
      const blob = await rig.blob(size);
      const saved = await leaveUpload(rig, blob, randomBytes(chunk));
      const left = await rig.destination.resumeUpload(saved, call);
      await left?.cancel(call);
      const told = await rig.transfer(blob, {saved});
      expect(told.sent).toBe(size);
      expect(await rig.kept(blob)).toBe(blob.digest);
    });

    it.each([
      ['has other bytes', chunk],
      ['has more bytes than the blob', size + 1],
    ])('starts anew, once, where the upload %s', async (_what, bytes) => {
      await using rig = await TransferRig.start(sizes);
      const blob = await rig.blob(size);
      const saved = await leaveUpload(rig, blob, randomBytes(bytes));
      const told = await rig.transfer(blob, {saved});
      expect(told.sent).toBeLessThanOrEqual(2 * size);
      expect(await rig.kept(blob)).toBe(blob.digest);
    });

    it('starts anew where the upload was closed and the blob is not there', async () => {
      await using rig = await TransferRig.start({
        ...sizes,
        destination: [{method: 'HEAD', about: 'blob', fault: {kind: 'refuse', status: 404}}],
      });
      const blob = await rig.blob(size);
      const saved = (await stopAt(3 * chunk, rig, blob)).at(-1);
      const told = await rig.transfer(blob, saved ? {saved} : {});
      expect(told.sent).toBe(size - 3 * chunk + size);
      expect(await rig.kept(blob)).toBe(blob.digest);
    });

    it('a chunk that was received but not acknowledged is not sent again', async () => {
      await using rig = await TransferRig.start({
        ...sizes,
        destination: [{method: 'PATCH', skip: 2, fault: {kind: 'lose-answer'}}],
      });
      const blob = await rig.blob(size);
      const told = await rig.transfer(blob);
      expect(told.sent).toBe(size);
      expect(heads(rig)).toHaveLength(0);
    });
  },
);
