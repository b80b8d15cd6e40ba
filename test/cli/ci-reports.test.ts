import {readFile, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {refusal} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const LAYER = [Buffer.from('a layer')];

/** Attributes and content of each test case: what GitLab reads. */
function testCases(xml: string) {
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)].map(
    ([, attributes = '', content = '']) => ({
      name: /\bname="([^"]*)"/.exec(attributes)?.[1],
      classname: /classname="([^"]*)"/.exec(attributes)?.[1],
      isTimed: /time="\d+\.\d{3}"/.test(attributes),
      content,
    }),
  );
}

test('each image is a test case, and a failure has its code and its hint', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox({
    intercept: async (exchange, next) => {
      const {route, method} = exchange;
      if (route.kind === 'manifest' && method === 'PUT' && route.reference === 'bad')
        throw refusal(400, 'MANIFEST_INVALID', 'not <this> "one" & \u001b[31m');
      return await next();
    },
  });
  await using temp = await tempDirectory();
  for (const tag of ['good', 'bad'])
    await storeImage(source.storage, 'app' as RepositoryPath, tag, LAYER);
  const [junit, dotenv] = [temp.join('report.xml'), temp.join('run.env')];
  const to = `${destination.host}/x/app`;
  const run = await transship([
    'copy',
    `${source.host}/app`,
    to,
    '--no-cache',
    '--junit',
    junit,
    '--dotenv',
    dotenv,
  ]);
  expect(run.code).toBe(1);
  const xml = await readFile(junit, 'utf8');
  expect(xml).toContain('<testsuites name="transship" tests="2" failures="1" skipped="0">');
  const [bad, good] = testCases(xml);
  expect(good).toEqual({name: `${to}:good`, classname: to, isTimed: true, content: ''});
  expect(bad).toMatchObject({name: `${to}:bad`, classname: to, isTimed: true});
  expect(bad?.content).toMatch(/^<failure type="[A-Z_]+" message="[A-Z_]+: /);
  expect(bad?.content).toContain('not &lt;this&gt; &quot;one&quot; &amp;');
  expect(bad?.content).toContain('hint: ');
  expect(xml).not.toMatch(/[^\P{Cc}\n]/u);
  expect((await readFile(dotenv, 'utf8')).split('\n')).toEqual([
    expect.stringMatching(/^TRANSSHIP_PLAN=sha256:[0-9a-f]{64}$/),
    'TRANSSHIP_RESULT=failed',
    'TRANSSHIP_STEPS=2',
    'TRANSSHIP_STEPS_DONE=1',
    'TRANSSHIP_STEPS_FAILED=1',
    'TRANSSHIP_STEPS_LEFT=0',
    expect.stringMatching(/^TRANSSHIP_BYTES_SENT=\d+$/),
    '',
  ]);
});

test('drift is a failure; steps that were not started are skipped', async () => {
  await using source = await startSandbox();
  await using temp = await tempDirectory();
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', LAYER);
  const plan = temp.join('app.plan.json');
  const ends = [`${source.host}/app`, `${source.host}/copy`];
  await transship(['plan', 'copy', ...ends, '--no-cache', '--out', plan]);
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('another')]);
  const junit = temp.join('report.xml');
  expect((await transship(['apply', plan, '--junit', junit])).code).toBe(4);
  const [step, drift] = testCases(await readFile(junit, 'utf8'));
  expect(step?.content).toContain('<skipped type="not-started"');
  expect(drift?.name).toBe(`${source.host}/app:v1 is as planned`);
  expect(drift?.content).toContain('<failure type="DRIFT"');
});

test('a plan of one job is applied by another, days later: what changed meanwhile is drift', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  await using temp = await tempDirectory();
  const put = (tag: string, layer: string) =>
    storeImage(source.storage, 'app' as RepositoryPath, tag, [Buffer.from(layer)]);
  await put('v1', 'one');
  await put('v2', 'two');
  const ends = [`${source.host}/app`, `${destination.host}/app`];
  const job = (name: string) => ({home: temp.join(name), env: {CI: 'true', GITLAB_CI: 'true'}});
  const made = temp.join('made.plan.json');
  const plan = ['plan', 'copy', ...ends, '--detailed-exitcode', '--out'];
  expect((await transship([...plan, made], job('plan'))).code).toBe(2);
  // All that the other machine gets is the artifact.
  const [first, later] = [temp.join('first.plan.json'), temp.join('later.plan.json')];
  await writeFile(first, await readFile(made));
  await put('v2', 'pushed meanwhile');
  const [junit, dotenv] = [temp.join('report.xml'), temp.join('run.env')];
  const reports = ['--junit', junit, '--dotenv', dotenv];
  const drifted = await transship(['apply', first, ...reports], job('apply'));
  expect(drifted.code).toBe(4);
  expect(await readFile(dotenv, 'utf8')).toContain('TRANSSHIP_RESULT=drift\n');
  const failures = testCases(await readFile(junit, 'utf8')).filter(({content}) =>
    content.includes('<failure type="DRIFT"'),
  );
  expect(failures.map(({name}) => name)).toEqual([`${source.host}/app:v2 is as planned`]);
  expect(await destination.storage.manifests.tags('app' as RepositoryPath)).toEqual([]);
  expect((await transship([...plan, later], job('plan again'))).code).toBe(2);
  expect((await transship(['apply', later], job('apply again'))).code).toBe(0);
  expect([...(await destination.storage.manifests.tags('app' as RepositoryPath))]).toEqual(
    expect.arrayContaining(['v1', 'v2']),
  );
});

test('a report that cannot be written is an error, after the result was printed', async () => {
  await using source = await startSandbox();
  await using temp = await tempDirectory();
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', LAYER);
  const run = await transship([
    'copy',
    `${source.host}/app`,
    `${source.host}/b`,
    '--no-cache',
    '--junit',
    temp.join('no/report.xml'),
  ]);
  expect(run.code).toBe(1);
  expect(run.stdout).toContain('Done: 1 image copied');
  expect(run.stderr).toContain('[FILE_WRITE_FAILED]');
});
