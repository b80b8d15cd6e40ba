import {chmod, copyFile, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {basename, join, relative, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {gunzip} from 'node:zlib';
import {build, type BuildOptions} from 'rolldown';
import {type BundledPackage, noticesOf, packagesInto} from './bundled-packages.ts';
import {npm, run, runBytes} from './program.ts';
import {executableName, PROJECT, type Release, type Target, THIS_MACHINE} from './release.ts';
import {compress, type Entry, fileOf, packTree, readTree, type Tree} from './tar.ts';

/** Where Node looks for what is injected into it (Node's manual, "Single executable applications"). */
const BLOB = 'NODE_SEA_BLOB';
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Files of an archive, besides man pages and completions. */
export const LICENSES = ['LICENSE', 'LICENSE.node', 'THIRD-PARTY-NOTICES.txt'] as const;

/**
 * Makes the executable of this machine's platform from the Node that runs this. It is Node's own binary, unchanged but
 * for the program that is added to it: one file, since an executable loads no others. The same commit gives the same
 * bytes.
 * @param directory for it, and for what is needed on the way to it
 * @returns the file
 */
export async function makeExecutable(directory: string): Promise<string> {
  await mkdir(directory, {recursive: true});
  await build({...BUNDLE, output: {...BUNDLE.output, file: join(directory, 'transship.cjs')}});
  // Relative paths: the blob has that of the program in it.
  const settings = {
    main: 'transship.cjs',
    output: 'transship.blob',
    disableExperimentalSEAWarning: true,
    // V8's compiled form would start 0.07 s faster, but is another one each time: nobody could make the same file
    // again.
    useCodeCache: false,
  };
  await writeFile(join(directory, 'sea-config.json'), JSON.stringify(settings));
  await run(process.execPath, ['--experimental-sea-config', 'sea-config.json'], {cwd: directory});
  const file = join(directory, programName(THIS_MACHINE));
  await copyFile(process.execPath, file);
  await chmod(file, 0o755);
  const isMac = THIS_MACHINE.platform === 'darwin';
  // What is signed may not be changed, and what is not signed does not run there.
  if (isMac) await run('codesign', ['--remove-signature', file]);
  const postject = fileURLToPath(import.meta.resolve('postject/dist/cli.js'));
  const segment = isMac ? ['--macho-segment-name', 'NODE_SEA'] : [];
  const blob = join(directory, 'transship.blob');
  await run(process.execPath, [postject, file, BLOB, blob, '--sentinel-fuse', FUSE, ...segment]);
  if (isMac) await run('codesign', ['--sign', '-', file]);
  return file;
}

function programName({platform}: Target): string {
  return platform === 'win32' ? 'transship.exe' : 'transship';
}

/** The program as one file. */
const BUNDLE = {
  cwd: PROJECT,
  input: 'src/cli/executable.ts',
  platform: 'node',
  logLevel: 'warn',
  transform: {target: 'node24'},
  output: {format: 'cjs', strict: true, codeSplitting: false, comments: false},
} as const satisfies BuildOptions;

/** The libraries in the executable, without Node's own. */
export async function executableContents(): Promise<readonly BundledPackage[]> {
  const packages: BundledPackage[] = [];
  await build({...BUNDLE, write: false, plugins: [packagesInto(packages)]});
  return packages;
}

/**
 * Packs the executable of this machine with the licences of what is in it, and with man pages and completions, which
 * the build has made.
 * @returns the archive
 */
export async function packExecutable(release: Release, file: string): Promise<string> {
  const name = executableName(release, THIS_MACHINE);
  const tree = new Map<string, Entry>([
    [basename(file), fileOf(await readFile(file), 0o755)],
    ['LICENSE', fileOf(await readFile(join(PROJECT, 'LICENSE')))],
    ['LICENSE.node', fileOf(await nodeLicense(release.scratch))],
    ['THIRD-PARTY-NOTICES.txt', fileOf(Buffer.from(noticesOf(await executableContents())))],
  ]);
  const built = join(PROJECT, 'dist');
  for (const directory of ['man', 'completions'])
    for (const entry of await readdir(join(built, directory), {
      recursive: true,
      withFileTypes: true,
    }))
      if (entry.isFile()) {
        const path = join(entry.parentPath, entry.name);
        tree.set(relative(built, path).split(sep).join('/'), fileOf(await readFile(path)));
      }
  const inDirectory = new Map([...tree].map(([path, entry]) => [`${name}/${path}`, entry]));
  const archive = join(release.output, `${name}.tar.gz`);
  await writeFile(archive, await compress(await packTree(inDirectory, release.created)));
  return archive;
}

/** The files of an archive that `packExecutable` has written; undefined: there is none for this platform. */
export async function readExecutable(release: Release, target: Target): Promise<Tree | undefined> {
  const name = executableName(release, target);
  const archive = await readFile(join(release.output, `${name}.tar.gz`)).catch(() => undefined);
  if (archive === undefined) return undefined;
  const tree = await readTree(await promisify(gunzip)(archive));
  return new Map([...tree].map(([path, entry]) => [path.slice(name.length + 1), entry]));
}

/**
 * The licence of this machine's Node and of the libraries in it. The package of which the project takes its Node keeps
 * the binary alone once it is installed.
 */
async function nodeLicense(scratch: string): Promise<Buffer> {
  const {platform, arch} = THIS_MACHINE;
  const prefix = platform === 'darwin' && arch === 'arm64' ? 'node-bin' : 'node';
  const name = `${prefix}-${platform === 'win32' ? 'win' : platform}-${arch}`;
  const directory = join(scratch, 'node-package');
  await mkdir(directory, {recursive: true});
  const version = process.versions.node;
  await run(...npm(['pack', `${name}@${version}`, '--pack-destination', directory, '--silent']));
  const archive = join(directory, `${name}-${version}.tgz`);
  return await runBytes('tar', ['-xzOf', archive, 'package/LICENSE']);
}
