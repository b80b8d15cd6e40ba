import {expect, test} from 'vitest';
import {RequestLog} from '../../src/sandbox/http-server.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {openUpload, pushBlob, send} from './client.ts';

test('the log contains each request, with the bytes of both bodies', async () => {
  await using sandbox = await startSandbox();
  const repository = `${sandbox.url}/v2/a/b`;
  const digest = await pushBlob(repository, '0123456789');
  sandbox.log.clear();
  await send('GET', `${repository}/blobs/${digest}`, {headers: {range: 'bytes=2-5'}});
  await send('HEAD', `${repository}/blobs/${digest}`);
  const location = await openUpload(repository);
  await send('PATCH', location, {body: 'abc', headers: {'content-range': '0-2'}});
  expect(sandbox.log.entries).toMatchObject([
    {
      number: 3,
      method: 'GET',
      kind: 'blob',
      status: 206,
      bytesIn: 0,
      bytesOut: 4,
      range: 'bytes=2-5',
    },
    {number: 4, method: 'HEAD', kind: 'blob', status: 200, bytesOut: 0},
    {number: 5, method: 'POST', kind: 'uploads', path: '/v2/a/b/blobs/uploads/', status: 202},
    {number: 6, method: 'PATCH', kind: 'upload', status: 202, bytesIn: 3, contentRange: '0-2'},
  ]);
});

test('the log keeps the latest', async () => {
  await using sandbox = await startSandbox();
  await send('GET', `${sandbox.url}/v2/`);
  const [entry] = sandbox.log.entries;
  if (!entry) throw new Error('the log is empty');
  const log = new RequestLog(3);
  for (let number = 1; number <= 100; number += 1) log.add({...entry, number});
  expect(log.entries.length).toBeLessThanOrEqual(6);
  expect(log.entries.slice(-3).map(({number}) => number)).toEqual([98, 99, 100]);
});
