import {expect, it} from 'vitest';
import {tempDirectory} from '../support/temp.ts';
import {directoryInMemory} from './storage.ts';
import type {Workload} from './workloads.ts';

const workload = (size: number): Workload => ({
  id: 'X',
  title: 'one layer',
  content: {tags: 1, shared: {count: 0, size: 0}, own: {count: 1, size}},
});

it('takes the directory where both sides have room in it', async () => {
  await using temp = await tempDirectory();
  expect(await directoryInMemory([workload(1), workload(2)], temp.path)).toBe(temp.path);
});

it.each([
  ['a workload that has no room in it', [workload(1), workload(2 ** 60)], ''],
  ['a directory that is not there', [workload(1)], 'nowhere'],
])('leaves it for %s', async (_what, workloads, below) => {
  await using temp = await tempDirectory();
  expect(await directoryInMemory(workloads, temp.join(below))).toBeUndefined();
});
