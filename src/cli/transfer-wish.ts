import {dirname, isAbsolute, join, relative, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {GroupWish, MoveWish, ProjectWish} from '../model/transfer-plan.ts';
import type {Io} from './io.ts';
import type {Repositories} from '../model/port.ts';

export interface TransferFlags {
  readonly to: string;
  readonly donor?: string;
  /** The plan file. */
  readonly out?: string;
}

/**
 * Reads the move of a project from flags or a migration file. Projects are named by full path, ID, or URL, as copied
 * from a browser or for git. A donor that is a number or contains `/` is a project of the instance; one that begins
 * with `.` or `/`, or is another single word, is a directory. A relative directory is relative to the current directory
 * here, and to that of the plan file in the wish.
 * @param gitlab the URL of the instance
 * @throws TransshipError USAGE
 */
export function readMoveWish(project: string, flags: TransferFlags, gitlab: string): ProjectWish {
  const path = pathOf(project, gitlab, 'the project');
  return {project: path, ...readPlaces(path, flags, gitlab)};
}

/**
 * Reads the move of a group. The URL of its page has `/groups/` before its path.
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

/** The instance in the URL of a project; undefined: the text is not a URL. */
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
 * The full path or ID of a project or group, which may be given by its URL.
 * @param gitlab the URL of the instance
 * @param what the kind, for messages
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

/** The path of a project in a URL of GitLab or git; `/-/` precedes pages of the project. */
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
 * The directory that relative donors of a plan are relative to: that of its file, or the current one for a plan on
 * stdout.
 */
export function planDirectory(out: string | undefined): string {
  return out === undefined || out.startsWith('/dev/') ? resolve('.') : dirname(resolve(out));
}

/** The path on this machine of a donor directory, or of a layout in it. @param base see `planDirectory` */
export function directoryFrom(base: string, place: string): string {
  return resolve(base, place.replace(/^oci:/, ''));
}

/** The repositories of a plan, whose layouts may be relative to its file. @param base see `planDirectory` */
export function relativeTo(base: string, repositories: Repositories): Repositories {
  const located = (name: string): string =>
    name.startsWith('oci:') ? `oci:${directoryFrom(base, name)}` : name;
  return {
    source: (name) => repositories.source(located(name)),
    destination: (name) => repositories.destination(located(name)),
    writable: (name, side) => repositories.writable(located(name), side),
  };
}

/** Whether this is a CI job, according to GitLab and most others (GitLab: doc/ci/variables/predefined_variables.md). */
export function isCiJob({CI: value = ''}: Io['env']): boolean {
  return !['', '0', 'false'].includes(value.toLowerCase());
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
