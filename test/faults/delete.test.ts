import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {renderRun} from '../../src/report/run-document.ts';
import {CopyRig, scriptOf} from '../support/copy-rig.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let rig: CopyRig;
let temp: TempDirectory;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  rig = cleanup.use(await CopyRig.start());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}` as RepositoryPath;
});

const TAGS = ['a', 'b', 'c'];

async function planned(): Promise<CopyPlan> {
  for (const tag of TAGS) await storeImage(rig.source.storage, repository, tag, [someBytes(64)]);
  const file = temp.join(`${count}.plan.json`);
  const places = [`${rig.source.host}/${repository}`, `${rig.destination.host}/${repository}`];
  const made = await transship(['plan', 'copy', ...places, '--delete-source', '--out', file]);
  expect(made.code).toBe(0);
  return parsePlan(await readFile(file), file) as CopyPlan;
}

const left = async () => (await rig.source.storage.manifests.tags(repository)).toSorted();
const outcomes = ({steps}: {steps: readonly {readonly id: string; readonly outcome: string}[]}) =>
  steps.filter(({id}) => id.startsWith('delete:')).map(({outcome}) => outcome);
const onDelete = (fault: FaultRuleInput['fault'], skip: number, times = 1): FaultRuleInput => ({
  method: 'DELETE',
  about: 'manifest',
  skip,
  times,
  fault,
});

describe('a registry that says that it deletes', () => {
  test('and keeps the tag, is asked once, and nothing more is deleted', async () => {
    const plan = await planned();
    const keeps = {kind: 'answer', status: 202} as const;
    // The first request asks whether tags can be deleted at all.
    const source = scriptOf([onDelete(keeps, 1, 100)]);
    const run = await rig.apply(plan, {source, patience: {everyMs: 1, limitMs: 3}});
    expect(run.result).toBe('failed');
    expect(outcomes(run)).toEqual(['failed', 'blocked', 'blocked']);
    const errors = run.steps.flatMap(({error}) => error?.code ?? []);
    expect(errors).toEqual(Array(3).fill('REPOSITORY_DELETE_FAILED'));
    expect(await left()).toEqual(TAGS);
    const told = renderRun(run, plan, 'text');
    expect(told).toContain(
      'Failed: 1 of 3 deletions failed, 0 of 3 images failed, 0 left; 3 images copied',
    );
    expect(told).toContain('0 tags deleted, 3 not deleted.');
    expect(told).toContain(`${repository}:a (to be deleted)`);
  });

  test('and does so later, is waited for', async () => {
    const plan = await planned();
    const later = {kind: 'answer', status: 202} as const;
    const {manifests} = rig.source.storage;
    let waits = 0;
    const patience = {
      /** Asked for before each pause: the tag goes while it is waited for. */
      get everyMs() {
        if (++waits === 3) void manifests.untag(repository, 'a' as Tag);
        return 1;
      },
      limitMs: 1000,
    };
    const run = await rig.apply(plan, {source: scriptOf([onDelete(later, 1)]), patience});
    expect(run.result).toBe('done');
    expect(waits).toBeGreaterThanOrEqual(3);
    expect(await left()).toEqual([]);
  });

  test.each([['reset'], ['lose-answer']] as const)('is asked again after %s', async (kind) => {
    const plan = await planned();
    const run = await rig.apply(plan, {source: scriptOf([onDelete({kind}, 1, 2)])});
    expect(run.result).toBe('done');
    expect(await left()).toEqual([]);
    expect(await rig.problems()).toEqual([]);
  });
});

describe('a run that is killed', () => {
  test.each([0, 1, 2])('at deletion %i is completed by the next one', async (at) => {
    const plan = await planned();
    const killed = new AbortController();
    const first = rig.apply(plan, {
      source: scriptOf([onDelete({kind: 'lose-answer'}, at + 1)]),
      aborted: killed.signal,
      report: (event) => {
        if (event.type === 'retrying') killed.abort(new Error('killed'));
      },
    });
    await first.catch(() => undefined);
    const second = await rig.apply(plan);
    expect(second.result).toBe('done');
    expect(await left()).toEqual([]);
    expect(await rig.destination.storage.manifests.tags(repository)).toHaveLength(3);
    expect(await rig.problems()).toEqual([]);
    const third = await rig.apply(plan);
    expect(outcomes(third)).toEqual(['present', 'present', 'present']);
  });
});
