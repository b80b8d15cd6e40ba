import {readFile, stat, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {setTimeout as delay} from 'node:timers/promises';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {runProgram} from '../support/program.ts';
import {startLinks} from './links.ts';
import {memoryLimit, type MemoryLimit} from './memory-limit.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {repositoryName, RegistryFiles, writeEstate, writeTag} from './registry-files.ts';

/**
 * A whole registry moves: inventory, plan, show, apply killed twice in the middle, verify, plan again, ten changes and
 * `--since`. Prints what each step took. `node test/bench/scale.ts [REPOSITORIES [TAGS-EACH
 * [ROUND-TRIP-MS [MEMORY-MIB]]]]`: with a round trip, both registries are that far away; with memory, each step runs
 * in a control group that has no more.
 */

const MAIN = fileURLToPath(new URL('../../bin/transship.cjs', import.meta.url));
/** When the two first runs of `apply` are killed, as parts of the blobs that have to travel. */
const KILLS = [0.25, 0.6];

interface Rig {
  readonly source: DockerRegistry;
  readonly destination: DockerRegistry;
  /** How the registries are called, `host:port`. */
  readonly from: string;
  readonly to: string;
  readonly temp: TempDirectory;
  /** Undefined: the steps may take all memory. */
  readonly memory: MemoryLimit | undefined;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs one command, and says what it cost. @throws Error where it ends with another exit code */
async function step(
  {source, destination, temp, memory}: Rig,
  name: string,
  args: readonly string[],
  expected: number,
  signal?: AbortSignal,
): Promise<string> {
  await source.forgetRequests();
  await destination.forgetRequests();
  const cost = temp.join('cost');
  const started = performance.now();
  // Killing GNU time would leave what it started.
  const timed = signal === undefined ? ['time', '-q', '-f', '%U %S %M', '-o', cost] : [];
  const command = [...timed, process.execPath, MAIN, ...args];
  const [file = '', ...words] = memory?.within(command) ?? command;
  const {code, stdout, stderr} = await runProgram(file, words, {
    env: {HOME: temp.path},
    ...(signal ? {signal} : {}),
  });
  const seconds = (performance.now() - started) / 1000;
  if (code !== expected)
    throw new Error(`${name}: exit ${code}: ${stderr.slice(-2000)} ${stdout.slice(-2000)}`);
  const [user = 0, system = 0, peak = 0] =
    signal === undefined ? (await readFile(cost, 'utf8')).split(' ').map(Number) : [];
  const requests = [await source.requests(), await destination.requests()].map(
    ({length}) => length,
  );
  say(
    `| ${name} | ${seconds.toFixed(1)} | ${(user + system).toFixed(1)} | ${(peak / 1024).toFixed(0)} | ${requests.join(' + ')} |`,
  );
  return stdout;
}

/** Applies until so many blobs are at the destination, then kills. */
async function killedApply(rig: Rig, plan: string, part: number, blobs: number): Promise<void> {
  const kill = new AbortController();
  const run = step(rig, `apply, killed at ${part * 100} %`, ['apply', plan], 137, kill.signal);
  const journal = `${plan.replace(/\.plan\.json$/, '')}.journal.ndjson`;
  const count = async (): Promise<number> => {
    const text = await readFile(journal, 'utf8').catch(() => '');
    return text.split('"type":"blob"').length - 1;
  };
  const watch = async (): Promise<void> => {
    while ((await count()) < part * blobs && !kill.signal.aborted) await delay(100);
    kill.abort();
  };
  await Promise.all([run, watch()]);
}

async function main(
  repositories: number,
  tagsEach: number,
  roundTripMs: number,
  memoryMib: number,
): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const memory = memoryMib > 0 ? cleanup.use(await memoryLimit(memoryMib)) : undefined;
  const temp = cleanup.use(await tempDirectory());
  const sourceRoot = temp.join('source');
  await writeEstate(sourceRoot, {repositories, tagsEach});
  const source = cleanup.use(
    await startDockerRegistry({
      config: {storage: {filesystem: {rootdirectory: sourceRoot}, delete: {enabled: true}}},
    }),
  );
  const destination = cleanup.use(await startDockerRegistry());
  const links = roundTripMs > 0 ? cleanup.use(await startLinks()) : undefined;
  const reached = async ({host}: DockerRegistry): Promise<string> =>
    links === undefined ? host : cleanup.use(await links.open(host, {roundTripMs})).host;
  const [from, to] = [await reached(source), await reached(destination)];
  const rig = {source, destination, from, to, temp, memory};
  const file = temp.join('all.yaml');
  await writeFile(file, `version: 1\nfrom: ${from}\nto: ${to}/moved\nroutes:\n  - from: '**'\n`);
  const [first, second] = [temp.join('1.plan.json'), temp.join('2.plan.json')];
  say(`${repositories} repositories, ${repositories * tagsEach} tags\n`);
  say('| step | s | CPU s | peak MiB | requests, source + destination |');
  say('| --- | --- | --- | --- | --- |');
  await step(rig, 'inventory', ['inventory', from], 0);
  await step(rig, 'plan', ['plan', file, '--out', first, '--detailed-exitcode'], 2);
  await step(rig, 'show', ['show', first], 0);
  await step(rig, 'show --format markdown', ['show', first, '--format', 'markdown'], 0);
  const made = JSON.parse((await readFile(first)).toString()) as {
    blobActions: {action: string; blobs: unknown[]}[];
    blobs: unknown[];
    copies: unknown[];
  };
  const blobs = made.blobActions
    .filter(({action}) => action === 'copy')
    .reduce((sum, {blobs: own}) => sum + own.length, 0);
  for (const part of KILLS) await killedApply(rig, first, part, blobs);
  await step(rig, 'apply', ['apply', first], 0);
  await step(rig, 'verify', ['verify', first], 0);
  await step(rig, 'plan again', ['plan', file, '--detailed-exitcode'], 0);
  await source.stop();
  const files = new RegistryFiles(sourceRoot);
  for (let at = 0; at < 10; at += 1) {
    const name = repositoryName(at * 7);
    const layer = await files.blob(
      name,
      `base ${(at * 7) % 10}`,
      2 * 1024 * 1024,
      'application/vnd.oci.image.layer.v1.tar+gzip',
    );
    // Five tags move, five are new.
    await writeTag(files, name, at % 2 === 0 ? 1 : tagsEach + 1, [layer], `changed ${at}`);
  }
  await source.restart();
  const text = await step(
    rig,
    'plan --since, after ten changes',
    ['plan', file, '--since', first, '--out', second, '--detailed-exitcode'],
    2,
  );
  say(`\n${/Since the earlier plan.*/.exec(text)?.[0] ?? 'no report'}`);
  const {size} = await stat(first);
  const perTag = (size - 90 * made.blobs.length) / made.copies.length;
  say(
    `plan file: ${(size / 2 ** 20).toFixed(1)} MiB, ${made.copies.length} copies, ${made.blobs.length} distinct blobs, about ${perTag.toFixed(0)} bytes per copy beside them`,
  );
}

const [repositories = 500, tagsEach = 20, roundTripMs = 0, memoryMib = 0] = process.argv
  .slice(2)
  .map(Number);
await main(repositories, tagsEach, roundTripMs, memoryMib);
