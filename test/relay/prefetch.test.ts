import {once} from 'node:events';
import {describe, expect, it} from 'vitest';
import {TransshipError} from '../../src/model/error.ts';
import type {RepositoryReader, RepositoryWriter} from '../../src/model/port.ts';
import {CHUNK, TransferRig} from '../support/transfer-rig.ts';
import {NEVER, streamOf} from '../support/streams.ts';

type Source = Pick<RepositoryReader, 'name' | 'openBlob'>;
type Destination = Pick<RepositoryWriter, 'name' | 'beginUpload'>;

const SIZE = 3 * CHUNK;

/** A destination that opens an upload only when the source was asked. */
function patient(rig: TransferRig, asked: Promise<void>): RepositoryWriter {
  const destination: Destination = {
    name: rig.destination.name,
    async beginUpload(...args) {
      await asked;
      return await rig.destination.beginUpload(...args);
    },
  };
  return destination as RepositoryWriter;
}

describe('the source of a large blob', () => {
  it('is asked while the upload is opened', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const asked = Promise.withResolvers<void>();
    const source: Source = {
      name: rig.source.name,
      openBlob(...args) {
        asked.resolve();
        return rig.source.openBlob(...args);
      },
    };
    const destination = patient(rig, asked.promise);
    await rig.transfer(blob, {source: source as RepositoryReader, destination});
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it('may fail while the upload is opened', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const asked = Promise.withResolvers<void>();
    const gone = new TransshipError('BLOB_NOT_FOUND', 'gone', {side: 'source', hint: 'none'});
    const source: Source = {
      name: rig.source.name,
      openBlob() {
        setImmediate(() => setImmediate(asked.resolve));
        return Promise.reject(gone);
      },
    };
    const destination = patient(rig, asked.promise);
    const transfer = rig.transfer(blob, {source: source as RepositoryReader, destination});
    await expect(transfer).rejects.toBe(gone);
  });

  it.each(['opened', 'sent to'])('is left after an upload could not be %s', async (when) => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(SIZE);
    const asked = Promise.withResolvers<void>();
    let hanging = 0;
    const hangingAtRetries: number[] = [];
    const source: Source = {
      name: rig.source.name,
      async openBlob(which, range, call) {
        if (hangingAtRetries.length > 0) return await rig.source.openBlob(which, range, call);
        hanging += 1;
        asked.resolve();
        await once(call.signal, 'abort');
        hanging -= 1;
        throw call.signal.reason;
      },
    };
    const unavailable = async (): Promise<never> => {
      await asked.promise;
      throw new TransshipError('REGISTRY_UNAVAILABLE', 'later', {
        side: 'destination',
        retry: true,
        hint: 'none',
      });
    };
    const destination: Destination = {
      name: rig.destination.name,
      async beginUpload(...args) {
        if (when === 'opened' && hangingAtRetries.length === 0) return await unavailable();
        const upload = await rig.destination.beginUpload(...args);
        const append = upload.append.bind(upload);
        return Object.assign(upload, {
          append: (...body: Parameters<typeof append>) =>
            hangingAtRetries.length === 0 ? unavailable() : append(...body),
        });
      },
    };
    await rig.transfer(blob, {
      source: source as RepositoryReader,
      destination: destination as RepositoryWriter,
      onRetry: () => void hangingAtRetries.push(hanging),
    });
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(hangingAtRetries).toEqual([0]);
  });

  it('is not asked for what an upload of an earlier run has', async () => {
    await using rig = await TransferRig.start();
    const content = Buffer.alloc(SIZE, 'x');
    const blob = await rig.blob(SIZE, content);
    const call = {signal: NEVER};
    const upload = await rig.destination.beginUpload(blob, call);
    await upload.append(streamOf([content.subarray(0, CHUNK)]), CHUNK, call);
    const offsets: number[] = [];
    const source: Source = {
      name: rig.source.name,
      openBlob(which, range, ...rest) {
        offsets.push(range.offset);
        return rig.source.openBlob(which, range, ...rest);
      },
    };
    await rig.transfer(blob, {source: source as RepositoryReader, saved: upload.saved});
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(Math.min(...offsets)).toBe(CHUNK);
  });
});
