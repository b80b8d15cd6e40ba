import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run, runBytes} from '../program.ts';
import {readTree, type Tree} from '../tar.ts';

/** An architecture as Debian and OCI name it. */
export type Architecture = 'amd64' | 'arm64';

/** A package of Debian, unpacked. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** The name of the source package. */
  readonly source: string;
  /** Of the file that was downloaded, in hex. */
  readonly sha256: string;
  /** The fields of the package, as dpkg lists them. */
  readonly control: string;
  readonly files: Tree;
}

/**
 * Downloads packages with this machine's sources and keys of APT, of another architecture as well, and unpacks them.
 * APT keeps its lists below `scratch`: the system stays as it is, and root is not needed.
 * @throws Error where there is no apt-get, or no such package
 */
export async function downloadPackages(
  names: readonly string[],
  architecture: Architecture,
  scratch: string,
): Promise<readonly DebianPackage[]> {
  const directory = join(scratch, `apt-${architecture}`);
  const [state, cache, archives] = [
    join(directory, 'state'),
    join(directory, 'cache'),
    join(directory, 'deb'),
  ];
  for (const each of [
    join(state, 'lists', 'partial'),
    join(cache, 'archives', 'partial'),
    archives,
  ])
    await mkdir(each, {recursive: true});
  const status = join(directory, 'status');
  await writeFile(status, '');
  const settings = {
    'Dir::State': state,
    'Dir::State::status': status,
    'Dir::Cache': cache,
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    // Another user would not be able to write here.
    'APT::Sandbox::User': '',
  };
  const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  await run('apt-get', ['-q', ...options, 'update']);
  await run('apt-get', ['-q', ...options, 'download', ...names], {cwd: archives});
  const files = (await readdir(archives)).filter((name) => name.endsWith('.deb')).toSorted();
  return await Promise.all(files.map((name) => unpack(join(archives, name))));
}

async function unpack(file: string): Promise<DebianPackage> {
  const control = await run('dpkg-deb', ['--field', file]);
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}: *(.*)$`, 'm').exec(control)?.[1];
  const [name, version] = [field('Package'), field('Version')];
  if (name === undefined || version === undefined) throw new Error(`${file} is no package`);
  return {
    name,
    version,
    source: /^\S+/.exec(field('Source') ?? name)?.[0] ?? name,
    sha256: createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
    control,
    files: merged(await readTree(await runBytes('dpkg-deb', ['--fsys-tarfile', file]))),
  };
}

/** Everything is below `usr`, as in a system with merged directories (Debian's UsrMerge). */
function merged(tree: Tree): Tree {
  return new Map(
    [...tree].map(([path, entry]) => [
      path.replace(/^(?=(?:bin|sbin|lib|lib64)\/)/, 'usr/'),
      entry,
    ]),
  );
}
