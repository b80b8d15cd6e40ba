import {dirname, isAbsolute, join, relative, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {TransferWish} from '../model/transfer-plan.ts';
import type {Repositories} from '../apply/apply-context.ts';
import type {Io} from './io.ts';

export interface TransferFlags {
  readonly to: string;
  readonly donor?: string;
  /** The plan's file. */
  readonly out?: string;
}

/**
 * Reads what `plan transfer` was asked for. A donor with a `/` inside is a project of the instance; one that begins
 * with `.` or `/`, or is a single word, is a folder. A relative one is relative to the current folder here, and to that
 * of the plan's file in the wish.
 * @param gitlab the address of the instance
 * @throws TransshipError USAGE
 */
export function readTransferWish(
  project: string,
  {to, out, donor = join('.', 'transship-donor', project)}: TransferFlags,
  gitlab: string,
  isDefault: boolean,
): TransferWish {
  const path = fullPath(project, 'the project');
  fullPath(to.replace(/\/$/, ''), '--to');
  return {gitlab, project: path, to, donor: readDonor(donor, isDefault, planFolder(out))};
}

function readDonor(donor: string, isDefault: boolean, base: string): TransferWish['donor'] {
  const isFolder = isDefault || /^[./]/.test(donor) || !donor.includes('/');
  if (!isFolder) return {kind: 'project', path: fullPath(donor, '--donor')};
  if (donor !== '' && !donor.includes(':'))
    return {kind: 'directory', path: donorPath(donor, base)};
  throw usage(`"${donor}" cannot be a donor`, 'name a folder without ":", or a project');
}

function donorPath(donor: string, base: string): string {
  if (isAbsolute(donor)) return resolve(donor);
  const path = relative(base, resolve(donor));
  return path.startsWith('..') ? path : `./${path}`;
}

/** The folder that relative donors of a plan are relative to: that of its file; the current one for a plan on stdout. */
export function planFolder(out: string | undefined): string {
  return out === undefined || out.startsWith('/dev/') ? resolve('.') : dirname(resolve(out));
}

/** Where a donor folder, or a layout in it, is on this machine. @param base see `planFolder` */
export function folderFrom(base: string, place: string): string {
  return resolve(base, place.replace(/^oci:/, ''));
}

/** The repositories of a plan whose layouts may be named relative to its file. @param base see `planFolder` */
export function relativeTo(base: string, repositories: Repositories): Repositories {
  const located = (name: string): string =>
    name.startsWith('oci:') ? `oci:${folderFrom(base, name)}` : name;
  return {
    source: (name) => repositories.source(located(name)),
    destination: (name) => repositories.destination(located(name)),
  };
}

/** Whether this runs in a CI job, as GitLab and most others say it (GitLab: doc/ci/variables/predefined_variables.md). */
export function isCiJob({CI: value = ''}: Io['env']): boolean {
  return !['', '0', 'false'].includes(value.toLowerCase());
}

function fullPath(text: string, what: string): string {
  if (/^[^/\s]+(?:\/[^/\s]+)*$/.test(text)) return text;
  throw usage(`${what} "${text}" is not a full path`, 'write group/project, without the host');
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
