import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {copiesOf} from '../../src/model/plan.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {shardOfPlan} from '../../src/plan/shards.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {type ProgramOptions, runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';
import {writeEstate} from './registry-files.ts';

/**
 * A whole registry moves in shards that run at once and are killed at random: prints the balance of the shards, the
 * sizes of the reviews and of the page of the runs, how long it took, and what was sent more than once. `node
 * test/bench/shards.ts [REPOSITORIES [TAGS-EACH [SHARDS]]]`
 */

const MAIN = fileURLToPath(new URL('../../bin/transship.cjs', import.meta.url));
/** Each shard is killed so often, in the middle of its work: however slow the machine is. */
const KILLS = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(repositories: number, tagsEach: number, total: number): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const temp = cleanup.use(await tempDirectory());
  const rootdirectory = temp.join('source');
  await writeEstate(rootdirectory, {repositories, tagsEach});
  const config = {storage: {filesystem: {rootdirectory}, delete: {enabled: true}}};
  const source = cleanup.use(await startDockerRegistry({config}));
  const destination = cleanup.use(await startDockerRegistry());
  const env = {HOME: temp.path, TRANSSHIP_NO_CACHE: '1'};
  const transship = (args: readonly string[], options: Omit<ProgramOptions, 'env'> = {}) =>
    runProgram(process.execPath, [MAIN, ...args], {env, ...options});
  const [file, plan] = [temp.join('all.yaml'), temp.join('all.plan.json')];
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${destination.host}/moved\nroutes:\n  - from: '**'\n`,
  );
  const made = await transship(['plan', file, '--out', plan]);
  if (made.code !== 0) throw new Error(made.stderr);
  say(`${repositories} repositories, ${repositories * tagsEach} tags, ${total} shards`);
  for (const format of ['text', 'markdown', 'html'])
    say(
      `review as ${format}: ${(await transship(['show', plan, '--format', format])).stdout.length} characters`,
    );

  const whole = parsePlan(await readFile(plan), plan);
  if (whole.kind !== 'copy') throw new Error('not a plan of copies');
  const needed = new Map<string, number>();
  const sizes: number[] = [];
  for (let index = 1; index <= total; index += 1) {
    const part = shardOfPlan(whole, {index, total});
    if (part.kind !== 'copy') continue;
    sizes.push(part.totals.bytes + copiesOf(part).length * 64 * 1024);
    for (const digest of new Set(part.blobs.map((blob) => blob.digest)))
      needed.set(digest, (needed.get(digest) ?? 0) + 1);
  }
  const mean = sizes.reduce((sum, size) => sum + size, 0) / total;
  say(`largest shard: ${(Math.max(...sizes) / mean).toFixed(3)} of the mean`);

  await destination.forgetRequests();
  const started = performance.now();
  let kills = 0;
  const shard = async (index: number): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      const kill = new AbortController();
      // Of the images that it has to copy, each attempt does a third at most before it is killed.
      let left = Math.ceil((Math.random() * repositories * tagsEach) / total / 3);
      const part = ['--shard', `${index}/${total}`, '--progress', 'json'];
      const {code, stderr} = await transship(['apply', plan, ...part], {
        signal: kill.signal,
        onStderr: (text) => {
          left -= text.split('"outcome":"done"').length - 1;
          if (left <= 0 && attempt < KILLS) kill.abort();
        },
      });
      if (code === 0) return;
      if (code !== 137) throw new Error(`shard ${index}: exit ${code}: ${stderr.slice(-2000)}`);
      kills += 1;
    }
  };
  await Promise.all(Array.from({length: total}, (_, at) => shard(at + 1)));
  say(`applied in ${((performance.now() - started) / 1000).toFixed(1)} s, killed ${kills} times`);
  const sent = new Map<string, number>();
  for (const {method, path, status} of await destination.requests()) {
    const digest = /[?&]digest=([^&]+)/.exec(path)?.[1];
    if (method !== 'PUT' || status !== 201 || digest === undefined) continue;
    const name = decodeURIComponent(digest);
    sent.set(name, (sent.get(name) ?? 0) + 1);
  }
  const uploads = [...sent.values()].reduce((sum, count) => sum + count, 0);
  const tooOften = [...sent].filter(([digest, count]) => count > (needed.get(digest) ?? 0));
  say(
    `${sent.size} distinct blobs sent in ${uploads} uploads; ${tooOften.length} of them more often than shards need them`,
  );
  const verified = await transship(['verify', plan]);
  say(verified.stdout.trim().split('\n').at(-1) ?? '');
  say((await transship(['status', plan])).stdout.trim().split('\n').at(-1) ?? '');
  const journals = ['--journal', temp.join('*.journal.ndjson')];
  const page = await transship(['show', plan, '--format', 'html', ...journals]);
  say(`page of the runs: ${page.stdout.length} characters, exit ${page.code}`);
  say(/<p>(\d+ runs? in .*)<\/p>/.exec(page.stdout)?.[1] ?? page.stderr);
  if (verified.code !== 0 || tooOften.length > 0) process.exitCode = 1;
}

const [repositories = 500, tagsEach = 20, total = 4] = process.argv.slice(2).map(Number);
await main(repositories, tagsEach, total);
