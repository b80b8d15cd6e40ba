import {join, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {TransferWish} from '../model/transfer-plan.ts';

export interface TransferFlags {
  readonly to: string;
  readonly donor?: string;
}

/**
 * Reads what `plan transfer` was asked for. Projects are named by full path, id, or address, as copied from a browser or
 * for git. A donor with a `/` inside is a project of the instance; one that begins with `.` or `/`, or is a single word,
 * is a folder.
 * @param gitlab the address of the instance
 * @throws TransshipError USAGE
 */
export function readTransferWish(
  project: string,
  flags: TransferFlags,
  gitlab: string,
): TransferWish {
  const path = pathOf(project, gitlab, 'the project');
  const isNamespace = flags.to.endsWith('/');
  const to = pathOf(flags.to.replace(/\/$/, ''), gitlab, '--to');
  return {
    gitlab,
    project: path,
    to: isNamespace ? `${to}/` : to,
    donor: readDonor(flags.donor, path, gitlab),
  };
}

/** The instance that a project's address names; undefined: it is no address. */
export function instanceOf(project: string): string | undefined {
  return isAddress(project) ? URL.parse(project)?.origin : undefined;
}

function readDonor(
  donor: string | undefined,
  project: string,
  gitlab: string,
): TransferWish['donor'] {
  if (donor === undefined)
    return {kind: 'directory', path: resolve(join('.', 'transship-donor', project))};
  const isFolder = !isAddress(donor) && (/^[./]/.test(donor) || !donor.includes('/'));
  if (!isFolder) return {kind: 'project', path: pathOf(donor, gitlab, '--donor')};
  if (donor !== '' && !donor.includes(':')) return {kind: 'directory', path: resolve(donor)};
  throw usage(`"${donor}" cannot be a donor`, 'name a folder without ":", or a project');
}

/** An id stays as it is: GitLab takes it in the place of a path. */
function pathOf(text: string, gitlab: string, what: string): string {
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
      `${what} is at ${url?.host ?? 'another address'}, and the GitLab of this command at ${gitlab}`,
      'name projects of one instance, or give its address with --gitlab',
    );
  }
  const [path = ''] = url.pathname.slice(base.length + 1).split('/-/');
  return decodeURIComponent(path)
    .replace(/\/$/, '')
    .replace(/\.git$/, '');
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
