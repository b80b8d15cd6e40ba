import {join, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {TransferWish} from '../model/transfer-plan.ts';

export interface TransferFlags {
  readonly to: string;
  readonly donor?: string;
}

/**
 * Reads what `plan transfer` was asked for. A donor with a `/` inside is a project of the instance; one that begins
 * with `.` or `/`, or is a single word, is a folder.
 * @param gitlab the address of the instance
 * @throws TransshipError USAGE
 */
export function readTransferWish(
  project: string,
  {to, donor = join('.', 'transship-donor', project)}: TransferFlags,
  gitlab: string,
  isDefault: boolean,
): TransferWish {
  const path = fullPath(project, 'the project');
  fullPath(to.replace(/\/$/, ''), '--to');
  return {gitlab, project: path, to, donor: readDonor(donor, isDefault)};
}

function readDonor(donor: string, isDefault: boolean): TransferWish['donor'] {
  const isFolder = isDefault || /^[./]/.test(donor) || !donor.includes('/');
  if (!isFolder) return {kind: 'project', path: fullPath(donor, '--donor')};
  if (donor !== '' && !donor.includes(':')) return {kind: 'directory', path: resolve(donor)};
  throw usage(`"${donor}" cannot be a donor`, 'name a folder without ":", or a project');
}

function fullPath(text: string, what: string): string {
  if (/^[^/\s]+(?:\/[^/\s]+)*$/.test(text)) return text;
  throw usage(`${what} "${text}" is not a full path`, 'write group/project, without the host');
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
