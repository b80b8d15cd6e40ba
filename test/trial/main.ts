import {inspect} from 'node:util';
import {memoryLimit} from '../bench/memory-limit.ts';
import {type Case, Trial} from './trial.ts';
import {caches} from './caches.ts';
import {files} from './files.ts';
import {graphs} from './graphs.ts';
import {gitlabCases} from './gitlab.ts';
import {hosts} from './hosts.ts';
import {http} from './http.ts';
import {journals} from './journals.ts';
import {migrations} from './migrations.ts';
import {products} from './products.ts';
import {redirects} from './redirects.ts';
import {secrets} from './secrets.ts';
import {slow} from './slow.ts';
import {words} from './words.ts';

/*
 * Runs the program, as it is shipped, against hostile servers, files and words, and looks at its memory, its time, its
 * output and the files that it leaves. It takes too long for `npm test`. Run: npm run trial [-- GROUP…] [-- --jobs N]
 * [-- --memory MIB], which runs the program in a control group, as in a container: all jobs together have this memory.
 */

const ALL: readonly Case[] = [
  ...http,
  ...words,
  ...gitlabCases,
  ...files,
  ...migrations,
  ...graphs,
  ...products,
  ...hosts,
  ...caches,
  ...journals,
  ...redirects,
  ...secrets,
  ...slow,
];

interface Sum {
  cases: number;
  runs: number;
  failed: number;
  peakMiB: number;
  longest: number;
}

const args = process.argv.slice(2);
const jobs = numberOf('--jobs') ?? 1;
const mib = numberOf('--memory');
await using memory = mib === undefined ? undefined : await memoryLimit(mib);
const chosen = ALL.filter(
  ({group, name}) =>
    args.length === 0 || args.some((arg) => group === arg || `${group}/${name}`.includes(arg)),
);
const sums = new Map<string, Sum>();
const waiting = [...chosen];
await Promise.all(
  Array.from({length: jobs}, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      await attempt(next);
  }),
);
process.stdout.write('| group | cases | runs | failed | peak MiB | longest s |\n');
process.stdout.write('| --- | ---: | ---: | ---: | ---: | ---: |\n');
for (const [group, {cases, runs, failed, peakMiB, longest}] of sums)
  process.stdout.write(
    `| ${group} | ${cases} | ${runs} | ${failed} | ${peakMiB} | ${longest.toFixed(1)} |\n`,
  );
process.exitCode = [...sums.values()].some(({failed}) => failed > 0) ? 1 : 0;

async function attempt(one: Case): Promise<void> {
  const {group, name} = one;
  const sum = sums.get(group) ?? {cases: 0, runs: 0, failed: 0, peakMiB: 0, longest: 0};
  sums.set(group, sum);
  const trial = await Trial.begin(one, memory);
  let problem: unknown;
  try {
    await one.run(trial);
    await trial.finish();
  } catch (error) {
    problem = error;
  } finally {
    await trial[Symbol.asyncDispose]();
  }
  sum.cases++;
  sum.runs += trial.runs;
  sum.peakMiB = Math.max(sum.peakMiB, trial.peakMiB);
  sum.longest = Math.max(sum.longest, trial.longest);
  if (problem !== undefined) sum.failed++;
  const cost = `${trial.peakMiB} MiB, ${trial.longest.toFixed(1)} s`;
  const end =
    problem === undefined
      ? 'ok'
      : `FAILED: ${problem instanceof Error ? problem.message : inspect(problem)}`;
  process.stdout.write(`${group}/${name}: ${cost}: ${end}\n`);
}

function numberOf(flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args.splice(at, 2)[1]);
}
