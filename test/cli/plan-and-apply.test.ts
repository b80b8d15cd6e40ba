import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';
import {copiesOf, type CopyPlan} from '../../src/model/plan.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {countByMethod, isWrite} from '../support/access-log.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const corpus = await readCorpus();
const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
let destination: DockerRegistry;
let temp: TempDirectory;
let count = 0;
/** Of the test that runs: a repository like no other, on both sides, and a plan file. */
let repository: string;
let planFile: string;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startDockerRegistry());
  destination = cleanup.use(await startDockerRegistry());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  repository = `test/r${++count}`;
  planFile = temp.join(`${count}.plan.json`);
  await pushLayout(layoutDirectory('busybox'), source.url, repository);
  await destination.forgetRequests();
  await source.forgetRequests();
});

function places(): readonly [string, string] {
  return [`${source.host}/${repository}`, `${destination.host}/${repository}`];
}

async function plan(...flags: readonly string[]) {
  return await transship(['plan', 'copy', ...places(), '--out', planFile, ...flags]);
}

/** Lets a tag point to another image of the layout. */
async function move(registry: DockerRegistry, tag: string, to: string): Promise<void> {
  const url = `${registry.url}/v2/${repository}/manifests`;
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const found = await fetch(`${url}/${to}`, {headers: {accept: type}});
  const body = await found.text();
  await fetch(`${url}/${tag}`, {method: 'PUT', body, headers: {'content-type': type}});
}

async function remove(registry: DockerRegistry, kind: 'manifests' | 'blobs', digest: string) {
  const url = `${registry.url}/v2/${repository}/${kind}/${digest}`;
  expect((await fetch(url, {method: 'DELETE'})).status).toBe(202);
}

async function writes(): Promise<number> {
  return (await destination.requests()).filter(isWrite).length;
}

const {tags} = corpus.busybox;
const digestOfTag = (tag: string): string => tags[tag]?.digest ?? '';

describe('plan', () => {
  test('changes nothing, and says by its exit code whether there is work', async () => {
    const before = await plan('--detailed-exitcode');
    expect(before).toMatchObject({code: 2, stderr: ''});
    expect(before.stdout).toContain('Plan: 3 images to copy');
    expect(before.stdout).toContain(`transship apply ${planFile}`);
    expect(await writes()).toBe(0);
    expect((await plan()).code).toBe(0);

    expect((await transship(['apply', planFile])).code).toBe(0);

    expect(await plan('--detailed-exitcode')).toMatchObject({code: 0});
  });

  test('is the same, byte for byte, for the same world', async () => {
    await plan();
    const first = await readFile(planFile, 'utf8');
    await plan('--progress', 'none');
    expect(await readFile(planFile, 'utf8')).toBe(first);
  });

  test('prints as JSON the plan that it writes', async () => {
    const {stdout} = await plan('--format', 'json');
    const printed = JSON.parse(stdout) as CopyPlan;
    expect(printed).toEqual(parsePlan(await readFile(planFile), planFile));
    const planned = Object.fromEntries(copiesOf(printed).map((step) => [step.tag, step.digest]));
    expect(planned).toEqual(
      Object.fromEntries(Object.entries(tags).map(([tag, {digest}]) => [tag, digest])),
    );
    expect((await transship(['show', planFile, '--format', 'json'])).stdout).toBe(stdout);
  });

  test.each(['text', 'markdown', 'html'])('is shown as %s as it was printed', async (format) => {
    const printed = await plan('--format', format);
    const shown = await transship(['show', planFile, '--format', format]);
    expect(printed.stdout.startsWith(shown.stdout)).toBe(true);
    // The page has what the names have in common once.
    expect(shown.stdout).toContain(
      format === 'html' ? ':1.35' : `${destination.host}/${repository}:1.35`,
    );
  });
});

describe('apply', () => {
  test('copies, a second time it makes no request that writes', async () => {
    await plan();
    const first = await transship(['apply', planFile, '--format', 'json']);
    expect(first).toMatchObject({code: 0, stderr: ''});
    const result = JSON.parse(first.stdout) as RunResult;
    expect(result.result).toBe('done');
    expect(result.blobs.copied).toBe(Object.keys(corpus.busybox.blobs).length);
    const sizes = Object.values(corpus.busybox.blobs).map(({size}) => size);
    expect(result.bytes.sent).toBe(sizes.reduce((sum, size) => sum + size, 0));
    const report = await verifyLayout(layoutDirectory('busybox'), destination.url, repository, {
      exactTags: true,
    });
    expect(report.problems).toEqual([]);
    await destination.forgetRequests();
    await source.forgetRequests();

    const second = await transship(['apply', planFile]);

    expect(second.code).toBe(0);
    expect(second.stdout).toContain('0 images copied (0 B in 0 blobs)');
    const asked = (await destination.requests()).filter(({path}) => path !== '/v2/');
    expect(countByMethod(asked)).toEqual({GET: 1, HEAD: 3});
    expect(await source.requests()).toEqual([]);
  });

  test('ends with 4 and writes nothing where a tag of the source moved', async () => {
    await plan();
    await move(source, 'latest', '1.35-amd64');

    const run = await transship(['apply', planFile]);

    expect(run.code).toBe(4);
    expect(run.stdout).toContain(`${source.host}/${repository}:latest`);
    expect(run.stdout).toContain(digestOfTag('latest').slice(0, 19));
    expect(run.stdout).toContain(digestOfTag('1.35-amd64').slice(0, 19));
    expect(await writes()).toBe(0);
  });

  test('ends with 4 and writes nothing if a tag of the source was deleted', async () => {
    await plan('--tag', '1.35-amd64');
    await remove(source, 'manifests', digestOfTag('1.35-amd64'));
    const run = await transship(['apply', planFile, '--format', 'json']);
    expect(run.code).toBe(4);
    expect((JSON.parse(run.stdout) as RunResult).drift).toEqual([
      {
        side: 'source',
        repository: `${source.host}/${repository}`,
        tag: '1.35-amd64',
        planned: digestOfTag('1.35-amd64'),
        actual: null,
      },
    ]);
    expect(await writes()).toBe(0);
  });

  test('ends with 4 if a planned tag was pushed to the destination', async () => {
    await plan();
    await pushLayout(layoutDirectory('busybox-docker'), destination.url, repository, {
      tags: ['latest'],
    });
    await destination.forgetRequests();
    const run = await transship(['apply', planFile]);
    expect(run.code).toBe(4);
    expect(run.stdout).toContain(`${destination.host}/${repository}:latest`);
    expect(await writes()).toBe(0);
  });

  test('counts existing content as present, also if it ends with 4', async () => {
    await plan();
    await pushLayout(layoutDirectory('busybox'), destination.url, repository, {tags: ['1.35']});
    await move(source, 'latest', '1.35-amd64');
    const run = await transship(['apply', planFile, '--format', 'json']);
    expect(run.code).toBe(4);
    const {steps} = JSON.parse(run.stdout) as RunResult;
    expect(steps.filter(({outcome}) => outcome === 'present')).toHaveLength(1);
    expect((await transship(['apply', planFile])).stdout).toContain('1 already there');
  });

  test('completes what another run, or client, has done in part', async () => {
    await plan();
    await pushLayout(layoutDirectory('busybox'), destination.url, repository, {tags: ['latest']});
    await destination.forgetRequests();
    const run = await transship(['apply', planFile, '--format', 'json']);
    expect(run.code).toBe(0);
    const outcomes = (JSON.parse(run.stdout) as RunResult).steps.map(({outcome}) => outcome);
    expect(outcomes.sort()).toEqual(['done', 'done', 'present']);
  });
});

describe('verify', () => {
  test('names an edited tag with both digests, and a lost blob', async () => {
    await plan();
    await transship(['apply', planFile]);
    expect(await transship(['verify', planFile])).toMatchObject({code: 0, stderr: ''});
    await move(destination, 'latest', '1.35-amd64');
    const [blob = ''] = Object.keys(corpus.busybox.blobs);
    await remove(destination, 'blobs', blob);

    const text = await transship(['verify', planFile]);
    const json = await transship(['verify', planFile, '--format', 'json']);

    expect([text.code, json.code]).toEqual([2, 2]);
    expect(text.stdout).toContain(`${destination.host}/${repository}:latest`);
    expect(text.stdout).toContain(digestOfTag('latest').slice(0, 19));
    expect(text.stdout).toContain(digestOfTag('1.35-amd64').slice(0, 19));
    const where = {repository: `${destination.host}/${repository}`};
    expect((JSON.parse(json.stdout) as VerifyResult).differences).toEqual([
      {
        ...where,
        what: 'tag',
        tag: 'latest',
        digest: digestOfTag('latest'),
        actual: digestOfTag('1.35-amd64'),
      },
      {...where, what: 'blob', digest: blob, actual: null},
    ]);
  });

  test('before anything was applied, everything differs', async () => {
    await plan();
    const {code, stdout} = await transship(['verify', planFile, '--format', 'json']);
    expect(code).toBe(2);
    const {checked, differences} = JSON.parse(stdout) as VerifyResult;
    expect(differences).toHaveLength(checked.tags + checked.manifests + checked.blobs);
  });
});

test('status reads the progress of a plan from the journal only', async () => {
  await plan();
  const status = async () =>
    JSON.parse((await transship(['status', planFile, '--format', 'json'])).stdout) as StatusResult;
  expect(await status()).toMatchObject({steps: {done: 0, left: 3, total: 3}, bytes: {done: 0}});
  await transship(['apply', planFile]);
  await destination.forgetRequests();

  const after = await status();

  expect(after).toMatchObject({steps: {done: 3, left: 0, failed: 0, total: 3}, ended: 'done'});
  expect(after.bytes.done).toBe(after.bytes.total);
  expect(await destination.requests()).toEqual([]);
  const text = await transship(['status', planFile]);
  expect(text).toMatchObject({code: 0, stderr: ''});
});

test('status names what failed, why, and what to do about it', async () => {
  await plan('--tag', '1.35-amd64');
  const planned = parsePlan(await readFile(planFile), planFile) as CopyPlan;
  const [step] = copiesOf(planned);
  const [blob] = planned.blobs.toSorted((a, b) => b.size - a.size);
  await remove(source, 'blobs', blob?.digest ?? '');
  expect((await transship(['apply', planFile])).code).toBe(1);

  const {stdout} = await transship(['status', planFile, '--format', 'json']);

  expect(JSON.parse(stdout)).toMatchObject({
    steps: {failed: 1, total: 1},
    failures: [
      {
        id: step?.id,
        image: `${step?.to}:1.35-amd64`,
        error: {code: 'BLOB_NOT_FOUND', side: 'source'},
      },
    ],
  });
  const text = await transship(['status', planFile]);
  expect(text.stdout).toMatch(
    /^Failed \(1\):\n {2}! \S+:1\.35-amd64 {2}BLOB_NOT_FOUND .*\n {6}\S/m,
  );
});
