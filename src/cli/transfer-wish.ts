import {dirname, isAbsolute, join, relative, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {GroupWish, MoveWish, ProjectWish} from '../model/transfer-plan.ts';
import type {Io} from './io.ts';
import type {Repositories} from '../model/port.ts';

export interface TransferFlags {
  readonly to: string;
  readonly donor?: string;
  /** The plan's file. */
  readonly out?: string;
}

/**
 * Reads how one project is to move, as flags or a migration file say it. Projects are named by full path, id, or address,
 * as copied from a browser or for git. A donor with a `/` inside or a number is a project of the instance; one that begins
 * with `.` or `/`, or is another single word, is a directory. A relative one is relative to the current directory here,
 * and to that of the plan's file in the wish.
 * @param gitlab the address of the instance
 * @throws TransshipError USAGE
 */
export function readMoveWish(project: string, flags: TransferFlags, gitlab: string): ProjectWish {
  const path = pathOf(project, gitlab, 'the project');
  return {project: path, ...readPlaces(path, flags, gitlab)};
}

/**
 * Reads how a group is to move. Its page's address has `/groups/` before its path.
 * @throws TransshipError USAGE
 */
export function readGroupWish(group: string, flags: TransferFlags, gitlab: string): GroupWish {
  const address = isAddress(group) ? group.replace(/\/groups\//, '/') : group;
  const path = pathOf(address, gitlab, 'the group');
  return {group: path, ...readPlaces(path, flags, gitlab)};
}

function readPlaces(
  path: string,
  flags: TransferFlags,
  gitlab: string,
): Pick<MoveWish, 'to' | 'donor'> {
  const isNamespace = flags.to.endsWith('/');
  const to = pathOf(flags.to.replace(/\/$/, ''), gitlab, '--to');
  return {to: isNamespace ? `${to}/` : to, donor: readDonor(flags, path, gitlab)};
}

/** The instance that a project's address names; undefined: it is no address. */
export function instanceOf(project: string): string | undefined {
  return isAddress(project) ? URL.parse(project)?.origin : undefined;
}

function readDonor(
  {donor, out}: TransferFlags,
  project: string,
  gitlab: string,
): MoveWish['donor'] {
  const base = planDirectory(out);
  if (donor === undefined)
    return {kind: 'directory', path: donorPath(join('.', 'transship-donor', project), base)};
  const isProject = isAddress(donor) || /^\d+$|^[^./].*\//s.test(donor);
  if (isProject) return {kind: 'project', path: pathOf(donor, gitlab, '--donor')};
  if (donor !== '' && !donor.includes(':'))
    return {kind: 'directory', path: donorPath(donor, base)};
  throw usage(`"${donor}" cannot be a donor`, 'name a directory without ":", or a project');
}

/**
 * The full path or id of a project or group, which may be given by its address.
 * @param gitlab the address of the instance
 * @param what it is, for messages
 * @throws TransshipError USAGE
 */
export function pathOf(text: string, gitlab: string, what: string): string {
  const path = isAddress(text) ? pathIn(text, gitlab, what) : text;
  if (/^[^/\s]+(?:\/[^/\s]+)*$/.test(path)) return path;
  throw usage(`${what} "${path}" is not a full path`, 'write group/project, without the host');
}

function isAddress(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** The part of an address that GitLab's pages and git know a project by: what follows `/-/` is within the project. */
function pathIn(address: string, gitlab: string, what: string): string {
  const [url, instance] = [URL.parse(address), new URL(gitlab)];
  const base = instance.pathname.replace(/\/$/, '');
  if (url?.host !== instance.host || !url.pathname.startsWith(`${base}/`)) {
    throw usage(
      `${what} is at ${url?.host ?? 'another address'}, but this command uses the GitLab at ${gitlab}`,
      'name projects of one instance, or set it with --gitlab',
    );
  }
  const [path = ''] = url.pathname.slice(base.length + 1).split('/-/');
  return decoded(path, address, what)
    .replace(/\/$/, '')
    .replace(/\.git$/, '');
}

function decoded(path: string, address: string, what: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw usage(
      `${what} "${address}" is not an address: its percent-encoding is broken`,
      'copy the address from the browser, or write group/project',
    );
  }
}

function donorPath(donor: string, base: string): string {
  if (isAbsolute(donor)) return resolve(donor);
  const path = relative(base, resolve(donor));
  return path.startsWith('..') ? path : `./${path}`;
}

/**
 * The directory that relative donors of a plan are relative to: that of its file; the current one for a plan on stdout.
 */
export function planDirectory(out: string | undefined): string {
  return out === undefined || out.startsWith('/dev/') ? resolve('.') : dirname(resolve(out));
}

/** Where a donor directory, or a layout in it, is on this machine. @param base see `planDirectory` */
export function directoryFrom(base: string, place: string): string {
  return resolve(base, place.replace(/^oci:/, ''));
}

/** The repositories of a plan whose layouts may be named relative to its file. @param base see `planDirectory` */
export function relativeTo(base: string, repositories: Repositories): Repositories {
  const located = (name: string): string =>
    name.startsWith('oci:') ? `oci:${directoryFrom(base, name)}` : name;
  return {
    source: (name) => repositories.source(located(name)),
    destination: (name) => repositories.destination(located(name)),
    writable: (name, side) => repositories.writable(located(name), side),
  };
}

/** Whether this runs in a CI job, as GitLab and most others say it (GitLab: doc/ci/variables/predefined_variables.md). */
export function isCiJob({CI: value = ''}: Io['env']): boolean {
  return !['', '0', 'false'].includes(value.toLowerCase());
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
