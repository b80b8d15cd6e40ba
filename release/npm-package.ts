import {mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {delimiter, dirname, join} from 'node:path';
import {build} from 'rolldown';
import config from '../rolldown.config.ts';
import {type BundledPackage, packagesInto} from './bundled-packages.ts';
import {npm, run} from './program.ts';
import {packageFile, PROJECT, type Release} from './release.ts';

/** A way in which users start the program. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Builds the package and packs it as `npm publish` would. @returns the tarball */
export async function packPackage(release: Release): Promise<string> {
  const args = ['pack', '--json', '--pack-destination', release.output];
  const printed = await run(...npm(args), {cwd: PROJECT});
  // What the build prints comes first.
  const list = JSON.parse(printed.slice(printed.indexOf('[\n'))) as {readonly filename: string}[];
  const file = join(release.output, packageFile(release));
  for (const {filename} of list) await rename(join(release.output, filename), file);
  return file;
}

/** The libraries in the package. */
export async function packageContents(): Promise<readonly BundledPackage[]> {
  const packages: BundledPackage[] = [];
  await build({
    ...config,
    cwd: PROJECT,
    write: false,
    logLevel: 'warn',
    plugins: [packagesInto(packages)],
    output: {format: 'cjs'},
  });
  return packages;
}

/**
 * Installs the tarball in the ways of its users, in directories where nothing else is and without a network.
 * @returns how it is started then
 * @throws Error if npm warns, or brings anything else
 */
export async function installPackage(
  release: Release,
  tarball: string,
): Promise<ReadonlyMap<string, Command>> {
  const directory = join(release.scratch, 'installed');
  await rm(directory, {recursive: true, force: true});
  const [prefix, project, empty] = [
    join(directory, 'g'),
    join(directory, 'p'),
    join(directory, 'e'),
  ];
  for (const each of [prefix, project, empty]) await mkdir(each, {recursive: true});
  const env = {
    PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
    HOME: join(directory, 'home'),
    npm_config_update_notifier: 'false',
    npm_config_offline: 'true',
    npm_config_loglevel: 'warn',
  };
  const quiet = {env, silent: true};
  await run(...npm(['install', '--global', '--prefix', prefix, tarball]), {
    cwd: directory,
    ...quiet,
  });
  await writeFile(join(project, 'package.json'), '{"private": true}');
  await run(...npm(['install', tarball]), {cwd: project, ...quiet});
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, unknown>>;
  };
  if (Object.keys(lock.packages).length !== 2) throw new Error('the package has dependencies');
  const [npmFile, npx] = npm(['exec', '--yes', '--package', tarball, '--', 'transship']);
  return new Map<string, Command>([
    ['npm install --global', {file: join(prefix, 'bin', 'transship'), args: [], env}],
    ['npm install', {file: join(project, 'node_modules', '.bin', 'transship'), args: [], env}],
    ['npx', {file: npmFile, args: npx, env}],
  ]);
}
