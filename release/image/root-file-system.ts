import {LICENSES} from '../executable.ts';
import {type Entry, fileOf, type Tree} from '../tar.ts';
import type {Architecture, DebianPackage} from './debian-packages.ts';

/** Packages that Node's binary needs: its libraries, certificates, and what tells scanners which system this is. */
export const BASE_PACKAGES = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6'];
/** What jobs of CI need besides: they run scripts. */
export const SHELL_PACKAGE = 'busybox-static';

/** The user of the container, with the id that distroless images have. */
export const USER = {name: 'nonroot', id: 65_532, home: 'home/nonroot'};
/** Where containers run: a directory of the user is mounted here. */
export const WORK_DIRECTORY = 'work';
/** Commands that jobs find on the PATH beside the program; the shell itself knows more of them. */
export const APPLETS = [
  '[ awk base64 basename cat chmod cp cut date dirname echo env expr false find grep gunzip gzip head hostname id ln ls',
  'mkdir mktemp mv printf pwd readlink rm sed seq sh sha256sum sleep sort tail tar tee test timeout touch tr true uname',
  'uniq wc wget which xargs',
].flatMap((line) => line.split(' '));
/** Where scripts and people find the program. */
const PROGRAM = 'usr/bin/transship';

/** Files of the packages that are needed, as patterns of their paths. */
const NEEDED = [
  /^usr\/lib(?:64)?\/(?:[^/]+\/)?(?:ld-linux|lib(?:c|dl|gcc_s|m|pthread|resolv|rt|stdc\+\+|nss_dns|nss_files))[-.][^/]*$/,
  /^usr\/lib\/os-release$/,
  /^usr\/share\/doc\/[^/]+\/copyright$/,
  /^usr\/bin\/busybox$/,
];
/** Where packages have the certificates of authorities, each in a file. */
const AUTHORITY = /^usr\/share\/ca-certificates\/.*\.crt$/;

/** Directories that programs expect at the root; the packages have everything below `usr`. */
const MERGED = ['bin', 'lib', 'sbin'];

/** What every image has below the program. */
export function baseTree(packages: readonly DebianPackage[], architecture: Architecture): Tree {
  const tree = new Map<string, Entry>();
  for (const each of packages) addPackage(tree, each);
  tree.set('etc/ssl/certs/ca-certificates.crt', fileOf(authorities(packages)));
  tree.set('etc/os-release', {kind: 'symlink', target: '../usr/lib/os-release'});
  const {name, id, home} = USER;
  tree.set(
    'etc/passwd',
    text(
      `root:x:0:0:root:/root:/sbin/nologin\n${name}:x:${id}:${id}:${name}:/${home}:/sbin/nologin\n`,
    ),
  );
  tree.set('etc/group', text(`root:x:0:\n${name}:x:${id}:\n`));
  tree.set('etc/nsswitch.conf', text('passwd: files\ngroup: files\nhosts: files dns\n'));
  for (const directory of MERGED)
    tree.set(directory, {kind: 'symlink', target: `usr/${directory}`});
  tree.set('usr/sbin', {kind: 'directory', mode: 0o755});
  if (architecture === 'amd64') tree.set('lib64', {kind: 'symlink', target: 'usr/lib64'});
  tree.set('tmp', {kind: 'directory', mode: 0o1777});
  tree.set(WORK_DIRECTORY, {kind: 'directory', mode: 0o1777});
  tree.set('root', {kind: 'directory', mode: 0o700});
  tree.set(home, {kind: 'directory', mode: 0o755, owner: id});
  return tree;
}

/** @param executable the released archive */
export function programTree(executable: Tree): Tree {
  const files = [...executable].flatMap(([name, entry]): [string, Entry][] => {
    if (name === 'transship') return [[PROGRAM, entry]];
    const isLicense = (LICENSES as readonly string[]).includes(name);
    return isLicense ? [[`usr/share/doc/transship/${name}`, entry]] : [];
  });
  return new Map(files);
}

/** A shell and commands, which are links to one program. */
export function shellTree(shell: DebianPackage, applets: readonly string[]): Tree {
  const tree = new Map<string, Entry>();
  addPackage(tree, shell);
  for (const applet of applets) tree.set(`usr/bin/${applet}`, {kind: 'symlink', target: 'busybox'});
  return tree;
}

/** With the fields of the package where scanners look for those of images without dpkg (distroless). */
function addPackage(tree: Map<string, Entry>, {name, control, files}: DebianPackage): void {
  for (const [path, entry] of files)
    if (NEEDED.some((pattern) => pattern.test(path))) tree.set(path, entry);
  tree.set(`var/lib/dpkg/status.d/${name}`, text(control));
}

function authorities(packages: readonly DebianPackage[]): Buffer {
  const certificates = packages.flatMap(({files}) =>
    [...files].flatMap(([path, entry]) =>
      entry.kind === 'file' && AUTHORITY.test(path) ? [{path, content: entry.content}] : [],
    ),
  );
  const sorted = certificates.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  if (sorted.length === 0) throw new Error('no certificate of an authority is in the packages');
  return Buffer.concat(sorted.map(({content}) => content));
}

function text(content: string): Entry {
  return fileOf(Buffer.from(content));
}
