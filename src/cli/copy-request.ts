import type {Command} from 'commander';
import type {CopyRequest} from '../library/copy-wish.ts';
import type {HabitFlags} from './habits.ts';
import {type ArchiveFlags, type FilterFlags, wishFilters} from './options.ts';

/** Adds the arguments of `copy` and `plan copy`. */
export function addPlaces(command: Command): Command {
  return command
    .argument(
      '<source>',
      'host/repository[:tag][@digest], oci:DIR[:name], oci-archive:FILE[:name], dir:DIR, docker-archive:FILE[:name], docker-daemon:NAME or containers-storage:NAME; without a tag, all tags',
    )
    .argument(
      '<destination>',
      'host/repository[:tag], oci:DIR[:name], oci-archive:FILE[:name] or dir:DIR',
    );
}

/** The request of `copy` and `plan copy`. @throws TransshipError FILTER_INVALID */
export function copyRequest(
  source: string,
  destination: string,
  flags: FilterFlags & ArchiveFlags & HabitFlags,
  now: Date,
): CopyRequest {
  const {additionalTag, archiveSize, deleteSource} = flags;
  return {
    source,
    destination,
    filters: wishFilters(flags, now),
    ...(additionalTag === undefined ? {} : {additionalTags: additionalTag}),
    ...(deleteSource === undefined ? {} : {deleteSource}),
    ...(archiveSize === undefined ? {} : {archiveSize}),
  };
}
