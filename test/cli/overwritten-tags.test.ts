import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {Exchange} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
/** Called before the destination carries a request out. */
let meanwhile: (exchange: Exchange) => Promise<void>;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({
      intercept: async (exchange, next) => {
        await meanwhile(exchange);
        return await next();
      },
    }),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  meanwhile = () => Promise.resolve();
  repository = `test/r${++count}` as RepositoryPath;
});

const store = (at: Sandbox, tag: string, layer = someBytes(64)) =>
  storeImage(at.storage, repository, tag, [layer]);

const places = () => [`${source.host}/${repository}`, `${destination.host}/${repository}`] as const;

async function tagsThere(): Promise<Readonly<Record<string, string | undefined>>> {
  const {manifests} = destination.storage;
  const tags = (await manifests.tags(repository)).toSorted();
  return Object.fromEntries(
    await Promise.all(
      tags.map(async (tag) => [tag, await manifests.resolve(repository, tag)] as const),
    ),
  );
}

/** Does something once, when the first blob is about to be uploaded: planning is over, no tag is written yet. */
function whenUploadsBegin(act: () => Promise<unknown>): void {
  let isDone = false;
  meanwhile = async ({method}) => {
    if (method !== 'POST' || isDone) return;
    isDone = true;
    await act();
  };
}

describe('a tag that is pushed to the destination during the run', () => {
  test.each([
    ['over another', true],
    ['where there was none', false],
  ])('is drift and is not overwritten: %s', async (_what, wasThere) => {
    if (wasThere) await store(destination, 'a');
    await store(source, 'a');
    const b = await store(source, 'b');
    let theirs: string | undefined;
    whenUploadsBegin(async () => (theirs = await store(destination, 'a')));

    const run = await transship(['copy', ...places(), '--format', 'json']);

    expect(run.code).toBe(4);
    expect(await tagsThere()).toEqual({a: theirs, b});
    const {result, drift, steps} = JSON.parse(run.stdout) as RunResult;
    expect(result).toBe('drift');
    expect(drift).toMatchObject([{side: 'destination', tag: 'a', actual: theirs}]);
    expect(steps.map(({outcome}) => outcome).toSorted()).toEqual(['done', 'failed']);
    expect(steps.find(({error}) => error)?.error?.code).toBe('DRIFT');
  });

  test('is accepted if it is the planned image', async () => {
    const layer = someBytes(64);
    const a = await store(source, 'a', layer);
    whenUploadsBegin(() => store(destination, 'a', layer));
    const run = await transship(['copy', ...places()]);
    expect(run).toMatchObject({code: 0, stderr: ''});
    expect(await tagsThere()).toEqual({a});
  });

  test('is drift where the planned one was deleted, too', async () => {
    await store(destination, 'a');
    await store(source, 'a');
    whenUploadsBegin(() => destination.storage.manifests.untag(repository, 'a' as Tag));
    const run = await transship(['copy', ...places()]);
    expect(run.code).toBe(4);
    expect(run.stdout).toContain('nothing');
    expect(await tagsThere()).toEqual({});
  });

  test('ends apply of a plan with 4 as well, and its report names both digests', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('app.plan.json');
    const before = await store(destination, 'a');
    await store(source, 'a');
    await transship(['plan', 'copy', ...places(), '--out', file]);
    let theirs = '';
    whenUploadsBegin(async () => (theirs = await store(destination, 'a')));
    const run = await transship(['apply', file]);
    expect(run.code).toBe(4);
    for (const digest of [before, theirs]) expect(run.stdout).toContain(digest.slice(0, 19));
  });
});

describe('a tag that points to another image at the destination', () => {
  beforeEach(async () => {
    await store(destination, 'a');
    for (const tag of ['a', 'b', 'c']) await store(source, tag);
  });

  test('is seen in the summary of the plan, in each form, and of the run', async () => {
    for (const form of ['text', 'markdown', 'html']) {
      const planned = await transship(['plan', 'copy', ...places(), '--format', form]);
      expect(planned.stdout).toContain('Plan: 3 images to copy: 2 new, 1 tag moves (');
    }
    const planned = await transship(['plan', 'copy', ...places(), '--format', 'json']);
    expect((JSON.parse(planned.stdout) as CopyPlan).totals).toMatchObject({steps: 3, moves: 1});
    const run = await transship(['copy', ...places()]);
    expect(run.stdout).toContain('Done: 3 images copied: 2 new, 1 tag moved (');
  });

  test('stays with --no-clobber, which the plan says', async () => {
    const {a: theirs} = await tagsThere();
    const flags = ['--no-clobber', '--format', 'json'];
    const planned = await transship(['plan', 'copy', ...places(), ...flags]);
    const {skipped, totals} = JSON.parse(planned.stdout) as CopyPlan;
    expect(totals).toMatchObject({steps: 2, moves: 0, skipped: 1});
    expect(skipped).toMatchObject([
      {reason: 'kept', tag: 'a', detail: expect.stringContaining(theirs?.slice(0, 19) ?? '')},
    ]);
    expect(await transship(['copy', ...places(), '--no-clobber'])).toMatchObject({code: 0});
    expect(await tagsThere()).toMatchObject({a: theirs, b: expect.any(String)});
    // One image, whose tag stays, is no failure either.
    const [from, to] = places();
    const one = await transship(['copy', `${from}:a`, to, '--no-clobber']);
    expect(one).toMatchObject({code: 0, stderr: ''});
    expect(one.stdout).toContain('1 left out by the plan');
  });
});

test('each tag that is written costs one HEAD, and a run with nothing to do none', async () => {
  for (const tag of ['a', 'b', 'c']) await store(source, tag);
  const heads = () =>
    destination.log.entries.filter(
      ({method, kind, path}) =>
        method === 'HEAD' && kind === 'manifest' && path.startsWith(`/v2/${repository}/`),
    ).length;
  await transship(['copy', ...places()]);
  expect(heads()).toBe(3);
  destination.log.clear();
  await transship(['copy', ...places()]);
  // What planning asks.
  expect(heads()).toBe(3);
});
