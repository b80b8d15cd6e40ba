import {expect, it} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {CopyRig} from '../support/copy-rig.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {CHUNK, KiB} from '../support/transfer-rig.ts';

const FROM = 'from/app' as RepositoryPath;
const MIN_CHUNK = 100 * KiB;
const SIZE = 5 * CHUNK + 10;

it('a minimum chunk size that a registry announced once is also used after a restart', async () => {
  await using rig = await CopyRig.start({minChunk: MIN_CHUNK});
  await storeImage(rig.source.storage, FROM, 'v1', [someBytes(SIZE)]);
  const plan = await rig.plan(FROM, 'to/app');
  const stop = new AbortController();
  const first = await rig
    .apply(plan, {
      stopping: stop.signal,
      report: (event) => {
        if (event.type === 'blob-progress' && event.acknowledged >= MIN_CHUNK) stop.abort();
      },
    })
    .catch((error: unknown) => error);
  expect(JSON.stringify(first)).toMatch(/interrupted/i);
  expect(await rig.apply(plan)).toMatchObject({result: 'done'});
  const chunks = rig.destination.log.entries.filter(({method}) => method === 'PATCH');
  expect(chunks.map(({status, bytesIn}) => [status, bytesIn])).toEqual([
    [202, MIN_CHUNK],
    [202, MIN_CHUNK],
    [202, MIN_CHUNK],
    [202, SIZE - 3 * MIN_CHUNK],
  ]);
  expect(await rig.problems()).toEqual([]);
});
