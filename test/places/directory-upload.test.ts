import {execFile} from 'node:child_process';
import {readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import {describe, expect, test} from 'vitest';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {digestOf, hexOf} from '../../src/model/digest.ts';
import {gathered} from '../../src/places/directory-upload.ts';
import {OciLayout} from '../../src/places/oci-layout.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';
import {tempDirectory, type TempDirectory} from '../support/temp.ts';

const call = {signal: NEVER};
const MIB = 1024 * 1024;
const BYTES = Buffer.alloc(3 * MIB + 5, 'the ferry leaves at nine ');
const BLOB: Descriptor = {
  mediaType: 'application/octet-stream',
  digest: digestOf(BYTES),
  size: BYTES.byteLength,
};

function pieces(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.byteLength / size);
  return Array.from({length: count}, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

async function blobFile(temp: TempDirectory): Promise<Buffer> {
  return await readFile(temp.join('blobs', 'sha256', hexOf(BLOB.digest)));
}

describe('an upload into a layout', () => {
  test('resumes in another process where the first was killed', async () => {
    await using temp = await tempDirectory();
    const first = await new OciLayout(temp.path).beginUpload(BLOB, call);
    const broken = streamOf(pieces(BYTES.subarray(0, 1_500_000), 65_536), new Error('cut'));
    await expect(first.append(broken, BLOB.size, call)).rejects.toThrow('cut');
    const saved = structuredClone(first.saved);
    expect(saved.offset).toBe(1_500_000);
    expect(await first.queryOffset(call)).toBe(1_500_000);

    const layout = new OciLayout(temp.path);
    const upload = await layout.resumeUpload(saved, call);
    if (upload === undefined) throw new Error('the upload is gone');
    expect(upload.offset).toBe(1_500_000);
    const rest = streamOf(pieces(BYTES.subarray(upload.offset), 70_000));
    expect(await upload.append(rest, BLOB.size - upload.offset, call)).toBe(BLOB.size);
    expect(await layout.hasBlob(BLOB, call)).toBe(false);
    await upload.commit(BLOB, call);
    expect(await layout.hasBlob(BLOB, call)).toBe(true);
    expect((await blobFile(temp)).equals(BYTES)).toBe(true);
    expect(await upload.queryOffset(call)).toBeUndefined();
    expect(await layout.resumeUpload(saved, call)).toBeUndefined();
  });

  test.each(['a link', '/dev/zero', 'mkfifo'])(
    'does not go on in %s that somebody put in place of its file',
    async (kind) => {
      await using temp = await tempDirectory();
      const layout = new OciLayout(temp.join('layout'));
      const {saved} = await layout.beginUpload(BLOB, call);
      const file = temp.join('layout', '.transship', saved.location);
      await writeFile(temp.join('mine'), 'my words');
      await rm(file);
      if (kind === 'mkfifo') await promisify(execFile)(kind, [file]);
      else await symlink(kind === 'a link' ? temp.join('mine') : kind, file);
      expect(await layout.resumeUpload(saved, call)).toBeUndefined();
      expect(await readFile(temp.join('mine'), 'utf8')).toBe('my words');
    },
  );

  test('takes chunk after chunk', async () => {
    await using temp = await tempDirectory();
    const upload = await new OciLayout(temp.path).beginUpload(BLOB, call);
    for (const chunk of pieces(BYTES, MIB))
      expect(await upload.append(streamOf([chunk]), chunk.byteLength, call)).toBe(upload.offset);
    await upload.commit(BLOB, call);
    expect((await blobFile(temp)).equals(BYTES)).toBe(true);
  });

  test('never becomes a blob with other bytes or another size', async () => {
    await using temp = await tempDirectory();
    const layout = new OciLayout(temp.path);
    const wrong = Buffer.from(BYTES).fill(0, 7, 8);
    const putting = layout.putBlob(BLOB, async () => streamOf([wrong]), call);
    await expect(putting).rejects.toMatchObject({code: 'BLOB_DIGEST_MISMATCH', retry: true});
    for (const bytes of [BYTES.subarray(1), Buffer.concat([BYTES, BYTES.subarray(0, 1)])]) {
      await expect(layout.putBlob(BLOB, async () => streamOf([bytes]), call)).rejects.toMatchObject(
        {code: 'BLOB_SIZE_MISMATCH'},
      );
    }
    const early = await layout.beginUpload(BLOB, call);
    await expect(early.commit(BLOB, call)).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
    await early.cancel(call);
    expect(await layout.hasBlob(BLOB, call)).toBe(false);
    expect(await readdir(temp.join('.transship'))).toEqual([]);
  });

  test('of one blob by several writers stores that blob', async () => {
    await using temp = await tempDirectory();
    await Promise.all(
      [10_000, 64_000, 2 * MIB].map(async (size) => {
        const layout = new OciLayout(temp.path);
        await layout.putBlob(BLOB, async () => streamOf(pieces(BYTES, size)), call);
      }),
    );
    expect((await blobFile(temp)).equals(BYTES)).toBe(true);
  });

  test('ends with the reason of the signal', async () => {
    await using temp = await tempDirectory();
    const stop = new AbortController();
    const upload = await new OciLayout(temp.path).beginUpload(BLOB, stop);
    stop.abort(new Error('no more'));
    await expect(upload.append(streamOf([BYTES]), BLOB.size, stop)).rejects.toThrow('no more');
  });

  test('that was deleted is lost, and can be started again', async () => {
    await using temp = await tempDirectory();
    const upload = await new OciLayout(temp.path).beginUpload(BLOB, call);
    await upload.cancel(call);
    await upload.cancel(call);
    await expect(upload.append(streamOf([BYTES]), BLOB.size, call)).rejects.toMatchObject({
      code: 'UPLOAD_LOST',
      retry: true,
    });
  });

  test.each(['../../index.json', '/etc/passwd', 'index.lock', ''])(
    'is not read from %j',
    async (location) => {
      await using temp = await tempDirectory();
      const layout = new OciLayout(temp.path);
      await layout.beginUpload(BLOB, call);
      const saved = {digest: BLOB.digest, location, offset: 0};
      expect(await layout.resumeUpload(saved, call)).toBeUndefined();
    },
  );

  test('of no bytes is a blob of no bytes', async () => {
    await using temp = await tempDirectory();
    const empty = {mediaType: '', digest: digestOf(''), size: 0};
    const layout = new OciLayout(temp.path);
    await layout.putBlob(empty, async () => streamOf([]), call);
    const {chunks} = await layout.openBlob(empty, {offset: 0}, call);
    expect(await collect(chunks)).toHaveLength(0);
  });
});

async function lengths(chunks: Buffer[], size: number, failure?: Error): Promise<number[]> {
  const seen: number[] = [];
  try {
    for await (const piece of gathered(streamOf(chunks, failure), size))
      seen.push(piece.byteLength);
  } catch (error) {
    if (error !== failure) throw error;
    seen.push(-1);
  }
  return seen;
}

describe('gathered', () => {
  test('joins small chunks and passes on large ones', async () => {
    const chunks = [3, 3, 3, 10, 12, 1, 9].map((size) => Buffer.alloc(size));
    expect(await lengths(chunks, 10)).toEqual([9, 10, 12, 10]);
  });

  test('passes on the received bytes before it fails', async () => {
    expect(await lengths([Buffer.alloc(4)], 10, new Error('cut'))).toEqual([4, -1]);
  });
});
