import {existsSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {Digest} from '../../src/model/digest.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {Exchange} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {pushImage, pushIndex} from '../support/push-image.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
/** Called before a registry carries a request out. */
let meanwhile: (at: 'source' | 'destination', exchange: Exchange) => Promise<void>;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  source = cleanup.use(await observed('source'));
  destination = cleanup.use(await observed('destination'));
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  meanwhile = () => Promise.resolve();
  repository = `test/r${++count}` as RepositoryPath;
});

function observed(at: 'source' | 'destination'): Promise<Sandbox> {
  return startSandbox({
    intercept: async (exchange, next) => {
      await meanwhile(at, exchange);
      return await next();
    },
  });
}

const store = (tag: string, at: Sandbox = source, layer = someBytes(64)) =>
  storeImage(at.storage, repository, tag, [layer]);
async function tagAgain(digest: Digest, tag: string): Promise<void> {
  const {manifests} = source.storage;
  const manifest = await manifests.get(repository, digest);
  if (manifest !== undefined) await manifests.put(repository, manifest, tag as Tag);
}
const places = () => [`${source.host}/${repository}`, `${destination.host}/${repository}`] as const;
const tagsAt = async ({storage}: Sandbox) => (await storage.manifests.tags(repository)).toSorted();

function move(...flags: readonly string[]) {
  return transship(['copy', ...places(), '--delete-source', ...flags]);
}

const moveFrom = (from: string, to: string) =>
  transship(['copy', from, to, '--delete-source', '--yes']);

async function result(...flags: readonly string[]) {
  const {code, stdout, stderr} = await move('--yes', '--format', 'json', ...flags);
  return {code, stderr, ...(JSON.parse(stdout) as RunResult)};
}

/** Once, when the destination is first asked for a blob after all tags are written: images are being verified. */
function whileVerifying(act: () => Promise<unknown>): void {
  let isWritten = false;
  let isDone = false;
  meanwhile = async (at, {method, route}) => {
    if (at !== 'destination') return;
    if (method === 'PUT' && route.kind === 'manifest') isWritten = true;
    if (!isWritten || isDone || method !== 'HEAD' || route.kind !== 'blob') return;
    isDone = true;
    await act();
  };
}

describe('copy --delete-source', () => {
  test('deletes each tag at the source once its image is verified', async () => {
    const digest = await store('a');
    await store('b');
    const deletedAt: string[][] = [];
    meanwhile = async (at, {method}) => {
      if (at === 'source' && method === 'DELETE') deletedAt.push(await tagsAt(destination));
    };
    const {code, stdout} = await move('--yes');
    expect(code).toBe(0);
    expect(stdout).toContain('2 images copied');
    expect(stdout).toContain('2 tags deleted.');
    expect(await tagsAt(source)).toEqual([]);
    expect(await destination.storage.manifests.resolve(repository, 'a' as Tag)).toBe(digest);
    // The first one asked whether tags can be deleted, before anything was copied; the second one again.
    expect(deletedAt.slice(-2)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  test('asks first, and does nothing without a yes', async () => {
    await store('a');
    const refused = await move();
    expect(refused.code).toBe(64);
    expect(refused.stderr).toContain(
      `the plan deletes 1 tag in ${source.host}/${repository}, and there is no terminal to ask at`,
    );
    const questions: string[] = [];
    const ask = (question: string) => Promise.resolve(questions.push(question) > 1);
    const args = ['copy', ...places(), '--delete-source'];
    expect((await transship(args, {ask})).code).toBe(130);
    expect([await tagsAt(source), await tagsAt(destination)]).toEqual([['a'], []]);
    expect((await transship(args, {ask})).code).toBe(0);
    expect(questions[0]).toMatch(/^The plan deletes 1 tag in .*Continue\?$/);
    expect([await tagsAt(source), await tagsAt(destination)]).toEqual([[], ['a']]);
  });

  test('deletes what the destination had already, too', async () => {
    const layer = someBytes(64);
    await store('a', source, layer);
    await store('a', destination, layer);
    expect(await result()).toMatchObject({code: 0, result: 'done', blobs: {copied: 0}});
    expect(await tagsAt(source)).toEqual([]);
  });

  test('keeps a tag that is pushed while the images are verified', async () => {
    await store('a');
    await store('b');
    let theirs: string | undefined;
    whileVerifying(async () => (theirs = await store('a')));
    const run = await result();
    expect([run.code, run.result]).toEqual([4, 'drift']);
    expect(run.drift).toMatchObject([{side: 'source', tag: 'a', actual: theirs}]);
    expect(await tagsAt(source)).toEqual(['a']);
    expect(await source.storage.manifests.resolve(repository, 'a' as Tag)).toBe(theirs);
  });

  test('keeps an image of which a blob is missing at the destination', async () => {
    const [layer, other] = [someBytes(64), someBytes(64)];
    await store('a', source, layer);
    await store('b', source, other);
    const image = await store('a', destination, layer);
    const lost = await destination.storage.manifests.get(repository, image);
    for (const {digest} of lost?.blobs ?? [])
      await destination.storage.blobs.unlink(repository, digest);
    const run = await result();
    expect([run.code, run.result]).toEqual([1, 'failed']);
    expect(run.steps.find(({error}) => error)?.error).toMatchObject({code: 'VERIFY_FAILED'});
    expect(await tagsAt(source)).toEqual(['a']);
  });

  test('keeps an image whose copy failed', async () => {
    await store('a');
    await store('b');
    meanwhile = (at, {method, route}) =>
      at === 'destination' &&
      method === 'PUT' &&
      route.kind === 'manifest' &&
      route.reference === 'a'
        ? Promise.reject(new Error('out of order'))
        : Promise.resolve();
    const run = await result();
    expect([run.code, run.result]).toEqual([1, 'failed']);
    expect(run.steps.at(-2)).toMatchObject({outcome: 'blocked'});
    expect(await tagsAt(source)).toEqual(['a']);
  });

  test('puts a tag back whose deletion shows that both names are one registry', async () => {
    const digest = await store('a');
    await store('b');
    const alias = `${source.host.replace('127.0.0.1', 'localhost')}/${repository}`;
    const run = await transship([
      'copy',
      `${source.host}/${repository}`,
      alias,
      '--delete-source',
      '--yes',
      '--format=json',
    ]);
    expect(run.code).toBe(1);
    const {steps} = JSON.parse(run.stdout) as RunResult;
    expect(steps.map(({outcome, error}) => [outcome, error?.code])).toEqual([
      ['failed', 'DESTINATION_CONFLICT'],
      ['blocked', 'DESTINATION_CONFLICT'],
    ]);
    expect(await tagsAt(source)).toEqual(['a', 'b']);
    expect(await source.storage.manifests.resolve(repository, 'a' as Tag)).toBe(digest);
  });

  test('puts a manifest back without its tag if that was pushed meanwhile', async () => {
    const digest = await store('a');
    let fresh: Digest | undefined;
    meanwhile = async (at, {method, route}) => {
      const isLooking = at === 'destination' && method === 'HEAD' && route.kind === 'manifest';
      if (!isLooking || fresh !== undefined || (await tagsAt(source)).includes('a' as Tag)) return;
      // A mirror that follows deletions.
      await destination.storage.manifests.untag(repository, 'a' as Tag);
      await source.storage.manifests.delete(repository, digest);
      fresh = await store('a');
    };
    const run = await result();
    expect(run.steps.at(-1)).toMatchObject({error: {code: 'DESTINATION_CONFLICT'}});
    const {manifests} = source.storage;
    expect(await manifests.resolve(repository, 'a' as Tag)).toBe(fresh);
    expect(await manifests.has(repository, digest)).toBe(true);
  });

  test('is refused within one repository, for a digest, a layout, and an archive', async () => {
    const digest = await store('a');
    const at = `${source.host}/${repository}`;
    expect(await moveFrom(`${at}:a`, `${at}:b`)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('is source and destination') as string,
    });
    expect((await moveFrom(`${at}@${digest}`, `${places()[1]}:b`)).code).toBe(64);
    expect((await moveFrom(`${at}:a`, 'oci-archive:a.tar:a')).code).toBe(64);
    expect((await moveFrom('oci:somewhere:a', `${places()[1]}:a`)).code).toBe(64);
    expect(await tagsAt(source)).toEqual(['a']);
  });

  test('trusts a layout as far as its files have the right bytes', async () => {
    await using temp = await tempDirectory();
    await store('a');
    const moved = await moveFrom(`${source.host}/${repository}`, `oci:${temp.join('layout')}`);
    expect(moved.code).toBe(0);
    expect(await tagsAt(source)).toEqual([]);
    const digest = await store('b');
    const file = temp.join('layout', 'blobs', ...digest.split(':'));
    meanwhile = async (at, {method, route}) => {
      const isLooking = at === 'source' && method === 'HEAD' && route.kind === 'manifest';
      if (isLooking && existsSync(file)) await writeFile(file, 'other bytes');
    };
    const damaged = await moveFrom(`${source.host}/${repository}`, `oci:${temp.join('layout')}`);
    expect(damaged.code).toBe(1);
    expect(await tagsAt(source)).toEqual(['b']);
  });

  test('keeps the complete index if only some platforms are copied', async () => {
    const base = `http://${source.host}`;
    const arm = await pushImage(base, repository, 'arm', {layers: [Buffer.from('arm')]});
    const amd = await pushImage(base, repository, 'amd', {layers: [Buffer.from('amd')]});
    await pushIndex(base, repository, 'all', [amd, arm]);
    const run = await move('--yes', '--tag', 'all', '--platform', 'linux/amd64');
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('keeps all: only some of its platforms are copied');
    expect(await tagsAt(source)).toEqual(['all', 'amd', 'arm']);
  });

  test('takes a signature along, after its image, unless the image stays under another tag', async () => {
    const layer = someBytes(64);
    const digest = await store('v1', source, layer);
    await tagAgain(digest, 'latest');
    const signature = `${digest.replace(':', '-')}.sig`;
    await store(signature);
    const first = await move('--yes', '--tag', 'v1');
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(`keeps ${signature}: the image it belongs to stays as latest`);
    expect(await tagsAt(source)).toEqual(['latest', signature]);

    const order: string[] = [];
    meanwhile = (at, {method, route}) => {
      if (at === 'source' && method === 'DELETE' && route.kind === 'manifest')
        order.push(route.reference);
      return Promise.resolve();
    };
    expect((await move('--yes')).code).toBe(0);
    expect(order.slice(-2)).toEqual(['latest', signature]);
    expect(await tagsAt(source)).toEqual([]);
  });

  test('--max-deletes ends a run early, and the next one continues', async () => {
    for (const tag of ['a', 'b', 'c']) await store(tag);
    const first = await result('--max-deletes', '2');
    expect([first.code, first.result]).toEqual([130, 'interrupted']);
    expect(await tagsAt(source)).toHaveLength(1);
    expect(await result('--max-deletes', '2')).toMatchObject({code: 0, result: 'done'});
    expect(await tagsAt(source)).toEqual([]);
  });
});

describe('a plan that deletes at the source', () => {
  test('shows the deletions first, and is applied again without harm', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('move.plan.json');
    await store('a');
    await store('b');
    const planned = await transship([
      'plan',
      'copy',
      ...places(),
      '--delete-source',
      '--out',
      file,
      '--detailed-exitcode',
    ]);
    expect(planned.code).toBe(2);
    const {stdout} = planned;
    expect(stdout.indexOf('To delete (2)')).toBeGreaterThan(0);
    expect(stdout.indexOf('To delete (2)')).toBeLessThan(stdout.indexOf('To copy (2)'));
    expect(stdout).toContain('2 tags to delete');
    expect(await tagsAt(source)).toEqual(['a', 'b']);

    const plan = JSON.parse(await readFile(file, 'utf8')) as {deletions: object[]};
    expect(plan.deletions).toEqual([
      {repository: 0, tag: 'a', reason: 'moved', copies: [0]},
      {repository: 0, tag: 'b', reason: 'moved', copies: [1]},
    ]);
    expect((await transship(['apply', file])).code).toBe(64);
    expect((await transship(['apply', file, '--yes'])).code).toBe(0);
    expect(await tagsAt(source)).toEqual([]);
    const again = await transship(['apply', file, '--yes']);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('0 tags deleted, 2 gone before.');
    expect((await transship(['verify', file])).code).toBe(0);
  });

  test('keeps tags pushed to the source after planning, and deletes the others', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('move.plan.json');
    await store('a');
    await store('b');
    await transship(['copy', ...places()]);
    await transship(['plan', 'copy', ...places(), '--delete-source', '--out', file]);
    await store('a');
    await store('new');
    const run = await transship(['apply', file, '--yes', '--format', 'json']);
    expect(run.code).toBe(4);
    expect((JSON.parse(run.stdout) as RunResult).drift).toMatchObject([{tag: 'a'}]);
    expect(await tagsAt(source)).toEqual(['a', 'new']);
  });

  test('needs every destination of a migration file', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('move.yaml');
    await store('a');
    const to = [1, 2].map((n) => `${destination.host}/copy/${count}/${n}`);
    await writeFile(
      file,
      `version: 1\nroutes:\n  - from: ${source.host}/${repository}\n    to: [${to.join(', ')}]\ndeleteSource: afterVerify\n`,
    );
    const out = temp.join('move.plan.json');
    expect(await transship(['plan', file, '--out', out])).toMatchObject({code: 0, stderr: ''});
    const {stdout} = await transship(['show', out, '--format', 'json']);
    expect((JSON.parse(stdout) as CopyPlan).steps.at(-1)).toMatchObject({
      kind: 'delete',
      verified: to.map((name) => ({to: name, tag: 'a'})),
    });
    expect((await transship(['apply', out, '--yes'])).code).toBe(0);
    expect(await tagsAt(source)).toEqual([]);
  });
});
