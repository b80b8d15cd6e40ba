import {mkdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

/** The memory of a container: a control group, with what is needed to run programs in it. */
export interface MemoryLimit extends AsyncDisposable {
  /** The command that runs another one in the group. */
  readonly within: (command: readonly string[]) => readonly string[];
}

/** Where a hierarchy of control groups is, and the files of a group. */
interface Hierarchy {
  readonly directory: string;
  readonly limit: string;
}

/**
 * A control group below the one of this process (Linux, cgroups 1 and 2). Node sizes its heap by such a limit, as it
 * does in a container (`uv_get_constrained_memory` of libuv).
 * @param mib the limit, page cache included; the kernel kills what takes more
 * @throws the error of the file system where this process may not make groups
 */
export async function memoryLimit(mib: number): Promise<MemoryLimit> {
  const {directory, limit} = hierarchyOf(await readFile('/proc/self/cgroup', 'utf8'));
  const group = join(directory, `transship-bench-${process.pid}`);
  await mkdir(group);
  await writeFile(join(group, limit), String(mib * 2 ** 20));
  const processes = join(group, 'cgroup.procs');
  return {
    within: (command) => ['sh', '-c', 'echo $$ > "$0" && exec "$@"', processes, ...command],
    [Symbol.asyncDispose]: () => rmdir(group),
  };
}

/** @param own the groups of this process, as `/proc/self/cgroup` has them: `hierarchy:controllers:path` */
function hierarchyOf(own: string): Hierarchy {
  const first = /^\d+:memory:(.*)$/m.exec(own)?.[1];
  return first === undefined
    ? {directory: join('/sys/fs/cgroup', /^0::(.*)$/m.exec(own)?.[1] ?? ''), limit: 'memory.max'}
    : {directory: join('/sys/fs/cgroup/memory', first), limit: 'memory.limit_in_bytes'};
}
