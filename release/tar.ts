import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {promisify} from 'node:util';
import {gzip} from 'node:zlib';
import {extract, pack} from 'tar-stream';

/** A file, directory or link of an archive. Owner is root. */
export type Entry =
  | {readonly kind: 'file'; readonly mode: number; readonly content: Uint8Array}
  | {readonly kind: 'directory'; readonly mode: number; readonly owner?: number}
  | {readonly kind: 'symlink'; readonly target: string};

export function fileOf(content: Uint8Array, mode = 0o644): Entry {
  return {kind: 'file', mode, content};
}

/** Entries by their paths, without a leading or a trailing slash. */
export type Tree = ReadonlyMap<string, Entry>;

/**
 * A tar file, the same bytes each time: entries in the order of their paths, all with one time. Directories that no
 * entry stands for are added.
 */
export async function packTree(tree: Tree, time: Date): Promise<Buffer> {
  const archive = pack();
  const packed = buffer(archive);
  for (const [name, entry] of withDirectories(tree)) {
    const header = {name, mtime: time, uid: 0, gid: 0};
    if (entry.kind === 'file')
      archive.entry({...header, mode: entry.mode}, Buffer.from(entry.content));
    else if (entry.kind === 'symlink')
      archive.entry({...header, type: 'symlink', mode: 0o777, linkname: entry.target});
    else {
      const {mode, owner = 0} = entry;
      archive.entry({...header, type: 'directory', mode, uid: owner, gid: owner});
    }
  }
  archive.finalize();
  return await packed;
}

/** Compresses with gzip, without a time or a name in it. */
export async function compress(content: Uint8Array): Promise<Buffer> {
  return await promisify(gzip)(content);
}

function withDirectories(tree: Tree): readonly (readonly [string, Entry])[] {
  const all = new Map<string, Entry>(tree);
  for (const path of tree.keys()) {
    const parts = path.split('/');
    for (let length = 1; length < parts.length; length += 1) {
      const directory = parts.slice(0, length).join('/');
      if (!all.has(directory)) all.set(directory, {kind: 'directory', mode: 0o755});
    }
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The files and links of a tar file. Directories are left out. @throws Error for anything else in it */
export async function readTree(archive: Uint8Array): Promise<Map<string, Entry>> {
  const tree = new Map<string, Entry>();
  for await (const entry of Readable.from([archive]).pipe(extract())) {
    const {name, type, mode, linkname} = entry.header;
    const path = name.replace(/^\.\//, '');
    if (type === 'file') tree.set(path, fileOf(await buffer(entry), mode));
    else if (type === 'symlink' && linkname) tree.set(path, {kind: 'symlink', target: linkname});
    else if (type !== 'directory') throw new Error(`${name} is a ${type}`);
    entry.resume();
  }
  return tree;
}
