import {createHash} from 'node:crypto';
import {join} from 'node:path';
import type {Donor} from '../../model/transfer-plan.ts';
import {isRepositoryPath} from '../../model/reference.ts';
import {registryPathOf} from '../../model/gitlab-naming.ts';

/**
 * Where the images of each repository wait, by the repository's path below its project (empty: the project's own).
 * Each has a place of its own, so that tags keep their names. Below a project that is `p<id>` and `p<id>/<name>`,
 * two levels at most (GitLab: lib/container_registry/path.rb); in a folder `<path>` and `<path>.<name>`.
 * @param host of the registry
 * @param project the project that moves
 */
export function donorNames(
  donor: Donor,
  host: string,
  project: {readonly id: number; readonly path: string},
  names: readonly string[],
): ReadonlyMap<string, string> {
  const single = singleParts(names);
  return new Map(
    [...single].map(([name, part]) => {
      if (donor.kind === 'directory') {
        const own = registryPathOf(project.path);
        const layout = join(donor.path, part === '' ? own : `${own}.${part}`);
        // What is relative says so, lest it be taken for the path of a project.
        return [name, `oci:${donor.path.startsWith('./') ? './' : ''}${layout}`];
      }
      const base = `${host}/${registryPathOf(donor.path)}/p${project.id}`;
      return [name, part === '' ? base : `${base}/${part}`];
    }),
  );
}

/** Each name as one part of a path: `a/b` is `a__b`, with something to tell it apart if that is taken. */
function singleParts(names: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(names.filter((name) => !name.includes('/')));
  const parts = new Map<string, string>();
  for (const name of names.toSorted()) {
    const joined = name.replaceAll('/', '__');
    const isFree = !name.includes('/') || (!taken.has(joined) && isRepositoryPath(joined));
    const part = isFree ? joined : `${joined}-${mark(name)}`;
    taken.add(part);
    parts.set(name, part);
  }
  return parts;
}

function mark(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 12);
}
