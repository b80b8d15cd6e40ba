import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {gaps, type LoggedEvent} from '../../src/sandbox/gitlab/event-log.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import type {RegistryMode} from '../../src/sandbox/gitlab/instance.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type ProgramResult, runProgram} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';

/**
 * Transfers against a GitLab in this process, by child processes. `node test/bench/transfer.ts [LATENCY-MS]`
 *
 * 1. One project with 200 tags: how long its images are away, in both modes, with and without a cleanup policy.
 * 2. A group of three projects, one of them in a subgroup, with 60 repositories, 600 tags and an empty repository: killed
 *    (SIGKILL) three times and applied to its end, rolled back, and moved again.
 */

const LATENCY_MS = Number(process.argv[2] ?? 20);
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const POLICY = {
  enabled: true,
  cadence: '7d',
  keep_n: 10,
  older_than: '30d',
  name_regex: '.*',
} as const;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

let home = '';

function run(args: readonly string[], signal?: AbortSignal): Promise<ProgramResult> {
  const env = {GITLAB_TOKEN: 'ada-api', HOME: home, TRANSSHIP_NO_CACHE: '1'};
  return runProgram(process.execPath, [MAIN, ...args], {env, ...(signal ? {signal} : {})});
}

interface Rig {
  readonly sandbox: GitLabSandbox;
  readonly temp: TempDirectory;
  readonly plan: string;
  /** Bytes of blobs that a client sent or read. */
  readonly blobBytes: () => number;
}

async function start(
  mode: RegistryMode,
  projects: Readonly<Record<string, readonly string[]>>,
  tags: number,
  hasPolicy: boolean,
  parts: AsyncDisposableStack,
): Promise<Rig> {
  const paths = Object.keys(projects);
  const seed = {
    users: [{name: 'ada'}],
    groups: [
      {path: 'org', members: {ada: 'owner' as const}},
      {path: 'new_org', members: {ada: 'owner' as const}},
      {path: 'donors', members: {ada: 'owner' as const}},
    ],
    projects: [
      ...paths.map((path) => ({path, ...(hasPolicy ? {cleanup: POLICY} : {})})),
      {path: 'donors/parking'},
    ],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
  };
  const sandbox = parts.use(
    await startGitLabSandbox({
      mode,
      seed: parseSeed(seed),
      switches: {deletionDelayMs: 50},
      intercept: async (_exchange, next) => {
        await delay(LATENCY_MS);
        return next();
      },
    }),
  );
  const temp = parts.use(await tempDirectory());
  for (const [path, names] of Object.entries(projects)) {
    for (const name of names) {
      const repository = (name === '' ? path : `${path}/${name}`) as RepositoryPath;
      await record(sandbox, repository);
      for (let at = 0; at < tags; at += 1) {
        const tag = `v${at}`;
        const digest = await storeImage(sandbox.storage, repository, tag, [someBytes(2048)]);
        sandbox.events.add('seed', {kind: 'manifest-pushed', repository, digest, tag});
      }
    }
  }
  sandbox.log.clear();
  const blobBytes = () =>
    sandbox.log.entries
      .filter(({kind}) => kind === 'blob' || kind === 'upload')
      .reduce((sum, {bytesIn, bytesOut}) => sum + bytesIn + bytesOut, 0);
  return {sandbox, temp, plan: temp.join('move.plan.json'), blobBytes};
}

/** GitLab makes the record of an image path when a token for a push is asked for. */
async function record({url}: GitLabSandbox, path: string): Promise<void> {
  const scope = `repository:${path}:pull,push`;
  const query = new URLSearchParams({service: 'container_registry', scope});
  const authorization = `Basic ${Buffer.from('ada:ada-api').toString('base64')}`;
  await fetch(`${url}/jwt/auth?${query.toString()}`, {headers: {authorization}});
}

async function command(
  args: readonly string[],
  expected: readonly number[],
  signal?: AbortSignal,
): Promise<ProgramResult> {
  const started = performance.now();
  const result = await run(args, signal);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`  ${args.slice(0, 2).join(' ')}: exit ${result.code}, ${seconds} s`);
  if (!expected.includes(result.code)) throw new Error(result.stdout + result.stderr);
  return result;
}

const QUIET = ['--progress', 'none'];

/** From the first deleted tag of the old path to the last one that was pushed to the new one, phase by phase, in seconds. */
function awaySeconds(events: readonly LoggedEvent[], from: string, to: string): string {
  const below = (root: string, kind: LoggedEvent['kind']): readonly number[] =>
    events.flatMap((one) =>
      one.kind === kind && 'repository' in one && `${one.repository}/`.startsWith(`${root}/`)
        ? [one.at]
        : [],
    );
  const deleted = below(from, 'tag-deleted');
  const moved = events.find((one) => one.kind === 'project-moved')?.at ?? 0;
  const mounted = below(to, 'blob-mounted');
  const pushed = below(to, 'manifest-pushed');
  const marks = [
    deleted[0],
    deleted.at(-1),
    moved,
    mounted[0],
    mounted.at(-1),
    pushed[0],
    pushed.at(-1),
  ];
  const [first = 0] = marks;
  const [, last, move, mount, mounts, push, all] = marks.map((at = 0) => (at - first) / 1000);
  return `${all} s (deleted ${last}, moved ${move}, mounts ${mount} to ${mounts}, tags ${push} to ${all})`;
}

async function away(mode: RegistryMode, hasPolicy: boolean): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const rig = await start(mode, {'org/app': ['']}, 200, hasPolicy, parts);
  say(`${mode}, ${hasPolicy ? 'with' : 'without'} a cleanup policy`);
  const gitlab = ['--gitlab', rig.sandbox.url, '--out', rig.plan, ...QUIET];
  const made = await command(
    ['plan', 'transfer', 'org/app', '--to', 'new_org/', '--donor', 'donors/parking', ...gitlab],
    [0],
  );
  await command(['apply', rig.plan, '--yes', ...QUIET], [0]);
  const {events} = rig.sandbox.events;
  const estimate = /about (\d+) s without images/.exec(made.stdout)?.[1];
  say(`  away ${awaySeconds(events, 'org/app', 'new_org/app')}; estimate ${estimate} s`);
  say(`  blob bytes ${rig.blobBytes()}, moments without a tag ${gaps(events).length}`);
}

/** Ends with the signal after so many of these events. */
function killAt(sandbox: GitLabSandbox, kind: LoggedEvent['kind'], more: number): AbortController {
  const kill = new AbortController();
  const {events} = sandbox.events;
  const count = (): number => events.filter((one) => one.kind === kind).length;
  const wanted = count() + more;
  const timer = setInterval(() => {
    if (count() < wanted) return;
    clearInterval(timer);
    kill.abort();
  }, 5);
  kill.signal.addEventListener('abort', () => clearInterval(timer));
  return kill;
}

async function group(): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const names = Array.from({length: 20}, (_, at) => (at === 0 ? '' : `image${at}`));
  const projects = {'org/build/app': names, 'org/build/lib': names, 'org/build/sub/web': names};
  const rig = await start('legacy', projects, 10, true, parts);
  const {sandbox, plan} = rig;
  await record(sandbox, 'org/build/app/once');
  say('a group of three projects, 60 repositories, 600 tags');
  const gitlab = ['--gitlab', sandbox.url, '--out', plan, ...QUIET];
  await command(
    [
      'plan',
      'transfer',
      '--group',
      'org/build',
      '--to',
      'new_org/',
      ...gitlab,
      '--donor',
      'donors/parking',
    ],
    [0],
  );
  const apply = ['apply', plan, '--yes', ...QUIET];
  for (const [kind, more] of [
    ['manifest-pushed', 200],
    ['tag-deleted', 300],
    ['group-moved', 1],
  ] as const) {
    await command(apply, [137], killAt(sandbox, kind, more).signal);
    say(`  ${(await status(plan)).split('\n').at(-2)}`);
  }
  await command(apply, [0]);
  await command(['verify', plan, ...QUIET], [0]);
  await command(['rollback', plan, '--yes', ...QUIET], [0]);
  say(`  ${(await status(plan)).split('\n').at(-2)}`);
  await command(apply, [0]);
  await command(['verify', plan, ...QUIET], [0]);
  const {events} = sandbox.events;
  say(
    `  requests ${sandbox.log.entries.length}, blob bytes ${rig.blobBytes()}, moments without a tag ${gaps(events).length}`,
  );
}

async function status(plan: string): Promise<string> {
  return (await run(['status', plan])).stdout;
}

await using folder = await tempDirectory();
home = folder.path;
for (const mode of ['legacy', 'metadata-db'] as const)
  for (const hasPolicy of [true, false]) await away(mode, hasPolicy);
await group();
