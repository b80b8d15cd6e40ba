import {afterAll, describe, expect, test} from 'vitest';
import {parse} from 'yaml';
import type {Plan} from '../../src/model/plan.ts';
import {gitlabPipeline} from '../../src/pipeline/gitlab-pipeline.ts';
import {ciProject} from '../support/gitlab-ci-local.ts';
import {plansOfAllKinds} from '../support/pipeline-plans.ts';

const OPTIONS = {
  planFile: 'plans/acme.plan.json',
  parallel: 4,
  madeBy: 'transship pipeline plans/acme.plan.json --parallel 4',
  command: 'transship',
  planJob: 'plan',
};

interface Job {
  readonly stage: string;
  readonly script: readonly string[];
  readonly parallel?: number;
  readonly when?: string;
  readonly timeout?: string;
  readonly needs?: readonly {readonly job: string; readonly pipeline?: string}[];
}
type Pipeline = Readonly<Record<string, Job>> & {readonly stages: readonly string[]};

const pipelineOf = (plan: Plan, more: Partial<typeof OPTIONS> = {}): Pipeline =>
  parse(gitlabPipeline(plan, {...OPTIONS, ...more})) as Pipeline;

const minutes = (of: Pipeline) => Number.parseInt(of['copy']?.timeout ?? '', 10);

const plans = plansOfAllKinds();

const fileOf = (kind: string) => `${kind.replaceAll(' ', '-')}.yml`;

describe("what GitLab's schema says of a pipeline", async () => {
  const broken = gitlabPipeline(plans['a copy'], OPTIONS).replace(/max: 2/, 'max: 9');
  const kinds = Object.entries(plans);
  const image = 'registry.example.com/transship:1';
  const project = await ciProject({
    'broken.yml': broken,
    ...Object.fromEntries(
      kinds.map(([kind, plan]) => [fileOf(kind), gitlabPipeline(plan, {...OPTIONS, image})]),
    ),
  });
  afterAll(() => project[Symbol.asyncDispose]());

  test.each(Object.keys(plans))('of a plan that is %s, it is accepted', async (kind) => {
    const listed = await project.run(['--file', fileOf(kind), '--list']);
    expect({code: listed.code, stderr: listed.stderr}).toMatchObject({code: 0});
    expect(listed.stderr).toContain('json schema validated');
  });

  test('with more retries than GitLab makes, it is refused', async () => {
    const refused = await project.run(['--file', 'broken.yml', '--list']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('retry');
  });
});

test('each phase waits for the one before', () => {
  const pipeline = pipelineOf(plans['a copy that creates and deletes']);
  expect(pipeline.stages).toEqual(['create', 'copy', 'verify', 'delete']);
  const waitsFor = (name: string) =>
    pipeline[name]?.needs?.flatMap(({job, pipeline: of}) => (of === undefined ? [job] : []));
  expect(waitsFor('create')).toEqual([]);
  expect(waitsFor('copy')).toEqual(['create']);
  expect(waitsFor('verify')).toEqual(['copy']);
  expect(waitsFor('delete')).toEqual(['verify']);
  expect([pipeline['copy']?.parallel, pipeline['delete']?.parallel]).toEqual([4, undefined]);
  expect([pipeline['copy']?.when, pipeline['delete']?.when]).toEqual([undefined, 'manual']);
  expect(pipeline['delete']?.script[0]).toContain('--phase delete --yes --max-deletes 1 ');
});

test('projects are moved by a manual job', () => {
  const pipeline = pipelineOf(plans['a transfer']);
  expect(pipeline.stages).toEqual(['approve', 'transfer', 'verify']);
  expect(pipeline['approve']).toMatchObject({when: 'manual', allow_failure: false});
  expect(pipeline['transfer']?.needs).toContainEqual({job: 'approve'});
});

test('a job has as much time as its shard needs, and a run ends before it is over', () => {
  const small = pipelineOf(plans['a copy']);
  expect(small['copy']?.timeout).toBe('60 minutes');
  expect(small['copy']?.script[0]).toContain('--max-duration 50m');
  const {'a copy': plan} = plans;
  const large: Plan = {
    ...plan,
    blobs: plan.blobs.map((blob) => ({...blob, size: blob.size + 2 * 2 ** 30})),
  };
  expect(minutes(pipelineOf(large))).toBeGreaterThan(60);
  expect(minutes(pipelineOf(large, {parallel: 16}))).toBeLessThan(minutes(pipelineOf(large)));
});

test('words that a shell would split are quoted', () => {
  const pipeline = pipelineOf(plans['a copy'], {planFile: "plans/it's $HOME.plan.json"});
  expect(pipeline['verify']?.script[0]).toContain(`'plans/it'\\''s $HOME.plan.json'`);
});
