import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {LayoutFiles, type LayoutManifest} from '../support/layout-files.ts';
import {needTool} from '../support/debian-tool.ts';
import {type Podman, startPodman} from '../support/podman.ts';
import {runProgram} from '../support/program.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/*
 * Each place as source and as destination, with real images of every kind. What arrives is copied into an image layout
 * and compared there with the fixture, byte for byte.
 */

const IMAGES = [
  ['signed', '1.0'],
  ['zstd', 'mixed'],
  ['odd', 'sha512'],
] as const;
const KINDS = ['registry', 'docker-registry', 'oci', 'oci-archive', 'dir'] as const;
type Kind = (typeof KINDS)[number];

let temp: TempDirectory;
let hosts: Readonly<Record<'registry' | 'docker-registry', string>>;
const started = new AsyncDisposableStack();
let places = 0;

beforeAll(async () => {
  temp = started.use(await tempDirectory());
  const [sandbox, registry] = [await startSandbox(), await startDockerRegistry()];
  started.use(sandbox);
  started.use(registry);
  hosts = {registry: sandbox.host, 'docker-registry': registry.host};
});
afterAll(async () => {
  await started.disposeAsync();
});

/** A place of its own for an image. */
function place(kind: Kind): string {
  places += 1;
  switch (kind) {
    case 'registry':
    case 'docker-registry':
      return `${hosts[kind]}/p${places}:x`;
    case 'oci':
    case 'oci-archive':
      return `${kind}:${temp.join(`p${places}`)}:x`;
    case 'dir':
      return `dir:${temp.join(`p${places}`)}`;
  }
}

async function copied(
  from: string,
  to: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const {code, stdout, stderr} = await transship(['copy', from, to], {env});
  expect({code, said: code === 0 ? '' : stdout + stderr}).toEqual({code: 0, said: ''});
}

/** All manifests of a layout, `oci:DIR:x`, with those that lie beside its images, by digest. */
async function contentOf(name: string): Promise<readonly LayoutManifest[]> {
  const files = await LayoutFiles.open(name.slice('oci:'.length, -':x'.length));
  const all = await Promise.all(files.entries.map((entry) => files.walk(entry)));
  const found = new Map(all.flat().map((manifest) => [manifest.digest, manifest]));
  return [...found.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

/** Every pair of kinds once, as one way from place to place: each step goes from where the last one ended. */
function everyPair(): readonly Kind[] {
  const left = new Map(KINDS.map((kind) => [kind, [...KINDS]]));
  const way: Kind[] = [];
  const stack: Kind[] = ['oci'];
  // Hierholzer: each kind has as many ways in as out, so that the way is a circle.
  while (stack.length > 0) {
    const at = stack.at(-1) as Kind;
    const next = left.get(at)?.pop();
    if (next === undefined) way.push(stack.pop() as Kind);
    else stack.push(next);
  }
  return way.reverse();
}

test('the way leads from each kind of place to each', () => {
  const way = everyPair();
  const pairs = way.slice(1).map((to, at) => `${way[at]} ${to}`);
  expect(new Set(pairs).size).toBe(KINDS.length ** 2);
});

test.each(IMAGES)(
  '%s:%s is copied from each place to each, with its attachments',
  async (layout, tag) => {
    const [first, ...way] = everyPair();
    let from = first;
    let name = place('oci');
    expect(from).toBe('oci');
    await copied(`oci:${layoutDirectory(layout)}:${tag}`, name);
    const wanted = await contentOf(name);
    expect(wanted.length).toBeGreaterThan(0);
    for (const to of way) {
      const next = place(to);
      await copied(name, next);
      const seen = to === 'oci' ? await contentOf(next) : wanted;
      expect({from, to, seen}).toEqual({from, to, seen: wanted});
      [from, name] = [to, next];
    }
    expect(from).toBe('oci');
  },
);

describe('an image that another program stored', () => {
  const IMAGE = 'localhost/busybox:1.35';
  let podman: Podman;
  let daemon: string;

  beforeAll(async () => {
    podman = started.use(await startPodman());
    const id = await podman.run('pull', '-q', `oci:${layoutDirectory('busybox')}:1.35-amd64`);
    await podman.run('tag', id.stdout.trim(), IMAGE);
    daemon = await podman.serve();
  });

  async function run(tool: 'skopeo' | 'buildah', ...args: readonly string[]): Promise<void> {
    const {code, stderr} = await runProgram(await needTool(tool), args, {env: podman.env});
    if (code !== 0) throw new Error(`${tool} ${args.join(' ')}: ${stderr}`);
  }

  /** Writes an archive and gives the place of the image in it. */
  const stores: Readonly<Record<string, (file: string) => Promise<string>>> = {
    'docker-archive: of skopeo': async (file) => {
      const to = `docker-archive:${file}:${IMAGE}`;
      await run('skopeo', '--insecure-policy', 'copy', `containers-storage:${IMAGE}`, to);
      return to;
    },
    'docker-archive: of podman': async (file) => {
      await podman.run('save', '-q', '--format', 'docker-archive', '-o', file, IMAGE);
      return `docker-archive:${file}:${IMAGE}`;
    },
    'docker-archive: of buildah': async (file) => {
      await run('buildah', 'push', '-q', IMAGE, `docker-archive:${file}:${IMAGE}`);
      return `docker-archive:${file}:${IMAGE}`;
    },
    'oci-archive: of skopeo': async (file) => {
      const to = `oci-archive:${file}:x`;
      await run('skopeo', '--insecure-policy', 'copy', `containers-storage:${IMAGE}`, to);
      return to;
    },
    'oci-archive: of podman': async (file) => {
      await podman.run('save', '-q', '--format', 'oci-archive', '-o', file, IMAGE);
      return `oci-archive:${file}`;
    },
    'oci-archive: of buildah': async (file) => {
      await run('buildah', 'push', '-q', IMAGE, `oci-archive:${file}:x`);
      return `oci-archive:${file}:x`;
    },
    'docker-daemon:': () => Promise.resolve(`docker-daemon:${IMAGE}`),
    'containers-storage:': () => Promise.resolve(`containers-storage:${IMAGE}`),
  };

  test.each(Object.keys(stores))('%s goes to each place, with one digest', async (store) => {
    places += 1;
    const source = (await stores[store]?.(temp.join(`s${places}`))) ?? '';
    const env = {...podman.env, DOCKER_HOST: daemon, PATH: process.env['PATH'] ?? ''};
    const direct = place('oci');
    await copied(source, direct, env);
    const wanted = await contentOf(direct);
    expect(wanted).toHaveLength(1);
    // Each kind is read in one way, whoever wrote it: all of a row once, of the others those that keep bytes
    // differently.
    const row = store.endsWith('of skopeo') ? KINDS : (['docker-registry', 'dir'] as const);
    for (const to of row) {
      const [destination, out] = [place(to), place('oci')];
      await copied(source, destination, env);
      await copied(destination, out);
      expect({to, seen: await contentOf(out)}).toEqual({to, seen: wanted});
    }
    // It reads every layer and compares it with its diff id. Docker's manifests it reads from no layout.
    const [last, read] = [place('dir'), `docker-archive:${temp.join(`r${places}`)}`];
    await copied(direct, last);
    await run('skopeo', '--insecure-policy', 'copy', last, read);
  });
});
