import {writeFile} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import PQueue from 'p-queue';
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
 * 1. One project with 200 tags: how long its images are away, in both modes, with and without a cleanup policy; and
 * with a
 *    script around regctl that works on 32 tags at once (`go install
 *    github.com/regclient/regclient/cmd/regctl@latest`).
 * 2. A group of three projects, one of them in a subgroup, with 60 repositories, 600 tags and an empty repository:
 * killed
 *    (SIGKILL) three times and applied to its end, rolled back, and moved again.
 */

/** Of the project that is away. */
const TAGS = 200;
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

/**
 * From the first deleted tag of the old path to the last one that was pushed to the new one, phase by phase, in
 * seconds.
 */
function awayOf(
  events: readonly LoggedEvent[],
  from: string,
  to: string,
): {readonly seconds: number; readonly text: string} {
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
  const text = `${all} s (deleted ${last}, moved ${move}, mounts ${mount} to ${mounts}, tags ${push} to ${all})`;
  return {seconds: all ?? 0, text};
}

/** At most so much of the time that the script takes (regctl, both modes, with and without a policy). */
const TARGET = 0.4;
const AT_ONCE = 32;

/** By regctl: copy each tag to the donor, delete each, move the project, copy each to the new path. */
async function byScript(mode: RegistryMode): Promise<number | undefined> {
  await using parts = new AsyncDisposableStack();
  const {sandbox, temp} = await start(mode, {'org/app': ['']}, TAGS, false, parts);
  const {host, url} = sandbox;
  const hosts = {[host]: {tls: 'disabled', user: 'ada', pass: 'ada-api'}};
  await writeFile(temp.join('config.json'), JSON.stringify({hosts}));
  const env = {PATH: process.env['PATH'] ?? '', REGCTL_CONFIG: temp.join('config.json')};
  const each = async (args: (tag: string) => readonly string[]): Promise<void> => {
    const queue = new PQueue({concurrency: AT_ONCE});
    const tags = Array.from({length: TAGS}, (_, at) => `v${at}`);
    await queue.addAll(
      tags.map((tag) => async () => {
        const {code, stderr} = await runProgram('regctl', args(tag), {env});
        if (code !== 0) throw new Error(`regctl ${args(tag).join(' ')}: ${stderr}`);
      }),
    );
  };
  const [old, donor, now] = ['org/app', 'donors/parking/app', 'new_org/app'].map(
    (path) => `${host}/${path}`,
  );
  try {
    await each((tag) => ['image', 'copy', `${old}:${tag}`, `${donor}:${tag}`]);
    await each((tag) => ['tag', 'delete', `${old}:${tag}`]);
  } catch (error) {
    say(`  no script: ${String(error)}`);
    return undefined;
  }
  const moved = await fetch(`${url}/api/v4/projects/org%2Fapp/transfer`, {
    method: 'PUT',
    headers: {'private-token': 'ada-api', 'content-type': 'application/json'},
    body: JSON.stringify({namespace: 'new_org'}),
  });
  if (!moved.ok) throw new Error(await moved.text());
  await each((tag) => ['image', 'copy', `${donor}:${tag}`, `${now}:${tag}`]);
  const {text, seconds} = awayOf(sandbox.events.events, 'org/app', 'new_org/app');
  say(`${mode}, regctl, ${AT_ONCE} at once\n  away ${text}`);
  return seconds;
}

async function away(mode: RegistryMode, hasPolicy: boolean): Promise<number> {
  await using parts = new AsyncDisposableStack();
  const rig = await start(mode, {'org/app': ['']}, TAGS, hasPolicy, parts);
  say(`${mode}, ${hasPolicy ? 'with' : 'without'} a cleanup policy`);
  const gitlab = ['--gitlab', rig.sandbox.url, '--out', rig.plan, ...QUIET];
  const made = await command(
    ['plan', 'transfer', 'org/app', '--to', 'new_org/', '--donor', 'donors/parking', ...gitlab],
    [0],
  );
  await command(['apply', rig.plan, '--yes', ...QUIET], [0]);
  const {events} = rig.sandbox.events;
  const estimate = /about (\d+) s without images/.exec(made.stdout)?.[1];
  const {seconds, text} = awayOf(events, 'org/app', 'new_org/app');
  say(`  away ${text}; estimate ${estimate} s`);
  say(`  blob bytes ${rig.blobBytes()}, moments without a tag ${gaps(events).length}`);
  return seconds;
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

async function group(mode: RegistryMode): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const names = Array.from({length: 20}, (_, at) => (at === 0 ? '' : `image${at}`));
  const projects = {'org/build/app': names, 'org/build/lib': names, 'org/build/sub/web': names};
  const rig = await start(mode, projects, 10, true, parts);
  const {sandbox, plan} = rig;
  await record(sandbox, 'org/build/app/once');
  say(`${mode}: a group of three projects, 60 repositories, 600 tags`);
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

await using directory = await tempDirectory();
home = directory.path;
for (const mode of ['legacy', 'metadata-db'] as const) {
  const script = await byScript(mode);
  for (const hasPolicy of [true, false]) {
    const seconds = await away(mode, hasPolicy);
    if (script === undefined) continue;
    const part = seconds / script;
    say(`  ${part.toFixed(2)} of the script: ${part <= TARGET ? 'met' : '**missed**'}`);
  }
}
for (const mode of ['legacy', 'metadata-db'] as const) await group(mode);
