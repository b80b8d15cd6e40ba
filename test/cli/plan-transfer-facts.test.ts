import {describe, expect, it} from 'vitest';
import {type Intercept, jsonReply, type Reply} from '../../src/sandbox/exchange.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {planTransfer, transferSeed} from '../support/plan-transfer.ts';

/** Answers of GitLab's API or of its registry, changed on their way. */
function changed(
  isMeant: (method: string, path: string) => boolean,
  change: (reply: Reply) => Reply,
): Intercept {
  return async ({method, path}, next) => {
    const reply = await next();
    return isMeant(method, path) ? change(reply) : reply;
  };
}

function withHeaders(headers: Reply['headers']): (reply: Reply) => Reply {
  return (reply) => ({...reply, headers: {...reply.headers, ...headers}});
}

function withJson(change: (json: Record<string, unknown>[]) => unknown): (reply: Reply) => Reply {
  return (reply) => {
    if (!(reply.body instanceof Uint8Array)) return reply;
    const json = JSON.parse(Buffer.from(reply.body).toString()) as Record<string, unknown>[];
    const body = Buffer.from(JSON.stringify(change(json)));
    return {...reply, headers: {...reply.headers, 'content-length': String(body.byteLength)}, body};
  };
}

function late(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toUTCString();
}

/** Says that the tag of the probe is deleted, and keeps it. */
const keepProbe: Intercept = async ({method, path}, next) =>
  method === 'DELETE' && path.endsWith('/transship-probe') ? {status: 202, headers: {}} : next();

/** Has an npm package in the scope of the top-level group. */
const showPackage: Intercept = async ({path}, next) =>
  path.endsWith('/packages') ? jsonReply(200, [{name: '@org/lib'}]) : next();

describe('plan transfer finds out', () => {
  it('how far the clocks of GitLab and of its registry are apart', async () => {
    const findings: string[][] = [];
    for (const seconds of [0, 45, 90]) {
      const intercept = changed(
        (_method, path) => path === '/v2/',
        withHeaders({date: late(seconds)}),
      );
      await using rig = await startRig({seed: transferSeed(), intercept});
      const {forbidden, warned} = await planTransfer(rig.url);
      findings.push([
        ...forbidden,
        ...warned.filter((code) => code === 'CLOCK_SKEW').map(() => 'warned'),
      ]);
    }
    expect(findings).toEqual([[], ['warned'], ['CLOCK_SKEW']]);
  });

  it('at a path that another project had before, and reports it', async () => {
    await using rig = await startRig({seed: transferSeed()});
    await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', {body: {path: 'tool'}});
    const {code, plan, warned} = await planTransfer(rig.url);
    expect([code, warned.includes('PATH_REDIRECTED')]).toEqual([0, true]);
    expect(plan?.project).toMatchObject({from: 'org/build/tool', to: 'new_org/build/tool'});
    const told = plan?.checks.find((check) => check.code === 'PATH_REDIRECTED');
    expect(told?.message).toBe(
      `org/build/app is an old path of the project ${plan?.project.id}, which is at org/build/tool`,
    );
  });

  it('that the storage keeps what the registry says is deleted', async () => {
    await using rig = await startRig({seed: transferSeed(), intercept: keepProbe});
    const {code, forbidden} = await planTransfer(rig.url);
    expect([code, forbidden]).toEqual([3, ['REPOSITORY_DELETE_FAILED']]);
  });

  it('that the donor deletes, where there are none but indexes to try it with', async () => {
    const images = [{layout: layoutDirectory('busybox'), ref: 'latest', tag: 'v1'}];
    await using rig = await startRig({seed: transferSeed({images})});
    const {code, proved} = await planTransfer(rig.url);
    expect([code, proved.includes('DELETE_READY')]).toEqual([0, true]);
  });

  it('that the registry does not delete single tags', async () => {
    const intercept = changed(
      (_method, path) => path === '/v2/',
      withHeaders({'gitlab-container-registry-features': ''}),
    );
    await using rig = await startRig({seed: transferSeed(), intercept});
    const {code, warned} = await planTransfer(rig.url, {args: []});
    expect(code).toBe(0);
    expect(warned).toContain('DELETE_UNPROVED');
  });

  it('that a repository is being deleted', async () => {
    const intercept = changed(
      (_method, path) => path.endsWith('/registry/repositories'),
      withJson((all) => all.map((one) => ({...one, status: 'delete_ongoing'}))),
    );
    await using rig = await startRig({seed: transferSeed(), intercept});
    const {forbidden} = await planTransfer(rig.url);
    expect(forbidden).toEqual(['DELETION_UNDER_WAY', 'DELETION_UNDER_WAY']);
  });

  it('a tag without a name', async () => {
    const intercept = changed(
      (_method, path) => path.endsWith('/app/tags/list'),
      withJson(() => ({name: 'org/build/app', tags: ['', 'v1']})),
    );
    await using rig = await startRig({seed: transferSeed(), intercept});
    const {code, forbidden} = await planTransfer(rig.url);
    expect([code, forbidden]).toEqual([3, ['TAG_NAME_INVALID']]);
  });

  it("images in the project's own path that GitLab has no record of", async () => {
    const intercept = changed(
      (_method, path) => path.endsWith('/registry/repositories'),
      withJson(() => []),
    );
    await using rig = await startRig({seed: transferSeed(), intercept});
    const {plan} = await planTransfer(rig.url);
    expect(plan?.repositories.map(({from}) => from)).toEqual([`${rig.host}/org/build/app`]);
  });

  it('when a database says that each tag was pushed', async () => {
    const dates: Readonly<Record<string, string>> = {
      a: '2026-03-01',
      b: '2026-01-01',
      c: '2026-02-01',
    };
    const intercept = changed(
      (_method, path) => path.startsWith('/gitlab/v1/') && path.endsWith('/tags/list/'),
      withJson((tags) => tags.map((tag) => ({...tag, published_at: dates[String(tag['name'])]}))),
    );
    const images = ['a', 'b', 'c'].map((tag) => ({layout: layoutDirectory('busybox'), tag}));
    const orders: (readonly string[])[] = [];
    for (const mode of ['metadata-db', 'legacy'] as const) {
      await using rig = await startRig({mode, seed: transferSeed({images}), intercept});
      const {plan} = await planTransfer(rig.url);
      orders.push(plan?.repositories[0]?.tags.map(({name}) => name) ?? []);
    }
    expect(orders).toEqual([
      ['b', 'c', 'a'],
      ['a', 'b', 'c'],
    ]);
  });

  it('a cleanup policy, and that the donor has one', async () => {
    const cleanup = {enabled: true, cadence: '1month', keep_n: 5} as const;
    await using rig = await startRig({
      seed: transferSeed({cleanup}, [{path: 'donors/busy', cleanup}]),
    });
    const {plan, proved} = await planTransfer(rig.url);
    expect(proved).toContain('POLICY_PAUSED');
    const resume = plan?.steps.find(({kind}) => kind === 'resume');
    expect(resume).toMatchObject({policy: {enabled: true, keep_n: 5}});
    const busy = await planTransfer(rig.url, {args: ['--donor', 'donors/busy']});
    expect(busy.forbidden).toEqual(['DONOR_UNFIT']);
  });

  it('that pipelines are running', async () => {
    await using rig = await startRig({seed: transferSeed({pipelines: 1})});
    const {code, warned} = await planTransfer(rig.url);
    expect([code, warned.includes('PIPELINES_RUNNING')]).toEqual([0, true]);
  });

  it('npm packages that hold the project in its top-level group', async () => {
    await using rig = await startRig({seed: transferSeed(), intercept: showPackage});
    expect((await planTransfer(rig.url)).forbidden).toEqual(['TRANSFER_PACKAGES_PRESENT']);
    expect((await planTransfer(rig.url, {to: 'org/other/'})).forbidden).toEqual([]);
  });

  it('a group at the new path', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const {code, forbidden} = await planTransfer(rig.url, {to: 'new_org/build'});
    expect([code, forbidden.at(-1)]).toEqual([3, 'NAME_TAKEN']);
  });

  it('what another login for the registry may not do', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const env = {
      TRANSSHIP_DESTINATION_USERNAME: 'ada',
      TRANSSHIP_DESTINATION_PASSWORD: 'ada-registry',
    };
    const {code, forbidden} = await planTransfer(rig.url, {env});
    expect([code, forbidden]).toEqual([3, ['TOKEN_SCOPE_MISSING', 'TOKEN_SCOPE_MISSING']]);
  });

  it('a project at its former path', async () => {
    await using rig = await startRig({seed: transferSeed({images: []})});
    const {plan} = await planTransfer(rig.url);
    await rig.api('PUT', `projects/${plan?.project.id}/transfer`, {
      body: {namespace: 'new_org/build'},
    });
    const again = await planTransfer(rig.url);
    expect(again).toMatchObject({code: 0, steps: [], warned: ['ALREADY_THERE']});
    expect(again.plan?.project.from).toBe('new_org/build/app');
  });

  it('what the donor has already', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const {plan} = await planTransfer(rig.url);
    const [first] = plan?.repositories ?? [];
    await rig.skopeo(['copy', `docker://${first?.from}:v1`, `docker://${first?.donor}:v1`]);
    const again = (await planTransfer(rig.url)).plan;
    const pull = again?.steps.find((step) => step.kind === 'pull');
    const names = pull?.kind === 'pull' ? pull.copies.map(({from}) => from) : [];
    expect(names).not.toContain(first?.from);
    expect(names.length).toBeGreaterThan(0);
  });

  it('another image at the donor', async () => {
    await using rig = await startRig({seed: transferSeed()});
    const {plan} = await planTransfer(rig.url);
    const [first, second] = plan?.repositories ?? [];
    const other = second?.tags[0]?.name;
    await rig.skopeo(['copy', `docker://${second?.from}:${other}`, `docker://${first?.donor}:v1`]);
    const again = await planTransfer(rig.url);
    expect([again.code, again.forbidden]).toEqual([3, ['DONOR_OCCUPIED']]);
  });
});
