import {access, constants, statfs} from 'node:fs/promises';
import type {Workload} from './workloads.ts';

/** Linux's directory in memory. */
const IN_MEMORY = '/dev/shm';
/** Beside the images: logs, homes of the tools, and some air, in bytes. */
const MARGIN = 1024 ** 3;

/**
 * The directory in memory for the registries, where this machine has one with room for all that a workload has at
 * source and destination; undefined: there is none. On a disk B measures how fast that makes directories:
 * docker-registry makes some for each blob, and took three times the processor time on the one it was tried on.
 */
export async function directoryInMemory(
  workloads: readonly Workload[],
  directory: string = IN_MEMORY,
): Promise<string | undefined> {
  const largest = Math.max(0, ...workloads.map(bytesOf));
  try {
    await access(directory, constants.W_OK);
    const {bavail, bsize} = await statfs(directory);
    return bavail * bsize >= 2 * largest + MARGIN ? directory : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf({content: {tags, own, shared}}: Workload): number {
  return tags * own.count * own.size + shared.count * shared.size;
}
