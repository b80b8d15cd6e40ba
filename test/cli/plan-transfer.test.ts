import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {gaps} from '../../src/sandbox/gitlab/event-log.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {planTransfer, transferSeed} from '../support/plan-transfer.ts';
import {tempDirectory} from '../support/temp.ts';
import {STAGED} from '../support/transfer-facts.ts';
import {transship} from '../support/transship.ts';

describe.each(['legacy', 'metadata-db'] as const)('plan transfer, %s', (mode) => {
  it('plans by way of a donor project, and touches nothing but a tag there', async () => {
    await using rig = await startRig({mode, seed: transferSeed()});
    const before = await rig.sandbox.storage.repositories();
    const {code, plan, steps, forbidden, proved} = await planTransfer(rig.url);
    expect({code, forbidden, steps}).toEqual({code: 0, forbidden: [], steps: STAGED});
    expect(plan?.totals).toMatchObject({bytes: 0, blobs: {copy: 0}});
    expect(plan?.repositories.map(({from, donor, to}) => [from, donor, to])).toEqual(
      [
        [
          `${rig.host}/org/build/app`,
          `${rig.host}/donors/parking/p12`,
          `${rig.host}/new_org/build/app`,
        ],
        [
          `${rig.host}/org/build/app/tools/lint`,
          `${rig.host}/donors/parking/p12/tools__lint`,
          `${rig.host}/new_org/build/app/tools/lint`,
        ],
      ].map((names) => names.map((name) => name.replace('p12', `p${plan?.project.id}`))),
    );
    expect(proved).toEqual(
      expect.arrayContaining([
        'PROJECT_READY',
        'TARGET_FREE',
        'TOKEN_READY',
        'REGISTRY_READY',
        'DELETE_READY',
        'RULES_READY',
      ]),
    );
    const writes = rig.sandbox.log.entries.filter(
      ({method, path}) => !['GET', 'HEAD'].includes(method) && !path.includes('donors/parking/'),
    );
    // Deleting a tag that nobody has tells whether deletions are taken.
    expect(writes.map(({method, status}) => `${method} ${status}`)).toEqual(['DELETE 404']);
    // The image that comes and goes at the donor is one that stays at the old path.
    expect(gaps(rig.sandbox.events.events)).toEqual([]);
    const after = await rig.sandbox.storage.repositories();
    expect(after.filter((path) => !path.startsWith('donors/'))).toEqual(before);
  });

  it('plans by way of a directory', async () => {
    await using rig = await startRig({mode, seed: transferSeed()});
    await using home = await tempDirectory();
    const {code, plan, proved} = await planTransfer(rig.url, {args: ['--donor', home.path]});
    expect(code).toBe(0);
    expect(plan?.donor).toEqual({kind: 'directory', path: home.path});
    expect(plan?.repositories.map(({donor}) => donor)).toEqual([
      `oci:${join(home.path, 'app')}`,
      `oci:${join(home.path, 'app.tools__lint')}`,
    ]);
    expect(plan?.totals.bytes).toBeGreaterThan(1e6);
    expect(proved).toContain('DONOR_READY');
    expect(rig.sandbox.log.entries.some(({path}) => path.includes('donors'))).toBe(false);
  });
});

describe('plan transfer', () => {
  it('leaves images to a registry that can move them', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const native = await planTransfer(rig.url, {to: 'org/other/'});
    expect(native).toMatchObject({code: 0, plan: {way: 'native'}});
    expect(native.steps).toEqual(['change-namespace', 'verify-target']);
    const staged = await planTransfer(rig.url, {
      to: 'org/other/',
      args: ['--staged', '--donor', 'donors/parking'],
    });
    expect(staged.steps).toEqual(STAGED);
  });

  it('moves a project without images as it is', async () => {
    await using rig = await startRig({seed: transferSeed({images: []})});
    const {code, plan, steps} = await planTransfer(rig.url, {to: 'new_org/build/tool'});
    expect([code, plan?.way]).toEqual([0, 'empty']);
    expect(steps).toEqual(['change-namespace', 'change-path']);
  });

  it('says with its exit code whether there is something to do', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const args = ['--donor', 'donors/parking', '--detailed-exitcode'];
    expect((await planTransfer(rig.url, {args})).code).toBe(2);
    const there = await planTransfer(rig.url, {to: 'org/build/app', args});
    expect(there).toMatchObject({code: 0, steps: [], warned: ['ALREADY_THERE']});
  });

  it('writes a plan that can be shown in every form, and that holds no secret', async () => {
    await using rig = await startRig({seed: transferSeed()});
    await using home = await tempDirectory();
    const [file, tokenFile] = [join(home.path, 'move.plan.json'), join(home.path, 'token')];
    await writeFile(tokenFile, 'ada-api\n');
    const args = ['--donor', 'donors/parking', '--out', file, '--token-file', tokenFile];
    const {plan} = await planTransfer(rig.url, {token: 'wrong', args});
    for (const format of ['text', 'markdown', 'html', 'json']) {
      const shown = await transship(['show', file, '--format', format, '--all']);
      expect(shown.code).toBe(0);
      expect(shown.stdout).not.toContain('ada-api');
      for (const step of plan?.steps ?? []) expect(shown.stdout).toContain(step.id);
      // The page has what the names have in common once.
      const image = format === 'html' ? 'tools/lint' : 'org/build/app/tools/lint';
      expect(shown.stdout).toContain(image);
    }
  });

  it('creates no record at paths that are not written', async () => {
    await using rig = await startRig({seed: transferSeed()});
    await planTransfer(rig.url);
    const tokens = rig.sandbox.log.entries.filter(({path}) => path.startsWith('/jwt/auth'));
    const pushed = tokens.filter(({path}) => decodeURIComponent(path).includes('push'));
    expect(pushed.length).toBeGreaterThan(0);
    for (const {path} of pushed) expect(decodeURIComponent(path)).not.toContain('new_org');
  });

  it.each([
    ['none', [], {}],
    ['no token', ['--gitlab', 'http://127.0.0.1:9'], {}],
    ['a token of two lines', ['--gitlab', 'http://127.0.0.1:9'], {GITLAB_TOKEN: 'a\nb'}],
    ['a host without TLS', ['--gitlab', 'http://gitlab.test'], {GITLAB_TOKEN: 'a'}],
    ['no namespace', ['--gitlab', 'http://127.0.0.1:9', '--to', '/'], {GITLAB_TOKEN: 'a'}],
  ])('is wrong usage with %s', async (_what, args, env) => {
    const given = args.includes('--to') ? args : [...args, '--to', 'x/y'];
    const {code} = await transship(['plan', 'transfer', 'a/b', ...given], {env});
    expect(code).toBe(64);
  });
});
