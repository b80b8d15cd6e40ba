import {readdir, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RunResult, StatusResult, VerifyResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const REPOSITORIES = 12;
const TAGS = 2;
const SHARDS = [1, 2, 3, 4];

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let temp: TempDirectory;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  temp = cleanup.use(await tempDirectory());
  // Three teams, each with a base.
  const bases = [someBytes(3000), someBytes(3000), someBytes(3000)];
  for (let at = 0; at < REPOSITORIES; at += 1) {
    const repository = `team-${at % 3}/app-${at}` as RepositoryPath;
    for (let tag = 0; tag < TAGS; tag += 1) {
      const layers = [bases[at % 3] ?? someBytes(1), someBytes(500)];
      await storeImage(source.storage, repository, `v${tag}`, layers);
    }
  }
});
afterAll(() => cleanup.disposeAsync());

let count = 0;

const byText = (a: string, b: string): number => (a < b ? -1 : 1);

/** A destination and a plan for it. */
async function planned(more = '', from: Sandbox = source) {
  const destination = await startSandbox();
  const name = `acme-${++count}`;
  const [file, plan] = [temp.join(`${name}.yaml`), temp.join(`${name}.plan.json`)];
  await writeFile(
    file,
    `version: 1\nfrom: ${from.host}\nto: ${destination.host}/in\nroutes:\n  - from: '**'\n${more}`,
  );
  const made = await transship(['plan', file, '--out', plan, '--detailed-exitcode']);
  expect(made).toMatchObject({code: 2, stderr: ''});
  const asJson = async (command: string, flags: readonly string[], options?: TransshipOptions) => {
    const ran = await transship([command, plan, ...flags, '--format', 'json'], options);
    return {...ran, result: JSON.parse(ran.stdout) as unknown};
  };
  return {
    name,
    plan,
    destination,
    run: (args: readonly string[], options?: TransshipOptions) =>
      transship([args[0] ?? '', plan, ...args.slice(1), '--progress', 'plain'], options),
    apply: async (flags: readonly string[], options?: TransshipOptions) => {
      const ran = await asJson('apply', flags, options);
      return {...ran, result: ran.result as RunResult};
    },
    verify: async (flags: readonly string[] = []) => {
      const ran = await asJson('verify', flags);
      return {...ran, result: ran.result as VerifyResult};
    },
    status: async (flags: readonly string[] = []) => {
      const ran = await asJson('status', flags);
      return {...ran, result: ran.result as StatusResult};
    },
    [Symbol.asyncDispose]: () => destination.close(),
  };
}

/** Blobs that were sent in whole or in part, by digest and repository. */
function sentBlobs({log}: Sandbox): readonly string[] {
  return log.entries.flatMap(({method, path, kind, status}) => {
    const digest = /[?&]digest=([^&]+)/.exec(path)?.[1];
    return method === 'PUT' && status === 201 && kind !== 'manifest' && digest !== undefined
      ? [decodeURIComponent(digest)]
      : [];
  });
}

describe('shards of a plan', () => {
  test('that run concurrently complete the plan, and verify and status know all of them', async () => {
    await using rig = await planned();
    const runs = await Promise.all(SHARDS.map((shard) => rig.apply(['--shard', `${shard}/4`])));
    expect(runs.map(({code}) => code)).toEqual([0, 0, 0, 0]);
    expect(runs.map(({result}) => result.shard)).toEqual(
      SHARDS.map((index) => ({index, total: 4})),
    );
    const steps = runs.flatMap(({result}) => result.steps.map(({id}) => id));
    expect(new Set(steps).size).toBe(REPOSITORIES * TAGS);
    expect(steps).toHaveLength(REPOSITORIES * TAGS);
    // What several shards need (three bases, and a config for each tag) goes to each of them once.
    const sent = sentBlobs(rig.destination);
    const shared = 3 + TAGS;
    expect(sent.length - new Set(sent).size).toBeLessThanOrEqual(shared * (SHARDS.length - 1));

    const verified = await rig.verify([]);
    expect(verified).toMatchObject({code: 0, result: {differences: []}});
    const parts = await Promise.all(SHARDS.map((shard) => rig.verify(['--shard', `${shard}/4`])));
    expect(parts.reduce((sum, {result}) => sum + result.checked.tags, 0)).toBe(
      verified.result.checked.tags,
    );

    const journals = (await readdir(temp.path)).filter((file) => file.startsWith(`${rig.name}.`));
    expect(journals).toEqual(
      expect.arrayContaining(SHARDS.map((shard) => `${rig.name}.${shard}-of-4.journal.ndjson`)),
    );
    const total = REPOSITORIES * TAGS;
    const status = await rig.status([]);
    expect(status.result).toMatchObject({steps: {done: total, left: 0, total}, ended: 'done'});
    expect(status.result.journals).toHaveLength(4);
    const named = await rig.status(['--journal', temp.join(`${rig.name}.*.journal.ndjson`)]);
    expect(named.result).toEqual(status.result);
    const part = await rig.status(['--shard', '2/4']);
    expect(part.result.steps.total).toBe(runs[1]?.result.steps.length);
    const text = await transship(['status', rig.plan]);
    expect(text.stdout).toContain('Journals (4)');
  });

  test('are chosen by the variables of GitLab and Kubernetes', async () => {
    await using rig = await planned();
    const gitlab = await rig.apply([], {
      env: {CI_NODE_INDEX: '2', CI_NODE_TOTAL: '3'},
    });
    expect(gitlab.result.shard).toEqual({index: 2, total: 3});
    expect(gitlab.stderr).toContain('shard 2 of 3, from CI_NODE_INDEX');
    const kubernetes = await rig.apply([], {
      env: {JOB_COMPLETION_INDEX: '0', TRANSSHIP_SHARDS: '3'},
    });
    expect(kubernetes.result.shard).toEqual({index: 1, total: 3});
    const variable = await rig.apply([], {env: {TRANSSHIP_SHARD: '3/3'}});
    expect(variable.result.shard).toEqual({index: 3, total: 3});
    // A job that is not parallel has a total, and a flag wins.
    const plain = await rig.apply([], {env: {CI_NODE_TOTAL: '1'}});
    expect(plain.result.shard).toBeUndefined();
    const whole = await rig.apply(['--shard', '1/1'], {
      env: {CI_NODE_INDEX: '2', CI_NODE_TOTAL: '3'},
    });
    expect(whole.result.steps).toHaveLength(REPOSITORIES * TAGS);
    expect(whole.result.steps.every(({outcome}) => outcome === 'present')).toBe(true);
  });

  test.each(['0/4', '5/4', '1/0', 'x', '1/1001', '1'])('%s is not a shard', async (shard) => {
    const run = await transship(['apply', 'no.plan.json', '--shard', shard]);
    expect(run).toMatchObject({code: 64, stderr: expect.stringContaining('[USAGE]')});
    const variable = await transship(['apply', 'no.plan.json'], {env: {TRANSSHIP_SHARD: shard}});
    expect(variable).toMatchObject({code: 64, stderr: expect.stringContaining('[USAGE]')});
  });

  test('sends nothing again that an attempt on another machine brought', async () => {
    await using rig = await planned();
    const stopped = await rig.apply(['--shard', '1/4', '--max-bytes', '5KiB']);
    expect(stopped.code).toBe(130);
    expect(stopped.result.bytes.sent).toBeGreaterThan(0);
    // The journal is on the other machine.
    const again = await rig.apply(['--shard', '1/4', '--journal', temp.join('elsewhere.ndjson')]);
    expect(again.code).toBe(0);
    const sent = sentBlobs(rig.destination);
    expect(new Set(sent).size).toBe(sent.length);
  });

  test('of which some have not run: status says which, and names no journal of another plan', async () => {
    await using rig = await planned();
    await using other = await planned();
    await rig.run(['apply', '--shard', '1/2']);
    await other.run(['apply', '--shard', '1/2']);
    const journals = temp.join(`${rig.name}.*.journal.ndjson`);
    const status = await rig.status(['--journal', journals]);
    expect(status.result.steps.left).toBeGreaterThan(0);
    const wrong = await transship(['status', rig.plan, '--journal', temp.join('*-of-2.*.ndjson')]);
    expect(wrong).toMatchObject({code: 64, stderr: expect.stringContaining('[JOURNAL_INVALID]')});
    const none = await transship(['status', rig.plan, '--journal', temp.join('no-*.ndjson')]);
    expect(none).toMatchObject({code: 64, stderr: expect.stringContaining('no-*.ndjson')});
  });
});

/** Images that are moved: a plan that deletes. */
async function deleting() {
  const from = await startSandbox();
  for (const name of ['a', 'b', 'c'])
    await storeImage(from.storage, `team/${name}` as RepositoryPath, 'v1', [someBytes(100)]);
  const rig = await planned('deleteSource: afterVerify\n', from);
  const tags = async () =>
    (
      await Promise.all(
        ['a', 'b', 'c'].map((name) =>
          from.storage.manifests.tags(`team/${name}` as RepositoryPath),
        ),
      )
    ).flat();
  return {
    ...rig,
    from,
    tags,
    [Symbol.asyncDispose]: async () => {
      await rig.destination.close();
      await from.close();
    },
  };
}

describe('the phases of a plan that deletes', () => {
  test('delete nothing until all shards are at their destination', async () => {
    await using rig = await deleting();
    const first = await rig.run(['apply', '--shard', '1/2']);
    expect(first).toMatchObject({code: 0, stderr: expect.stringContaining('3 deletions left')});
    const early = await rig.run(['apply', '--phase', 'delete', '--yes']);
    expect(early).toMatchObject({code: 3, stderr: expect.stringContaining('[COPIES_UNFINISHED]')});
    expect(await rig.tags()).toHaveLength(3);
    expect((await rig.run(['apply', '--shard', '2/2'])).code).toBe(0);
    expect(await rig.tags()).toHaveLength(3);
    const last = await rig.apply(['--phase', 'delete', '--yes']);
    expect(last).toMatchObject({code: 0, result: {phase: 'delete', result: 'done'}});
    expect(last.result.steps.map(({outcome}) => outcome)).toEqual(['done', 'done', 'done']);
    expect(await rig.tags()).toEqual([]);
    const again = await rig.apply(['--phase', 'delete', '--yes']);
    expect(again.result.steps.map(({outcome}) => outcome)).toEqual([
      'present',
      'present',
      'present',
    ]);
  });

  test('delete nothing whose image is damaged at its destination', async () => {
    await using rig = await deleting();
    expect((await rig.run(['apply', '--phase', 'copy'])).code).toBe(0);
    const at = `${rig.destination.url}/v2/in/team/a`;
    const accept = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = await (await fetch(`${at}/manifests/v1`, {headers: {accept}})).text();
    const layer = /"layers":\[.*?(sha256:[0-9a-f]{64})/s.exec(manifest)?.[1] ?? '';
    expect((await fetch(`${at}/blobs/${layer}`, {method: 'DELETE'})).status).toBe(202);
    const run = await rig.apply(['--phase', 'delete', '--yes']);
    expect(run.code).toBe(1);
    expect(run.result.steps.map(({outcome}) => outcome).toSorted(byText)).toEqual([
      'done',
      'done',
      'failed',
    ]);
    expect(await rig.tags()).toEqual(['v1']);
  });

  test('are not divided, and ask before they delete', async () => {
    await using rig = await deleting();
    const divided = await rig.run(['apply', '--phase', 'delete'], {
      env: {CI_NODE_INDEX: '1', CI_NODE_TOTAL: '2'},
    });
    expect(divided).toMatchObject({code: 64, stderr: expect.stringContaining('[USAGE]')});
    expect((await rig.run(['apply', '--phase', 'copy'])).code).toBe(0);
    const asked = await rig.run(['apply', '--phase', 'delete']);
    expect(asked).toMatchObject({code: 64, stderr: expect.stringContaining('--yes')});
    expect(await rig.tags()).toHaveLength(3);
  });
});
