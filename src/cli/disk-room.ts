import {statfs} from 'node:fs/promises';
import {dirname} from 'node:path';

/** Bytes that are free where this folder is, or will be made; undefined: the system does not tell. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const {bavail, bsize} = await statfs(at);
      return bavail * bsize;
    } catch {
      // It is made later: what is above it tells.
      if (dirname(at) === at) return undefined;
    }
  }
}
