import {randomBytes} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {emptyReply, type Exchange} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

// Two images with a common layer go to two repositories of one registry: the second gets the layer by a mount.

const SHARED = randomBytes(20_000);
const BLOB = digestOf(SHARED);
const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;
/** Repositories of the source that do not have the layer that their image names. */
let without: readonly string[];

function isMissing({path}: Exchange): boolean {
  return without.some((name) => path === `/v2/${name}/blobs/${BLOB}`);
}

beforeAll(async () => {
  source = cleanup.use(
    await startSandbox({
      intercept: (exchange, next) =>
        isMissing(exchange) ? Promise.resolve(emptyReply(404)) : next(),
    }),
  );
  destination = cleanup.use(await startSandbox());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  without = [];
  source.log.clear();
  destination.log.clear();
});

async function migrate(group: string) {
  for (const name of ['a-secret', 'b-public'])
    await storeImage(source.storage, `${group}/${name}` as RepositoryPath, 'v1', [
      SHARED,
      randomBytes(100),
    ]);
  const [file, plan] = [temp.join(`${group}.yaml`), temp.join(`${group}.plan.json`)];
  const names = temp.join(`${group}.txt`);
  await writeFile(names, `${group}/a-secret\n${group}/b-public\n`);
  await writeFile(
    file,
    [
      'version: 1',
      `from: ${source.host}`,
      `to: ${destination.host}`,
      'routes:',
      `  - {from: ${group}/a-secret, to: ${group}/a-secret}`,
      `  - {from: ${group}/b-public, to: ${group}/b-public}`,
      '',
    ].join('\n'),
  );
  expect(await transship(['plan', file, '--out', plan])).toMatchObject({code: 0});
  return await transship(['apply', plan, '--format', 'json']);
}

function has(repository: string) {
  return destination.storage.blobs.size(repository as RepositoryPath, BLOB);
}

test('a layer is mounted where the source of the image has it', async () => {
  const run = await migrate('fine');
  expect(run).toMatchObject({code: 0});
  expect((JSON.parse(run.stdout) as RunResult).blobs.mounted).toBe(2);
  expect(await has('fine/b-public')).toBe(SHARED.byteLength);
  const asked = source.log.entries.filter(
    ({method, path}) => method === 'HEAD' && path.endsWith(BLOB),
  );
  expect(asked).toHaveLength(1);
});

test('a digest in an image gives no access to a layer', async () => {
  without = ['named/b-public'];
  const run = await migrate('named');
  expect(run).toMatchObject({code: 1});
  expect(await has('named/a-secret')).toBe(SHARED.byteLength);
  expect(await has('named/b-public')).toBeUndefined();
  const [step] = (JSON.parse(run.stdout) as RunResult).steps.filter(({error}) => error);
  expect(step?.error).toMatchObject({side: 'source', message: expect.stringContaining(BLOB)});
  const hex = BLOB.slice(7);
  const mounts = destination.log.entries.filter(
    ({path}) => path.includes('mount=') && path.includes(hex),
  );
  expect(mounts).toEqual([]);
});
