import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {scriptOf} from '../support/copy-rig.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const APP = 'team/app' as RepositoryPath;
const MIB = 1024 * 1024;

/** Counts the bytes of blobs that a registry gives away. */
function counting(read: {bytes: number}): Intercept {
  return async ({method, path}, next) => {
    const reply = await next();
    const {body} = reply;
    if (method !== 'GET' || !path.includes('/blobs/') || typeof body !== 'function') return reply;
    const counted = async function* () {
      for await (const chunk of body()) {
        read.bytes += chunk.byteLength;
        yield chunk;
      }
    };
    return {...reply, body: counted};
  };
}

/** A migration of two images to two registries, planned; one of which has these faults. */
async function migration(rules: readonly FaultRuleInput[] = []) {
  const cleanup = new AsyncDisposableStack();
  const read = {bytes: 0};
  const source = cleanup.use(await startSandbox({intercept: counting(read)}));
  const one = cleanup.use(await startSandbox());
  const faults = scriptOf(rules);
  const other = cleanup.use(
    await startSandbox({intercept: (exchange, next) => faults.intercept(exchange, next)}),
  );
  const temp = cleanup.use(await tempDirectory());
  const shared = someBytes(3 * MIB);
  await storeImage(source.storage, APP, 'v1', [shared, someBytes(20 * MIB)]);
  await storeImage(source.storage, APP, 'v2', [shared, someBytes(100)]);
  const file = temp.join('m.yaml');
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nroutes:\n  - from: team/app\n    to: ['${one.host}/app', '${other.host}/app']\n`,
  );
  const out = temp.join('m.plan.json');
  expect((await transship(['plan', file, '--out', out, '--no-cache'])).code).toBe(0);
  read.bytes = 0;
  return {
    read,
    one,
    other,
    apply: (...flags: readonly string[]) => transship(['apply', out, ...flags]),
    verify: () => transship(['verify', out]),
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

test('blobs that go to two registries are read once', async () => {
  await using at = await migration();
  const run = await at.apply('--jobs=4', '--chunk-size=5MiB');
  expect([run.code, run.stderr]).toEqual([0, expect.not.stringContaining('error')]);
  // What a connection had ahead when others took over is read again.
  expect(at.read.bytes).toBeGreaterThan(23 * MIB);
  expect(at.read.bytes).toBeLessThan(1.2 * 23 * MIB);
  expect((await at.verify()).code).toBe(0);
});

test('what one registry refuses gets to the other, and later to both', async () => {
  const refused: FaultRuleInput[] = [
    {method: 'POST', about: 'uploads', times: 99, fault: {kind: 'refuse', status: 403}},
  ];
  await using at = await migration(refused);
  expect((await at.apply()).code).toBe(1);
  expect(await at.one.storage.manifests.tags('app' as RepositoryPath)).toEqual(['v1', 'v2']);
  expect(await at.other.storage.manifests.tags('app' as RepositoryPath)).toEqual([]);
});

test('an upload that breaks off is resumed, and both registries have all bytes', async () => {
  await using at = await migration([
    {method: 'PATCH', skip: 1, fault: {kind: 'cut-request', after: 2 * MIB}},
    {method: 'PUT', fault: {kind: 'reset'}},
  ]);
  expect((await at.apply('--chunk-size=4MiB')).code).toBe(0);
  expect((await at.verify()).code).toBe(0);
  for (const {storage} of [at.one, at.other])
    expect(await storage.manifests.tags('app' as RepositoryPath)).toEqual(['v1', 'v2'] as Tag[]);
});
