import {chmod, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Command} from '../npm-package.ts';
import {isInstalled, run} from '../program.ts';
import type {Release} from '../release.ts';
import {tryCopy, tryVersion, withRegistry} from '../try-program.ts';
import type {ContainerImage} from './image.ts';

/**
 * Compares what skopeo reads in the layout with what was written.
 * @returns why it was not compared; undefined: it was
 */
export async function inspectImage(
  release: Release,
  image: ContainerImage,
): Promise<string | undefined> {
  if (!(await isInstalled('skopeo'))) return 'skopeo is not installed';
  for (const [tag, digest] of image.digests) {
    const place = `oci:${image.directory}:${tag}`;
    const file = join(release.scratch, 'index.json');
    await writeFile(file, await run('skopeo', ['inspect', '--raw', place]));
    const seen = (await run('skopeo', ['manifest-digest', file])).trim();
    if (seen !== digest) throw new Error(`skopeo reads ${seen} for ${tag}, not ${digest}`);
    const {Labels} = JSON.parse(await run('skopeo', ['inspect', place])) as {
      readonly Labels: Readonly<Record<string, string>>;
    };
    if (Labels['org.opencontainers.image.revision'] !== release.revision)
      throw new Error(`${tag} has the labels of another revision`);
  }
  return undefined;
}

/**
 * Copies the layout with the program that is released: to a registry, from there into an archive, and compares both
 * with the layout.
 */
export async function copyImage(
  command: Command,
  release: Release,
  image: ContainerImage,
  archive: string,
): Promise<void> {
  const directory = join(release.scratch, 'image-copy');
  for (const each of [archive, directory]) await rm(each, {recursive: true, force: true});
  await mkdir(directory);
  const {file, args, env} = command;
  const call = async (...more: readonly string[]): Promise<string> =>
    await run(file, [...args, ...more], {env, cwd: directory});
  await withRegistry(command, [], async (host) => {
    const repository = `${host}/tools/transship`;
    await call('copy', `oci:${image.directory}`, repository);
    await call('copy', repository, `oci-archive:${archive}`);
  });
  await run('tar', ['-xf', archive, '-C', directory]);
  const {manifests} = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly {
      readonly digest: string;
      readonly artifactType?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }[];
  };
  for (const [tag, digest] of image.digests) {
    const entry = manifests.find(
      ({annotations}) => annotations?.['org.opencontainers.image.ref.name'] === tag,
    );
    if (entry?.digest !== digest) throw new Error(`the archive has another image as ${tag}`);
  }
  const bills = manifests.filter(({artifactType}) => artifactType !== undefined);
  if (bills.length !== image.referrers)
    throw new Error(`the archive has ${bills.length} of ${image.referrers} bills of materials`);
}

/** Ways to run a container, the usual one first, then those for machines that permit less: within a container, say. */
const LIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
const WAYS: readonly {readonly podman: readonly string[]; readonly run: readonly string[]}[] = [
  {podman: [], run: []},
  {podman: [], run: ['--cgroups', 'disabled', ...LIMITS]},
  {podman: ['--cgroup-manager', 'cgroupfs', '--runtime', 'runc'], run: LIMITS},
];

/**
 * Runs the image with podman, which gets a storage of its own: by its entry point, in its shell, and for a copy between
 * two registries.
 * @returns why podman cannot run it here; undefined: it has run
 */
export async function runImage(
  release: Release,
  image: ContainerImage,
  archive: string,
): Promise<string | undefined> {
  if (!(await isInstalled('podman'))) return 'podman is not installed';
  const directory = join(release.scratch, 'podman');
  const work = join(directory, 'work');
  await rm(work, {recursive: true, force: true});
  await mkdir(work, {recursive: true});
  // The user of the image is another one.
  await chmod(work, 0o777);
  const config = join(directory, 'storage.conf');
  const [root, runroot] = [join(directory, 'root'), join(directory, 'run')];
  const lines = ['[storage]', 'driver = "vfs"', `graphroot = "${root}"`, `runroot = "${runroot}"`];
  await writeFile(config, `${lines.join('\n')}\n`);
  const env = {...process.env, HOME: directory, CONTAINERS_STORAGE_CONF: config};
  const pull = async (tag: string): Promise<string> =>
    (await run('podman', ['pull', '--quiet', `oci-archive:${archive}:${tag}`], {env})).trim();
  try {
    const [plain, shell] = [await pull(image.tag), await pull(image.shellTag)];
    const common = ['run', '--rm', '--network', 'host', '--volume', `${work}:/work`];
    const reasons: string[] = [];
    for (const way of WAYS) {
      const args = [...way.podman, ...common, ...way.run];
      const container: Command = {file: 'podman', args: [...args, plain], env};
      try {
        await tryVersion(container, release.version);
      } catch (error) {
        reasons.push(String(error));
        continue;
      }
      await tryCopy(container, '/work');
      const inShell = [...args, shell, 'sh', '-c', 'transship --version && id -un && ls /work'];
      const printed = await run('podman', inShell, {env});
      if (!/^\S+ \(Node .*\)\nroot\n[^]*app\.plan\.json/.test(printed))
        throw new Error(`the shell prints ${printed}`);
      return undefined;
    }
    return `podman cannot run containers here: ${reasons.join('; ')}`;
  } finally {
    await run('podman', ['system', 'reset', '--force'], {env}).catch(() => undefined);
  }
}
