import {randomUUID} from 'node:crypto';
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {runProgram} from '../support/program.ts';
import {sha256} from '../support/push-image.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import type {Exchange} from '../../src/sandbox/exchange.ts';
import {Content, serveRegistry} from './registry.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

/*
 * What is below ~/.cache/transship may be forged, cut, of any size, and no file at all. That may cost time, never the
 * copy, a secret, a file of the user, or a mount of what the source does not have.
 */

const GROUP = 'poisoned caches';

/** A source with some images, a destination, and files of the user that are nobody else's business. */
interface Scene {
  readonly source: string;
  readonly target: Sandbox;
  /** Uploads and mounts that were asked for at the destination. */
  readonly asked: string[];
  readonly mine: string;
}

async function setUp(trial: Trial): Promise<Scene> {
  const content = new Content();
  const tags = Object.fromEntries(
    Array.from({length: 4}, (_, at) => [
      `v${at}`,
      content.image([content.layer(`layer ${at}`.padEnd(20_000, 'x'))]),
    ]),
  );
  const source = trial.use(await serveRegistry({content, repositories: {app: tags}}));
  const asked: string[] = [];
  const target = trial.use(
    await startSandbox({
      intercept: async ({method, path, query}: Exchange, next) => {
        if (method === 'POST') asked.push(`${path}?${query.toString()}`);
        return await next();
      },
    }),
  );
  const mine = trial.path('mine');
  await mkdir(join(mine, 'below'), {recursive: true});
  for (let at = 0; at < 60; at++) {
    await writeFile(join(mine, `letter ${at}`), `dear ${at}`);
    const pack = join(mine, 'below', `${randomUUID()}.pack`);
    await writeFile(pack, '');
    await truncate(pack, 8 * 2 ** 20);
    await writeFile(join(mine, 'below', `${randomUUID()}.index`), `${sha256('x')} 0 1\n`);
  }
  return {source: source.host, target, asked, mine};
}

/** Every file below a folder, with its digest; of packs, which are large, without. */
async function digestsIn(folder: string): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile())
      found[path] = path.endsWith('.pack') ? 'a pack' : sha256(await readFile(path));
  }
  return found;
}

/** With compiled code kept as well, which only a process of its own does. */
const IN_PROCESS = {NODE_DISABLE_COMPILE_CACHE: undefined};
const HERE = {TRANSSHIP_NO_CACHE: ''};

async function copyAndVerify(
  trial: Trial,
  {source, target, mine}: Scene,
  to: string,
  how: 'here' | 'in a process' = 'here',
) {
  const before = await digestsIn(mine);
  const run = (...args: readonly string[]) =>
    how === 'here'
      ? trial.transshipHere(args, {env: HERE})
      : trial.transship(args, {env: IN_PROCESS});
  const places = [`${source}/app`, `${target.host}/${to}`];
  expectEnd(await run('plan', 'copy', ...places, '--out', 'p.json'), 0);
  expectEnd(await run('apply', 'p.json', '--debug'), 0);
  expectEnd(await run('verify', 'p.json', '--read'), 0);
  // A cache that the user has elsewhere, by a link, may be there.
  const after = await digestsIn(mine);
  for (const [path, digest] of Object.entries(before))
    if (after[path] !== digest) throw new Error(`a file of the user changed: ${path}`);
}

/** What may be in the place of a file or folder of the cache. */
const KINDS: Readonly<Record<string, (path: string, scene: Scene) => Promise<unknown>>> = {
  'a pipe': (path) => runProgram('mkfifo', [path]),
  'an empty file': (path) => writeFile(path, ''),
  'a terabyte of nothing': async (path) => {
    await writeFile(path, '');
    await truncate(path, 2 ** 40);
  },
  'a folder': (path) => mkdir(path),
  'a folder that nobody may enter': (path) => mkdir(path, 0o000),
  'a link to itself': (path) => symlink(path, path),
  'a link to nowhere': (path) => symlink('/nonexistent/x', path),
  'a link to what is mine': (path, {mine}) => symlink(mine, path),
  'a link to my packs': (path, {mine}) => symlink(join(mine, 'below'), path),
  'a link to /dev/zero': (path) => symlink('/dev/zero', path),
  'a link to /proc': (path) => symlink('/proc', path),
  'a folder of links to itself': async (path) => {
    await mkdir(path);
    for (const name of ['a', 'b', 'c']) await symlink(path, join(path, name));
  },
  'a folder with a link to my packs': async (path, {mine}) => {
    await mkdir(path);
    await symlink(join(mine, 'below'), join(path, 'more'));
    await symlink(mine, join(path, 'most'));
  },
};

/** Each folder and file of a cache, but of the user's compiled code only the folder. */
async function placesOf(cache: string): Promise<readonly string[]> {
  const entries = await readdir(cache, {recursive: true, withFileTypes: true});
  const below = entries.map((entry) => join(entry.parentPath, entry.name));
  const own = below.filter((path) => !/\/v\d+\.[^/]+\//.test(path));
  return [cache, dirname(cache), ...own];
}

/** The name of a place without what differs from run to run. */
const KIND_OF_PLACE: Readonly<Record<string, RegExp>> = {
  'the folder of all caches': /\.cache$/,
  'the cache': /transship$/,
  content: /content$/,
  'content of a repository': /content\/[0-9a-f]{32}$/,
  'a pack': /\.pack$/,
  'an index': /\.index$/,
  'the time of the last sweep': /swept$/,
  blobs: /blobs$/,
  'blobs of a registry': /blobs\/[0-9a-f]{32}$/,
  'compiled code': /\/v\d+[^/]*$/,
};

const planted: readonly Case[] = Object.entries(KIND_OF_PLACE).map(([what, pattern]) => ({
  group: GROUP,
  name: `other kinds of files: ${what}`,
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    const cache = trial.home('.cache', 'transship');
    const kept = trial.path('kept-cache');
    const how = what === 'compiled code' ? 'in a process' : 'here';
    await copyAndVerify(trial, scene, 'first', how);
    await rename(dirname(cache), kept);
    for (const [at, [kind, make]] of Object.entries(KINDS).entries()) {
      await cp(kept, dirname(cache), {recursive: true});
      // A sweep is due.
      await rm(join(cache, 'content', 'swept'), {force: true});
      const path = (await placesOf(cache)).find((place) => pattern.test(place));
      if (path === undefined) {
        if (what === 'the time of the last sweep')
          await make(join(cache, 'content', 'swept'), scene);
        else throw new Error(`there is no place of ${what}`);
      } else {
        await rm(path, {recursive: true});
        await make(path, scene);
      }
      try {
        await copyAndVerify(trial, scene, `to-${at}`, how);
      } catch (error) {
        throw new Error(`${kind}: ${(error as Error).message}`, {cause: error});
      }
      await rm(dirname(cache), {recursive: true, force: true});
    }
  },
}));

/** Other content in the files of a cache. */
const FORGERIES: Readonly<Record<string, (file: string) => Promise<unknown>>> = {
  'half of it': async (file) => truncate(file, Math.floor((await readFile(file)).byteLength / 2)),
  'all but a byte': async (file) => truncate(file, (await readFile(file)).byteLength - 1),
  'other bytes': async (file) =>
    writeFile(
      file,
      (await readFile(file)).map((byte) => byte ^ 1),
    ),
  'no line ends': async (file) =>
    writeFile(file, (await readFile(file, 'latin1')).replaceAll('\n', ' '), 'latin1'),
  'other offsets': async (file) =>
    writeFile(
      file,
      (await readFile(file, 'latin1')).replaceAll(/ (\d+) (\d+)$/gm, ' -1 9007199254740991'),
      'latin1',
    ),
  'sizes of a gigabyte': async (file) =>
    writeFile(
      file,
      (await readFile(file, 'latin1')).replaceAll(/ (\d+)$/gm, ' 1073741824'),
      'latin1',
    ),
  'lines without end': async (file) => appendFile(file, 'x'.repeat(20 * 2 ** 20)),
  'many more lines': async (file) => {
    const lines = Array.from({length: 100_000}, (_, at) => `${sha256(String(at))} ${at} 10`);
    await appendFile(file, `\n${lines.join('\n')}\n`);
  },
};

const forged: readonly Case[] = Object.entries(FORGERIES).map(([name, forge]) => ({
  group: GROUP,
  name: `other content: ${name}`,
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    await copyAndVerify(trial, scene, 'first');
    const cache = trial.home('.cache', 'transship');
    for (const path of await placesOf(cache)) {
      const isFile = /\.(?:pack|index)$|blobs\/[0-9a-f]{32}$/.test(path);
      if (isFile) await forge(path);
    }
    await copyAndVerify(trial, scene, 'second');
    await copyAndVerify(trial, scene, 'third');
  },
}));

const giant: Case = {
  group: GROUP,
  name: 'many large indexes',
  seconds: 120,
  run: async (trial) => {
    const scene = await setUp(trial);
    await copyAndVerify(trial, scene, 'first');
    const cache = trial.home('.cache', 'transship');
    const index = (await placesOf(cache)).find((path) => path.endsWith('.index')) ?? '';
    for (let file = 0; file < 20; file++) {
      const lines = Array.from(
        {length: 300_000},
        (_, at) => `sha256:${(file * 300_000 + at).toString(16).padStart(64, '0')} ${at} 10`,
      );
      await writeFile(join(dirname(index), `${randomUUID()}.index`), `${lines.join('\n')}\n`);
    }
    await copyAndVerify(trial, scene, 'second', 'in a process');
  },
};

/** Blobs that the cache says are somewhere: mounted only if the source has them itself. */
const mounts: Case = {
  group: GROUP,
  name: 'places of blobs that the source does not have',
  seconds: 60,
  run: async (trial) => {
    const content = new Content();
    const secret = Buffer.from('the private layer '.padEnd(50_000, 's'));
    const named = {mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(secret)};
    const image = content.image([
      content.layer('layer'.padEnd(20_000, 'x')),
      {...named, size: secret.byteLength},
    ]);
    const source = trial.use(await serveRegistry({content, repositories: {app: {v1: image}}}));
    const asked: string[] = [];
    const target = trial.use(
      await startSandbox({
        intercept: async ({method, path, query}, next) => {
          if (method === 'POST') asked.push(`${path}?${query.toString()}`);
          return await next();
        },
      }),
    );
    const own = new Content();
    const whole = own.image([own.put(secret, named.mediaType)]);
    const theirs = trial.use(await serveRegistry({content: own, repositories: {app: {v1: whole}}}));
    const fill = ['copy', `${theirs.host}/app:v1`, `${target.host}/private/repo:v1`];
    expectEnd(await trial.transshipHere(fill, {env: HERE}), 0);
    const file = (await placesOf(trial.home('.cache', 'transship'))).find((path) =>
      /blobs\/[0-9a-f]{32}$/.test(path),
    );
    const lines = ['private/repo', 'private/other', '../../x', 'a'.repeat(300), 'x y', ''].map(
      (path) => `+ ${named.digest} ${path}\n+ ${sha256('layer'.padEnd(20_000, 'x'))} ${path}\n`,
    );
    await appendFile(file ?? '', lines.join(''));
    asked.length = 0;
    const again = ['copy', `${source.host}/app:v1`, `${target.host}/public/x:v1`];
    const run = await trial.transshipHere(again, {env: HERE});
    expectEnd(run, 1);
    if (asked.some((one) => one.includes(named.digest.slice(7)) && one.includes('mount=')))
      throw new Error(`a mount of what the source does not have: ${asked.join('\n')}`);
  },
};

/** A folder that belongs to somebody else, or that others may write to. */
const others: Case = {
  group: GROUP,
  name: 'a folder of somebody else',
  seconds: 60,
  run: async (trial) => {
    const scene = await setUp(trial);
    const cache = trial.home('.cache', 'transship');
    await mkdir(cache, {recursive: true});
    await runProgram('chown', ['-R', 'nobody', dirname(cache)]);
    await chmod(cache, 0o777);
    await copyAndVerify(trial, scene, 'first', 'in a process');
    const left = await readdir(cache);
    if (left.some((name) => name.startsWith('v')))
      throw new Error(`compiled code is kept where somebody else can write it: ${left.join(' ')}`);
  },
};

export const caches: readonly Case[] = [...planted, ...forged, giant, mounts, others];
