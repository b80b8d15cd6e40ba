import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const SEED = {
  users: [{name: 'ada'}],
  groups: [
    {path: 'org/build', members: {ada: 'owner' as const}},
    {path: 'new_org/build', members: {ada: 'owner' as const}},
  ],
  projects: [
    {
      path: 'org/build/app',
      images: [{name: 'cr', layout: layoutDirectory('attested'), ref: '1.0', tag: 'v2.9.1'}],
    },
  ],
  tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
};

const run = (...args: readonly string[]) => transship(args, {env: {GITLAB_TOKEN: 'ada-api'}});

/** A transfer that is planned. */
async function planned() {
  await using parts = new AsyncDisposableStack();
  const rig = parts.use(await startRig({mode: 'legacy', seed: SEED}));
  const directory = parts.use(await tempDirectory());
  const file = directory.join('move.plan.json');
  const wish = `plan transfer org/build/app --to new_org/build/ --gitlab ${rig.url}`;
  const plan = await run(...wish.split(' '), '--donor', directory.join('donor'), '--out', file);
  expect(plan).toMatchObject({code: 0});
  const own = parts.move();
  return {rig, file, [Symbol.asyncDispose]: () => own.disposeAsync()};
}

test('a transfer is applied, followed and compared from the command line', async () => {
  await using at = await planned();
  const {file} = at;
  const applied = await run('apply', file, '--yes', '--format', 'json');
  expect(applied.code).toBe(0);
  expect((JSON.parse(applied.stdout) as RunResult).result).toBe('done');
  const status = JSON.parse((await run('status', file, '--format', 'json')).stdout) as StatusResult;
  expect(status).toMatchObject({unit: 'step', ended: 'done', steps: {failed: 0, left: 0}});
  for (const place of [[], ['--donor']]) {
    const verified = await run('verify', file, '--format', 'json', ...place);
    expect(verified.code).toBe(0);
    expect((JSON.parse(verified.stdout) as VerifyResult).checked.tags).toBe(1);
  }
  const again = await run('apply', file);
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('Done: moved org/build/app to new_org/build/app (1 tag)');
});

test('without --yes and without a terminal, nothing is done: exit 64', async () => {
  await using at = await planned();
  const {length} = at.rig.sandbox.events.events;
  const applied = await run('apply', at.file);
  expect(applied.code).toBe(64);
  expect(applied.stderr).toContain('--yes');
  expect(at.rig.sandbox.events.events).toHaveLength(length);
});

test('a transfer that stopped half-way is rolled back', async () => {
  await using at = await planned();
  at.rig.sandbox.switches.readOnly = true;
  const applied = await run('apply', at.file, '--yes');
  expect(applied.code).toBe(1);
  expect(applied.stdout).toContain('UNSUPPORTED_BY_REGISTRY');
  at.rig.sandbox.switches.readOnly = false;
  const back = await run('rollback', at.file);
  expect(back).toMatchObject({code: 0});
  expect(back.stdout).toContain('1 tag of org/build/app is as before');
  const status = await run('status', at.file);
  expect(status.stdout).toContain('0 of 8 steps done');
});

test('once the project has moved, it is moved back with its images', async () => {
  await using at = await planned();
  await run('apply', at.file, '--yes');
  const {length} = at.rig.sandbox.events.events;
  const asked = await run('rollback', at.file);
  expect([asked.code, at.rig.sandbox.events.events.length]).toEqual([64, length]);
  const back = await run('rollback', at.file, '--yes');
  expect(back).toMatchObject({code: 0});
  expect(back.stdout).toContain('1 tag of org/build/app is as before');
  const verified = await run('verify', at.file);
  expect(verified.stdout).toContain('the project is still at its old path, where 1 tag');
  expect((await run('apply', at.file, '--yes')).code).toBe(0);
  expect((await run('verify', at.file)).code).toBe(0);
});

test('rolling back is for plans of transfers', async () => {
  await using directory = await tempDirectory();
  const file = directory.join('no.plan.json');
  await writeFile(file, '{}');
  expect((await transship(['rollback', file])).code).toBe(64);
});

test.each(['apply', 'rollback', 'verify'])(
  '%s with nothing but the token of a job says which token it takes',
  async (command) => {
    await using at = await planned();
    const {length} = at.rig.sandbox.events.events;
    const env = {CI_JOB_TOKEN: 'app-job', CI_SERVER_URL: at.rig.sandbox.url};
    const {code, stderr} = await transship([command, at.file], {env});
    expect([code, at.rig.sandbox.events.events.length]).toEqual([3, length]);
    expect(stderr).toContain('[TOKEN_SCOPE_MISSING]');
    expect(stderr).toContain('GITLAB_TOKEN');
  },
);
