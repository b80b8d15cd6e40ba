import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, type LayoutName} from '../support/fixtures.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {planTransfer, transferSeed} from '../support/plan-transfer.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {transship} from '../support/transship.ts';

let temp: TempDirectory;

beforeAll(async () => {
  temp = await tempDirectory();
});
afterAll(async () => await temp[Symbol.asyncDispose]());

async function policyFile(name: string, ...lines: readonly string[]): Promise<string> {
  const file = temp.join(name);
  await writeFile(file, ['version: 1', ...lines].join('\n'));
  return file;
}

async function planCopy(name: string, ...flags: readonly string[]) {
  return await planLayout('busybox', name, ...flags);
}

async function planLayout(layout: LayoutName, name: string, ...flags: readonly string[]) {
  const target = `oci:${temp.join(`${name} images`)}`;
  const places = [`oci:${layoutDirectory(layout)}`, target];
  const file = temp.join(`${name}.plan.json`);
  const run = await transship(['plan', 'copy', ...places, '--out', file, ...flags]);
  return {...run, file};
}

it('forbids a plan that exceeds its limits, with exit 3 and in the review', async () => {
  const policy = await policyFile('small.yaml', 'maxImages: 1', 'maxBytes: 1KiB');
  const planned = await planCopy('small', '--policy', policy, '--detailed-exitcode');
  expect(planned.code).toBe(3);
  expect(planned.stdout).toContain('Forbidden (2):\n  ! POLICY_MAX_BYTES ');
  expect(planned.stdout).toMatch(/ It cannot be applied: 2 checks forbid it\.\n/);
  expect(toldError(await transship(['apply', planned.file]))).toMatchObject({
    code: 'PLAN_FORBIDDEN',
    exit: 3,
  });
});

it('leaves a plan as it is that keeps to it', async () => {
  const policy = await policyFile('large.yaml', 'maxImages: 100', 'maxBytes: 1GiB');
  const [limited, free] = [
    await planCopy('same', '--policy', policy, '--detailed-exitcode'),
    await planCopy('same', '--detailed-exitcode'),
  ];
  expect(limited.code).toBe(2);
  expect(limited.stdout).toBe(free.stdout);
});

it('holds where a plan is applied, whoever made it', async () => {
  const policy = await policyFile('apply.yaml', 'maxImages: 1', 'maxBytes: 1KiB');
  const {file, code} = await planCopy('applied');
  expect(code).toBe(0);
  const error = toldError(await transship(['apply', file, '--policy', policy]));
  expect(error).toMatchObject({code: 'PLAN_FORBIDDEN', exit: 3});
  expect(error.message).toMatch(/^POLICY_MAX_BYTES: .*; POLICY_MAX_IMAGES: /);
  expect((await transship(['verify', file])).code).toBe(2);
  const larger = await policyFile('larger.yaml', 'maxImages: 100');
  expect((await transship(['apply', file, '--policy', larger])).code).toBe(0);
});

it('forbids a transfer, too', async () => {
  await using rig = await startRig({seed: transferSeed()});
  const policy = await policyFile('transfer.yaml', 'allowRegistries: [nowhere.example.com]');
  const {code, forbidden} = await planTransfer(rig.url, {
    args: ['--donor', 'donors/parking', '--policy', policy],
  });
  expect([code, forbidden]).toEqual([3, ['POLICY_REGISTRY']]);
});

/** What a plan forbids of the platforms of its images. */
async function refused(layout: LayoutName, platforms: string) {
  const policy = await policyFile('platforms.yaml', `requirePlatforms: [${platforms}]`);
  const flags = ['--policy', policy, '--format', 'json'];
  const {code, stdout, file} = await planLayout(layout, layout, ...flags);
  const {checks} = JSON.parse(stdout) as {checks: readonly {code: string; message: string}[]};
  const found = checks.filter((check) => check.code === 'POLICY_PLATFORM');
  const messages = found.map(({message}) => message.replace(/^.*images:| which .*$/g, ''));
  return {code, file, policy, messages};
}

describe('requirePlatforms', () => {
  it('lists the images that lack one, with exit 3', async () => {
    expect(await refused('busybox', 'linux/amd64, linux/arm64')).toMatchObject({
      code: 3,
      messages: ['1.35-amd64 is for linux/amd64, not for linux/arm64,'],
    });
  });

  it('reads the configs of images that no index lists, and only then', async () => {
    const {code, messages} = await refused('layered', 'linux/s390x');
    expect(code).toBe(3);
    expect(messages).toContain('v3 is for linux/amd64, not for linux/s390x,');
    const fit = await refused('layered', 'linux/amd64');
    expect(fit).toMatchObject({code: 0, messages: []});
    expect((await transship(['apply', fit.file, '--policy', fit.policy])).code).toBe(0);
  });

  it('reports what is unknown of a plan that was made without it', async () => {
    const policy = await policyFile('unknown.yaml', 'requirePlatforms: [linux/amd64]');
    const {file} = await planLayout('layered', 'unknown');
    const error = toldError(await transship(['apply', file, '--policy', policy]));
    expect(error).toMatchObject({code: 'PLAN_FORBIDDEN', exit: 3});
    expect(error.message).toContain('v1 is not known to be for linux/amd64');
    expect(error.hint).toContain(`plan again with --policy ${policy}`);
  });

  it.each(['helm', 'signed', 'attested', 'referrers'] as const)(
    'asks nothing of what is no image: %s',
    async (layout) => {
      expect(await refused(layout, 'linux/amd64')).toMatchObject({code: 0, messages: []});
    },
  );

  it('holds for a transfer', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const policy = await policyFile('moved.yaml', 'requirePlatforms: [linux/s390x]');
    const {code, forbidden, plan} = await planTransfer(rig.url, {
      args: ['--donor', 'donors/parking', '--policy', policy],
    });
    expect([code, new Set(forbidden)]).toEqual([3, new Set(['POLICY_PLATFORM'])]);
    expect(JSON.stringify(plan)).toContain('"platform":"linux/amd64"');
  });
});

it('that is invalid is reported with its place, and no plan is made', async () => {
  const policy = await policyFile('wrong.yaml', 'maxImage: 1', 'maxBytes: lots');
  const run = await planCopy('wrong', '--policy', policy);
  expect(run.code).toBe(64);
  expect(run.stderr).toContain(`error: ${policy} has 2 problems [POLICY_INVALID]`);
  expect(run.stderr).toContain(`${policy}:2:1: "maxImage" is not a key here: did you mean "max`);
  expect(run.stderr).toContain(`${policy}:3:11: "lots" is wrong: write a size such as 500GiB`);
  expect(toldError(await transship(['show', run.file]))).toMatchObject({code: 'FILE_UNREADABLE'});
});

it('that is not there is an error', async () => {
  const run = await planCopy('none', '--policy', temp.join('none.yaml'));
  expect(toldError(run)).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
});
