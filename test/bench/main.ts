import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {describeMachine, findTool, type FoundTool} from './circumstances.ts';
import type {Measurement} from './measurement.ts';
import {type Options, readOptions, USAGE} from './options.ts';
import {renderPage} from './report.ts';
import {runWorkload} from './run-workload.ts';
import {PEERS} from './peers.ts';
import {directoryInMemory} from './storage.ts';
import {transship} from './transship.ts';
import {scaled, type Workload, WORKLOADS} from './workloads.ts';

/** Measures transship beside other tools: the same work, the same registries, in turn. */

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function findTools({
  tools: names,
  transship: builds,
}: Options): Promise<readonly FoundTool[]> {
  const wanted = [
    ...builds.map((main) =>
      transship(builds.length === 1 ? 'transship' : `transship (${main})`, main),
    ),
    ...PEERS,
  ].filter(({name}) => names === undefined || names.includes(name));
  const found: FoundTool[] = [];
  for (const tool of wanted) {
    const here = await findTool(tool);
    if (here === undefined) say(`${tool.name} is not here: ${tool.install}`);
    else found.push(here);
  }
  return found;
}

/** All that the run writes goes where the system's temporary files go: the registries' images above all. */
async function chooseStorage({storage}: Options, workloads: readonly Workload[]): Promise<void> {
  const directory = storage ?? (await directoryInMemory(workloads));
  if (directory === undefined)
    say(`no room in memory: the disk at ${tmpdir()} is measured as well`);
  else process.env['TMPDIR'] = directory;
}

async function run(options: Options): Promise<void> {
  const {rounds, only, best, scale, out} = options;
  const workloads = WORKLOADS.filter(({id}) => only === undefined || only.includes(id)).map(
    (workload) => scaled(workload, scale),
  );
  await chooseStorage(options, workloads);
  const tools = await findTools(options);
  const facts = await describeMachine(tools);
  const variants = tools
    .flatMap(({tool}) => tool.variants)
    .filter(({kind}) => !best || kind !== 'usual');
  const results: (readonly Measurement[])[] = [];
  for (const workload of workloads) {
    say(`${workload.id}: ${workload.title}`);
    results.push(await runWorkload(workload, variants, rounds, say));
    // After each, so that a run that is ended early is not for nothing.
    if (out !== undefined) await writeFile(out, renderPage({facts, rounds, scale}, results));
  }
  process.stdout.write(renderPage({facts, rounds, scale}, results));
}

let options: Options;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  say(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exit(64);
}
await run(options);
