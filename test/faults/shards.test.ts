import {writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {shardOfPlan} from '../../src/plan/shards.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {runCli} from '../support/cli.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {readFile} from 'node:fs/promises';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';

const TOTAL = 4;
const REPOSITORIES = 16;
/** A shard is killed when the source is asked for a blob for the so many-th time. */
const KILLS = [4, 9, 14, 19, 24];

test('four shards on one registry, killed again and again, bring each blob once to each shard', async () => {
  let asked = 0;
  const running = new Map<number, AbortController>();
  let killed = 0;
  await using source = await startSandbox({
    intercept: async ({route, method}, next) => {
      if (route.kind === 'blob' && method === 'GET') {
        asked += 1;
        const at = KILLS.indexOf(asked);
        const victim = running.get((at % TOTAL) + 1);
        if (at >= 0 && victim !== undefined) {
          killed += 1;
          victim.abort();
        }
      }
      return await next();
    },
  });
  await using destination = await startDockerRegistry();
  await using temp = await tempDirectory();
  const bases = [someBytes(60_000), someBytes(60_000)];
  for (let at = 0; at < REPOSITORIES; at += 1) {
    const name = `team/app-${at}` as RepositoryPath;
    const layers = [bases[at % 2] ?? someBytes(1), someBytes(30_000)];
    await storeImage(source.storage, name, 'v1', layers);
    await storeImage(source.storage, name, 'v2', [...layers, someBytes(10_000)]);
  }
  const [file, plan] = [temp.join('acme.yaml'), temp.join('acme.plan.json')];
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${destination.host}/in\nroutes:\n  - from: 'team/**'\n`,
  );
  expect((await runCli(['plan', file, '--out', plan])).code).toBe(0);
  await destination.forgetRequests();

  const shard = async (index: number): Promise<number> => {
    for (let attempt = 0; attempt <= KILLS.length; attempt += 1) {
      const kill = new AbortController();
      running.set(index, kill);
      const run = ['apply', plan, '--shard', `${index}/${TOTAL}`, '--jobs', '2'];
      const {code} = await runCli(run, {signal: kill.signal});
      if (code !== 137) return code;
    }
    return 137;
  };
  const codes = await Promise.all(Array.from({length: TOTAL}, (_, at) => shard(at + 1)));

  expect(codes).toEqual(Array.from({length: TOTAL}, () => 0));
  expect(killed).toBeGreaterThan(1);
  expect((await runCli(['verify', plan])).code).toBe(0);
  // Uploads that were completed, by digest.
  const completed = (await destination.requests()).flatMap(({method, path, status}) => {
    const digest = /[?&]digest=([^&]+)/.exec(path)?.[1];
    return method === 'PUT' && status === 201 && digest ? [decodeURIComponent(digest)] : [];
  });
  const whole = parsePlan(await readFile(plan), plan) as CopyPlan;
  const needed = new Map<string, number>();
  for (let index = 1; index <= TOTAL; index += 1) {
    const {blobs} = shardOfPlan(whole, {index, total: TOTAL});
    for (const digest of new Set(blobs.map((blob) => blob.digest)))
      needed.set(digest, (needed.get(digest) ?? 0) + 1);
  }
  const sent = Map.groupBy(completed, (digest) => digest);
  const tooOften = [...sent].filter(([digest, {length}]) => length > (needed.get(digest) ?? 0));
  expect(tooOften).toEqual([]);
  expect(sent.size).toBe(needed.size);
});
