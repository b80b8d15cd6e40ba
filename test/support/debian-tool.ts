import {constants} from 'node:fs';
import {access, chmod, copyFile, mkdir, readdir, rename} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {type ProgramResult, runProgram} from './program.ts';
import {tempDirectory} from './temp.ts';

/** Programs of others that the tests run against; each is a Debian package of the same name. */
export type Tool =
  | 'docker-registry'
  | 'skopeo'
  | 'podman'
  | 'buildah'
  | 'rsync'
  | 'groff'
  | 'chromium'
  | 'zsh'
  | 'fish';

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/transship/', import.meta.url));

/** The path of a program: on PATH, or unpacked by an earlier `provideTool`; undefined: not there. */
async function findTool(name: Tool): Promise<string | undefined> {
  for (const directory of [...(process.env['PATH'] ?? '').split(delimiter), CACHE]) {
    const path = join(directory, name);
    if (directory !== '' && (await isExecutable(path))) return path;
  }
  return undefined;
}

/** As `findTool`, but to be without is an error that says what to do. */
export async function needTool(name: Tool): Promise<string> {
  const path = await findTool(name);
  if (path !== undefined) return path;
  throw new Error(
    `${name} is not here, and the start of this test run could not fetch it: install the Debian package ${name}`,
  );
}

/**
 * Finds the program, else fetches it: from Debian, unpacked below node_modules/.cache, so that the machine stays as it
 * is; only where the unpacked program lacks libraries and we are root, it is installed. Several runs may do it at once.
 * @throws Error where that is impossible, with the reason
 */
export async function provideTool(name: Tool): Promise<string> {
  const found = await findTool(name);
  if (found !== undefined) return found;
  const root = process.getuid?.() === 0;
  await using temp = await tempDirectory();
  let got = await apt(['download', name], temp.path);
  if (got.code !== 0 && root) {
    await apt(['update'], temp.path);
    got = await apt(['download', name], temp.path);
  }
  const packed = (await readdir(temp.path)).find((file) => file.endsWith('.deb'));
  if (packed === undefined)
    throw new Error(`apt-get download ${name} failed: ${got.stderr.trim()}`);
  const unpacked = await runProgram('dpkg-deb', ['-x', packed, 'unpacked'], {cwd: temp.path});
  if (unpacked.code !== 0) throw new Error(`dpkg-deb -x ${packed} failed: ${unpacked.stderr}`);
  const program = temp.join('unpacked', 'usr', 'bin', name);
  if ((await runProgram(program, ['--version'])).code === 0) return await keep(program, name);
  if (!root) throw new Error(`${name} needs libraries: as root, run apt-get install ${name}`);
  const installed = await apt(['install', '-y', '--no-install-recommends', name], temp.path);
  if (installed.code !== 0) throw new Error(`apt-get install ${name}: ${installed.stderr.trim()}`);
  return await needTool(name);
}

async function keep(program: string, name: Tool): Promise<string> {
  await mkdir(CACHE, {recursive: true});
  const path = join(CACHE, name);
  // Named for this process and then renamed: nobody ever sees half a program.
  const fresh = `${path}.${process.pid}`;
  await copyFile(program, fresh);
  await chmod(fresh, 0o755);
  await rename(fresh, path);
  return path;
}

async function apt(args: readonly string[], cwd: string): Promise<ProgramResult> {
  try {
    return await runProgram('apt-get', ['-q', ...args], {
      cwd,
      env: {DEBIAN_FRONTEND: 'noninteractive'},
    });
  } catch (cause) {
    throw new Error('there is no apt-get on this machine', {cause});
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
