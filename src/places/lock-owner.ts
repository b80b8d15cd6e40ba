import {readFile, readlink, stat} from 'node:fs/promises';
import {hostname} from 'node:os';
import {FileKindError, readRegular} from '../http/regular-file.ts';
import {readJson} from '../model/json.ts';
import {z} from '../model/schema.ts';
import {hasCode, isMissing} from './file-error.ts';

/** The owner of a lock, with the data to check later whether its process is still running. */
const ownerRecord = z.object({
  host: z.string(),
  pid: z.int().positive().optional(),
  /** The pid namespace, such as `pid:[4026531836]`; process ids are unique only within one. */
  namespace: z.string().optional(),
  /** The start time of the process, in clock ticks since boot (proc_pid_stat(5), `starttime`). */
  start: z.string().optional(),
  /** The id of the boot, which all containers on a kernel share. */
  boot: z.string().optional(),
  uid: z.int().optional(),
});
export type LockOwner = z.infer<typeof ownerRecord>;

/** Maximum size of an owner file, in bytes; real ones are much smaller. */
const OWNER_LIMIT = 4096;

/**
 * Reads the owner of a lock; unknown for files that are incomplete or not regular, such as links or pipes.
 * @throws the error of the file system
 */
export async function readOwner(file: string): Promise<LockOwner> {
  try {
    const text = await readRegular(file, OWNER_LIMIT, {noFollow: true});
    return readJson(text, ownerRecord) ?? UNKNOWN;
  } catch (error) {
    if (error instanceof FileKindError) return UNKNOWN;
    throw error;
  }
}

const UNKNOWN: LockOwner = {host: ''};

/** A description of the owner for messages. */
export function ownerName({host, pid}: LockOwner): string {
  const process = pid === undefined ? 'another process' : `process ${pid}`;
  return host === '' ? process : `${process} on ${host}`;
}

let known: Promise<LockOwner> | undefined;

/** This process, determined once. */
export async function thisProcess(): Promise<LockOwner> {
  known ??= lookAtSelf();
  return await known;
}

/** The identity of this process from `/proc`; on systems other than Linux, only the host. */
async function lookAtSelf(): Promise<LockOwner> {
  try {
    const [pid, namespace, boot, {uid}] = await Promise.all([
      readlink('/proc/self'),
      readlink('/proc/self/ns/pid'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      stat('/proc/self'),
    ]);
    const start = await startOf(Number(pid));
    if (start === undefined) return {host: hostname()};
    return {host: hostname(), pid: Number(pid), namespace, boot: boot.trim(), start, uid};
  } catch {
    return {host: hostname()};
  }
}

/**
 * Whether the owner is running, if this process can tell. The number of a deleted namespace may be reused; a process
 * there with the same id then has another start time.
 */
export async function stateOf(
  owner: LockOwner,
  self: LockOwner,
): Promise<'alive' | 'dead' | 'unknown'> {
  const {pid, boot, namespace} = owner;
  const isInSight =
    pid !== undefined &&
    boot !== undefined &&
    boot === self.boot &&
    namespace !== undefined &&
    namespace === self.namespace;
  if (!isInSight) return 'unknown';
  const start = await startOf(pid);
  if (start !== undefined) return start === owner.start ? 'alive' : 'dead';
  // With the mount option hidepid, processes of other users are not seen (proc(5)).
  return owner.uid !== undefined && owner.uid === self.uid ? 'dead' : 'unknown';
}

/** The start time of a process; undefined: it is not running, or not visible. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The program name, in parentheses, may contain blanks; `starttime` is the 22nd field.
    const [state = '', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie, or dead.
    return 'ZXx'.includes(state) ? undefined : fields[18];
  } catch (error) {
    if (isMissing(error) || hasCode(error, 'ESRCH')) return undefined;
    throw error;
  }
}
