import {writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {Job} from 'kubernetes-models/batch/v1/Job';
import {ConfigMap} from 'kubernetes-models/v1/ConfigMap';
import {expect, test} from 'vitest';
import {parseAllDocuments} from 'yaml';
import type {Plan} from '../../src/model/plan.ts';
import {kubernetesJobs, type KubernetesOptions} from '../../src/pipeline/kubernetes-jobs.ts';
import {serializePlan} from '../../src/plan/plan-file.ts';
import {plansOfAllKinds} from '../support/pipeline-plans.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const OPTIONS: KubernetesOptions = {
  planFile: 'plans/Acme & co.plan.json',
  parallel: 4,
  madeBy: 'transship pipeline',
  image: 'registry.example.com/transship:1',
  planText: '{}\n',
  secret: 'transship',
  claim: 'transship',
};

type Job1 = ConstructorParameters<typeof Job>[0];
type Map1 = ConstructorParameters<typeof ConfigMap>[0];
type Manifest =
  | ({readonly kind: 'ConfigMap'; readonly metadata: {readonly name: string}} & Map1)
  | ({readonly kind: 'Job'; readonly metadata: {readonly name: string}} & Job1);

function objectsOf(plan: Plan, more: Partial<KubernetesOptions> = {}): readonly Manifest[] {
  const {text} = kubernetesJobs(plan, {...OPTIONS, ...more});
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

const jobsOf = (plan: Plan): readonly Job1[] =>
  objectsOf(plan).flatMap((object) => (object.kind === 'Job' ? [object] : []));

const plans = plansOfAllKinds();

test.each(Object.keys(plans))(
  "a plan that is %s gives objects that Kubernetes' schemas accept",
  async (kind) => {
    const plan = plans[kind as keyof typeof plans];
    const objects = objectsOf(plan, {planText: serializePlan(plan)});
    for (const object of objects) {
      if (object.kind === 'Job') new Job(object).validate();
      else new ConfigMap(object).validate();
      expect(object.metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
      // The hostname of a pod is the name of its job with the index.
      expect(object.metadata.name.length).toBeLessThan(58);
    }
    // The schemas take fields that they do not know; the types of the same package do not.
    await using temp = await tempDirectory();
    const file = temp.join('objects.ts');
    // Whatever directory it is in: types without an ending are found from CommonJS.
    await writeFile(temp.join('package.json'), '{}');
    const lines = objects.map(({kind: type, ...rest}, at) => {
      const json = JSON.stringify({...rest, kind: type});
      return `export const object${at}: I${type} = ${json};`;
    });
    const types = `${ROOT}node_modules/kubernetes-models`;
    const head = `import type {IJob} from '${types}/batch/v1/Job';\nimport type {IConfigMap} from '${types}/v1/ConfigMap';\n`;
    await writeFile(file, `${head}${lines.join('\n')}\n`);
    const tsc = [
      `${ROOT}node_modules/typescript/bin/tsc`,
      '--noEmit',
      '--strict',
      '--skipLibCheck',
    ];
    const modules = ['--module', 'nodenext', '--ignoreConfig', file];
    const checked = await runProgram(process.execPath, [...tsc, ...modules]);
    expect(checked).toMatchObject({code: 0, stdout: ''});
  },
);

test('an index is a shard, and a phase is a job that waits to be resumed', () => {
  const [create, copy, verify, remove, ...others] = jobsOf(
    plans['a copy that creates and deletes'],
  );
  expect(others).toEqual([]);
  expect([create, copy, verify, remove].map((job) => job?.spec?.suspend)).toEqual([
    undefined,
    true,
    true,
    true,
  ]);
  expect([create, copy, verify, remove].map((job) => job?.spec?.completions)).toEqual([1, 4, 4, 1]);
  expect(copy?.spec).toMatchObject({completionMode: 'Indexed', backoffLimitPerIndex: 3});
  const container = copy?.spec?.template.spec?.containers[0];
  expect(container?.env).toContainEqual({name: 'TRANSSHIP_SHARDS', value: '4'});
  expect(container?.args).toEqual(expect.arrayContaining(['--phase', 'copy', '--journal']));
});

test('the job that moves projects is suspended', () => {
  expect(jobsOf(plans['a transfer']).map((job) => job?.spec?.suspend)).toEqual([true, true]);
  const {text} = kubernetesJobs(plans['a transfer'], OPTIONS);
  expect(text).toMatch(/# To move the projects of the plan: kubectl patch job\/\S+-transfer /);
});

test('a plan that is too large for a ConfigMap is taken from the volume', () => {
  const planText = 'x'.repeat(1_100_000);
  const {text, isPlanOnClaim} = kubernetesJobs(plans['a copy'], {...OPTIONS, planText});
  expect(isPlanOnClaim).toBe(true);
  expect(text).not.toContain('ConfigMap');
  expect(text).toMatch(/- \/journals\/acme-co-[0-9a-f]{8}\.plan\.json/);
});

test('names that Kubernetes does not take are refused', () => {
  expect(() => kubernetesJobs(plans['a copy'], {...OPTIONS, secret: 'My Secret'})).toThrow(
    /--secret is "My Secret"/,
  );
});
