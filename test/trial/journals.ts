import {createHash} from 'node:crypto';
import {
  access,
  chmod,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type HttpServer, startHttpServer} from '../support/http-server.ts';
import {runProgram} from '../support/program.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

/*
 * Journals, undo files and locks that somebody else wrote. They are memories: whatever they say, a run does what its
 * plan and its flags permit, sends bytes to the planned repositories, and deletes nothing else (docs/security.md).
 */

const GROUP = 'forged journals';
const LAYOUT = layoutDirectory('layered');
const RUN = (plan: string) => ({type: 'run', plan, at: '2026-01-01T00:00:00Z'});
const lines = (...entries: readonly object[]) =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');

interface Scene {
  readonly target: Sandbox;
  /** Requests of the target that change something. */
  readonly changes: string[];
  readonly plan: string;
  readonly blobs: readonly {readonly digest: string; readonly size: number}[];
  readonly elsewhere: HttpServer;
  readonly to: string;
}

/** A plan of copies that is not applied yet. */
async function setUp(trial: Trial): Promise<Scene> {
  const changes: string[] = [];
  const target = trial.use(
    await startSandbox({
      intercept: async ({method, path}, next) => {
        if (method !== 'GET' && method !== 'HEAD') changes.push(`${method} ${path}`);
        return await next();
      },
    }),
  );
  const elsewhere = trial.use(
    await startHttpServer((_request, response) => {
      response.writeHead(204, {range: '0-0', location: '/x'}).end();
    }),
  );
  const to = `${target.host}/app`;
  const out = ['--out', 'p.json', '--allow-unsafe-redirects', target.host];
  expectEnd(await trial.transshipHere(['plan', 'copy', `oci:${LAYOUT}`, to, ...out]), 0);
  const {id} = JSON.parse(await readFile(trial.path('p.json'), 'utf8')) as {id: string};
  const index = JSON.parse(await readFile(join(LAYOUT, 'index.json'), 'utf8')) as {
    manifests: {digest: string}[];
  };
  const blobs = await layersOf(index.manifests.map(({digest}) => digest));
  return {target, changes, plan: id, blobs, elsewhere, to};
}

async function layersOf(digests: readonly string[]) {
  const found: {digest: string; size: number}[] = [];
  for (const digest of digests) {
    const text = await readFile(join(LAYOUT, 'blobs', 'sha256', digest.slice(7)), 'utf8');
    const {layers = [], manifests = []} = JSON.parse(text) as {
      layers?: {digest: string; size: number}[];
      manifests?: {digest: string}[];
    };
    found.push(...layers, ...(await layersOf(manifests.map((one) => one.digest))));
  }
  return found;
}

/** Runs the plan to its end, with this journal: all of it is copied, to the planned repository alone. */
async function applyForged(trial: Trial, scene: Scene, journal: string, file = 'p.journal.ndjson') {
  await trial.plant(trial.path(file), journal);
  const flags = ['--journal', file, '--chunk-size', '64KiB'];
  const run = await trial.transshipHere(['apply', 'p.json', ...flags]);
  expectEnd(run, 0);
  expectEnd(await trial.transshipHere(['verify', 'p.json', '--read']), 0);
  const others = scene.changes.filter((one) => !/^\S+ \/v2\/app\/(?:blobs|manifests)\//.test(one));
  if (others.length > 0) throw new Error(`changes elsewhere: ${others.join(', ')}`);
  if (scene.elsewhere.requests.length > 0)
    throw new Error(
      `requests elsewhere: ${scene.elsewhere.requests.map(({target}) => target).join()}`,
    );
  return run;
}

/** Where uploads are said to be, that are none of the planned repository's. */
const PLACES: Readonly<Record<string, (scene: Scene) => Promise<string> | string>> = {
  'an upload of another repository': async ({target}) => {
    const answer = await fetch(`${target.url}/v2/theirs/blobs/uploads/`, {method: 'POST'});
    return answer.headers.get('location') ?? '';
  },
  'an upload of a repository below': async ({target}) => {
    const answer = await fetch(`${target.url}/v2/app/below/blobs/uploads/`, {method: 'POST'});
    return answer.headers.get('location') ?? '';
  },
  'an upload of a repository by a path that goes up': async ({target}) => {
    const answer = await fetch(`${target.url}/v2/theirs/blobs/uploads/`, {method: 'POST'});
    const {pathname, search} = new URL(answer.headers.get('location') ?? '');
    return `${target.url}/v2/app/blobs/uploads/%2e%2e/../..${pathname.slice(3)}${search}`;
  },
  'a manifest of another repository': ({target}) => `${target.url}/v2/theirs/manifests/latest`,
  'another host': ({elsewhere}) => `${elsewhere.url}/v2/app/blobs/uploads/1`,
  'another name of the host': ({target}) =>
    `${target.url.replace('127.0.0.1', 'localhost')}/v2/theirs/blobs/uploads/1`,
  'a link-local address': () => 'http://169.254.169.254/v2/app/blobs/uploads/1',
  'a file': () => 'file:///etc/passwd',
  'a login in the URL': ({target}) =>
    `${target.url.replace('//', '//ada:x@')}/v2/app/blobs/uploads/1`,
  'no URL': () => 'http://[',
  'a long URL': ({target}) => `${target.url}/v2/app/blobs/uploads/${'x'.repeat(100_000)}`,
  'line breaks': ({target}) => `${target.url}/v2/app/blobs/uploads/1\r\nx: y`,
};

const uploads: readonly Case[] = Object.entries(PLACES).map(([name, place]) => ({
  group: GROUP,
  name: `uploads: ${name}`,
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    const location = await place(scene);
    scene.changes.length = 0;
    const entries = scene.blobs.map(({digest}) => ({
      type: 'upload',
      digest,
      to: scene.to,
      location,
      offset: 0,
    }));
    await applyForged(trial, scene, lines(RUN(scene.plan), ...entries));
  },
}));

/** What a journal of a copy claims that is not so. */
const CLAIMS: Readonly<Record<string, (scene: Scene) => string>> = {
  'all steps done': ({plan}) =>
    lines(
      RUN(plan),
      ...Array.from({length: 50}, (_, at) => ({type: 'step', id: String(at), outcome: 'done'})),
      ...['done', 'present', 'failed', 'blocked'].map((outcome) => ({
        type: 'step',
        id: `copy-1`,
        outcome,
      })),
      {type: 'end', result: 'done', at: '2026-01-01T00:00:00Z'},
    ),
  'all blobs there': ({plan, blobs, to}) =>
    lines(
      RUN(plan),
      ...['copied', 'mounted', 'present'].flatMap((outcome) =>
        blobs.map(({digest}) => ({type: 'blob', digest, to, outcome})),
      ),
    ),
  'tags deleted': ({plan, to}) =>
    lines(RUN(plan), ...deletions(to, 'deleting'), ...deletions(to, 'delete')),
  'tags taken along': ({plan, to}) =>
    lines(RUN(plan), {type: 'adopt', project: 1, repository: to, tag: 'latest'}),
  'folders and projects made': ({plan}) =>
    lines(
      RUN(plan),
      {type: 'made', what: 'directory', place: '/'},
      {type: 'made', what: 'directory', place: '..'},
      {
        type: 'made',
        what: 'project',
        place: 'org/app',
        id: 1,
        mark: '0f0e0d0c-0b0a-4908-8706-050403020100',
      },
    ),
  'half a line at the end': ({plan}) => `${lines(RUN(plan))}{"type":"step","id":"cop`,
  'an empty file': () => '',
  'the same line many times': ({plan}) => lines(RUN(plan)).repeat(20_000),
};

function deletions(to: string, type: string): readonly object[] {
  return [{type, project: 1, repository: to, tag: 'latest', digest: `sha256:${'0'.repeat(64)}`}];
}

const claims: readonly Case[] = Object.entries(CLAIMS).map(([name, journal]) => ({
  group: GROUP,
  name: `claims: ${name}`,
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    await applyForged(trial, scene, journal(scene));
  },
}));

/** Journals that are refused, or put aside: nothing is done because of them. */
const ODD: Readonly<Record<string, (scene: Scene) => string | Buffer>> = {
  'of another plan': () => lines(RUN(`sha256:${'1'.repeat(64)}`)),
  'of a later version': ({plan}) => lines(RUN(plan), {type: 'teleport', to: 'moon'}),
  'with an unknown field': ({plan}) => lines({...RUN(plan), version: 99}),
  'with an array': () => '[]\n',
  'with null': () => 'null\n',
  'with a byte order mark': ({plan}) => `\ufeff${lines(RUN(plan))}`,
  'with CR LF': ({plan}) => lines(RUN(plan)).replaceAll('\n', '\r\n'),
  'with zero bytes': ({plan}) => `${lines(RUN(plan))}${'\0'.repeat(4096)}\n`,
  'with bytes that are not UTF-8': ({plan}) =>
    Buffer.concat([Buffer.from(lines(RUN(plan))), Buffer.from([0xff, 0xfe, 0x0a])]),
  'with empty lines': ({plan}) => `\n\n${lines(RUN(plan))}\n`,
  'with a long line': ({plan}) =>
    lines(RUN(plan), {type: 'step', id: 'x'.repeat(5e6), outcome: 'done'}),
  'with names of JavaScript': ({plan}) =>
    lines(RUN(plan)).replace('{', '{"__proto__":{"type":"end"},"constructor":1,'),
  'with negative numbers': ({plan, to}) =>
    lines(RUN(plan), {
      type: 'upload',
      digest: `sha256:${'0'.repeat(64)}`,
      to,
      location: 'x',
      offset: -1,
    }),
  'with huge numbers': ({plan, to, blobs, target}) =>
    lines(
      RUN(plan),
      ...blobs.map(({digest}) => ({
        type: 'upload',
        digest,
        to,
        location: `${target.url}/v2/app/blobs/uploads/1`,
        offset: Number.MAX_SAFE_INTEGER,
        minChunk: Number.MAX_SAFE_INTEGER,
      })),
    ),
  'with hostile words': ({plan}) =>
    lines(RUN(plan), {
      type: 'step',
      id: '\u202e\u001b[2J</script>',
      outcome: 'failed',
      error: {code: 'X\u009b', side: 'local', message: '\u001b]8;;x\u0007', hint: '\u202e'},
    }),
};

const odd: readonly Case[] = Object.entries(ODD).map(([name, journal]) => ({
  group: GROUP,
  name,
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    await trial.plant(trial.path('j.ndjson'), journal(scene));
    for (const args of [
      ['status', 'p.json', '--journal', 'j.ndjson'],
      ['status', 'p.json', '--journal', 'j.ndjson', '--format', 'markdown'],
      ['show', 'p.json', '--format', 'html', '--journal', 'j.ndjson'],
      ['apply', 'p.json', '--journal', 'j.ndjson'],
      ['rollback', 'p.json', '--journal', 'j.ndjson'],
    ])
      expectEnd(await trial.transshipHere(args), [0, 1, 3, 64]);
  },
}));

/** What may be in the place of a lock. */
const LOCKS: Readonly<Record<string, (lock: string, trial: Trial) => Promise<unknown>>> = {
  'a link to a folder': async (lock, trial) => {
    await mkdir(trial.path('mine'));
    await writeFile(trial.path('mine', 'letter'), 'dear');
    await symlink(trial.path('mine'), lock);
  },
  'a link to nowhere': (lock) => symlink('/nonexistent', lock),
  'a pipe': (lock) => runProgram('mkfifo', [lock]),
  'a file': (lock) => writeFile(lock, '{}'),
  'an empty folder': (lock) => mkdir(lock),
  'a folder with a link': async (lock, trial) => {
    await mkdir(lock);
    await writeFile(trial.path('letter'), 'dear');
    await symlink(trial.path('letter'), join(lock, 'x'));
  },
  'a folder with a folder': (lock) => mkdir(join(lock, 'x', 'y'), {recursive: true}),
  'a folder with a pipe': async (lock) => {
    await mkdir(lock);
    await runProgram('mkfifo', [join(lock, 'x')]);
  },
  'a large owner': async (lock) => {
    await mkdir(lock);
    await writeFile(join(lock, 'x'), '');
    await truncate(join(lock, 'x'), 2 ** 40);
  },
  'many owners': async (lock) => {
    await mkdir(lock);
    for (let at = 0; at < 500; at++) await writeFile(join(lock, `x${at}`), await deadOwner());
  },
  'a dead process': async (lock) => {
    await mkdir(lock);
    await writeFile(join(lock, 'x'), await deadOwner());
  },
  'a living process': async (lock) => {
    await mkdir(lock);
    await writeFile(
      join(lock, 'x'),
      JSON.stringify({...(await owner()), pid: 1, start: await startOf(1)}),
    );
  },
  'another host': async (lock) => {
    await mkdir(lock);
    await writeFile(join(lock, 'x'), JSON.stringify({host: 'elsewhere\u202e', pid: 1}));
  },
};

async function owner() {
  const {uid} = process.getuid ? {uid: process.getuid()} : {uid: 0};
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const {stdout} = await runProgram('readlink', ['/proc/self/ns/pid']);
  return {host: hostname(), namespace: stdout.trim(), boot, uid};
}

async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function deadOwner(): Promise<string> {
  return JSON.stringify({...(await owner()), pid: 4_000_000, start: '1'});
}

const locks: readonly Case[] = Object.entries(LOCKS).map(([name, make]) => ({
  group: GROUP,
  name: `in place of a lock: ${name}`,
  seconds: 60,
  run: async (trial) => {
    await setUp(trial);
    await make(trial.path('p.journal.ndjson.lock'), trial);
    const run = await trial.transshipHere(['apply', 'p.json']);
    expectEnd(run, [0, 1, 3, 64]);
    for (const mine of ['letter', 'mine/letter'])
      if ((await readFile(trial.path(mine), 'utf8').catch(() => 'dear')) !== 'dear')
        throw new Error('a file of the user changed');
    const isThere = name.includes('with a link')
      ? 'letter'
      : name === 'a link to a folder'
        ? 'mine/letter'
        : undefined;
    if (isThere !== undefined) await access(trial.path(isThere));
  },
}));

/** A user's own folder, which a journal says that the plan made. */
const folders: readonly Case[] = ['donor', './donor', 'oci:donor', '..', '.', 'donor/../mine'].map(
  (place) => ({
    group: GROUP,
    name: `a folder that is said to be made: ${place}`,
    seconds: 60,
    run: async (trial) => {
      const {gitlab, env} = await gitlabOf(trial);
      await mkdir(trial.path('mine'));
      await writeFile(trial.path('mine', 'letter'), 'dear');
      await mkdir(trial.path('donor'));
      const plan = ['plan', 'transfer', 'org/app', '--to', 'new/', '--donor', './donor'];
      const gitlabFlag = ['--gitlab', gitlab.url, '--out', 'm.json'];
      expectEnd(await trial.transshipHere([...plan, ...gitlabFlag], {env}), 0);
      const {id} = JSON.parse(await readFile(trial.path('m.json'), 'utf8')) as {id: string};
      const made = ['directory', 'project'].map((what) => ({
        type: 'made',
        what,
        place,
        id: 1,
        mark: '0f0e0d0c-0b0a-4908-8706-050403020100',
      }));
      await trial.plant(trial.path('m.journal.ndjson'), lines(RUN(id), ...made));
      const flags = ['--yes', '--remove-donor', '--gitlab', gitlab.url];
      await trial.transshipHere(['apply', 'm.json', ...flags], {env});
      await trial.transshipHere(['rollback', 'm.json', '--yes', '--gitlab', gitlab.url], {env});
      if ((await readFile(trial.path('mine', 'letter'), 'utf8')) !== 'dear')
        throw new Error('a file of the user changed');
      if (!(await readdir(trial.path())).includes('m.json')) throw new Error('the plan is gone');
    },
  }),
);

async function gitlabOf(
  trial: Trial,
): Promise<{gitlab: GitLabSandbox; env: Record<string, string>}> {
  const token = trial.secret('token');
  const gitlab = await startGitLabSandbox({
    mode: 'legacy',
    switches: {deletionDelayMs: 0},
    seed: parseSeed({
      users: [{name: 'ada'}],
      groups: [
        {path: 'org', members: {ada: 'owner'}},
        {path: 'new', members: {ada: 'owner'}},
      ],
      projects: [
        {path: 'org/app', images: [{name: 'cr', layout: layoutDirectory('helm')}]},
        {path: 'org/other', images: [{layout: layoutDirectory('helm')}]},
      ],
      tokens: [{value: token, user: 'ada', scopes: ['api']}],
    }),
  });
  trial.use({[Symbol.asyncDispose]: () => gitlab.close()});
  return {gitlab, env: {GITLAB_TOKEN: token}};
}

/** Undo files: what they say to be deleted, and the manifests of it. */
const UNDO: Readonly<Record<string, (text: string, plan: string, repository: string) => string>> = {
  'other bytes': (text) => text.replaceAll(/"bytes":"[^"]*"/g, '"bytes":"e30="'),
  'another media type': (text) =>
    text.replaceAll(/"mediaType":"[^"]*"/g, '"mediaType":"text/html\\r\\nx: y"'),
  'another repository': (text, _plan, repository) => text.replaceAll(repository, `${repository}/x`),
  'other tags': (text) => text.replaceAll(/"tag":"[^"]*"/g, '"tag":"forged"'),
  'another plan': (text, plan) => text.replaceAll(plan, `sha256:${'2'.repeat(64)}`),
  'a manifest of theirs': (text) => {
    const bytes = Buffer.from('{"schemaVersion":2,"evil":1}');
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const entry = {type: 'manifest', digest, mediaType: 'x', bytes: bytes.toString('base64')};
    return text + lines(entry);
  },
  'lines without end': (text) => text + 'x'.repeat(20 * 2 ** 20),
};

const undo: readonly Case[] = Object.entries(UNDO).map(([name, forge]) => ({
  group: GROUP,
  name: `an undo file with ${name}`,
  seconds: 60,
  run: async (trial) => {
    const {target, to, changes} = await setUp(trial);
    expectEnd(await trial.transshipHere(['apply', 'p.json']), 0);
    const plan = ['plan', 'delete', to, '--tag', '*', '--out', 'd.json'];
    expectEnd(await trial.transshipHere(plan), 0);
    expectEnd(await trial.transshipHere(['apply', 'd.json', '--yes']), 0);
    const {id} = JSON.parse(await readFile(trial.path('d.json'), 'utf8')) as {id: string};
    const file = trial.path('d.undo.ndjson');
    await trial.plant(file, forge(await readFile(file, 'utf8'), id, to));
    changes.length = 0;
    expectEnd(await trial.transshipHere(['rollback', 'd.json']), [0, 1, 4, 64]);
    const others = changes.filter((one) => !one.startsWith('PUT /v2/app/manifests/'));
    if (others.length > 0) throw new Error(`changes elsewhere: ${others.join(', ')}`);
    const answer = await fetch(`${target.url}/v2/app/tags/list`);
    if ((await answer.text()).includes('forged')) throw new Error('a tag that was not deleted');
  },
}));

/** A journal that cannot be written, and files in its place. */
const readOnly: Case = {
  group: GROUP,
  name: 'a journal that may only be read, or is no file',
  seconds: 60,
  run: async (trial) => {
    await setUp(trial);
    const file = trial.path('j');
    for (const make of [
      async () => await writeFile(file, '', {mode: 0o400}),
      async () => await mkdir(file),
      async () => await symlink(trial.path('p.json'), file),
      async () => await symlink('/dev/full', file),
      async () => await runProgram('mkfifo', [file]),
    ]) {
      await make();
      for (const command of ['apply', 'status'])
        expectEnd(await trial.transshipHere([command, 'p.json', '--journal', 'j']), [0, 1, 3, 64]);
      JSON.parse(await readFile(trial.path('p.json'), 'utf8'));
      await chmod(file, 0o700).catch(() => undefined);
      await rm(file, {recursive: true, force: true});
    }
  },
};

export const journals: readonly Case[] = [
  ...uploads,
  ...claims,
  ...odd,
  ...locks,
  ...folders,
  ...undo,
  readOnly,
];
