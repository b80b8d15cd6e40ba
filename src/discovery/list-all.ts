import {clipped, TransshipError} from '../model/error.ts';
import type {Call, ListedRepository, RepositoryLister, UnlistedPart} from '../model/port.ts';
import {compareText} from '../plan/compare.ts';
import {NAME_LIMITS} from '../registry/paging.ts';

/** The repositories of a host, each once, in the order of their names. */
export interface ListedRepositories {
  readonly repositories: readonly ListedRepository[];
  readonly unlisted: readonly UnlistedPart[];
}

/** Parts of a host that cannot be listed: each is reported with its error. */
const UNLISTED_LIMIT = 20_000;

/**
 * Reads a whole list of repositories.
 * @param progress called with the count so far
 * @throws TransshipError REPOSITORY_NOT_FOUND if there is nothing at or below a prefix; RESPONSE_INVALID for too many
 *   repositories or too many parts that cannot be read; and what `RepositoryLister.listRepositories` throws
 */
export async function listAll(
  lister: RepositoryLister,
  prefix: string,
  progress: (found: number) => void,
  call: Call,
): Promise<ListedRepositories> {
  const found = new Map<string, ListedRepository>();
  const unlisted: UnlistedPart[] = [];
  for await (const listed of lister.listRepositories(prefix, call)) {
    // Nothing can be done with a name that is too long, and megabytes of them fill the memory.
    if ('part' in listed) unlisted.push({...listed, part: clipped(listed.part)});
    else {
      const repository = clipped(listed.repository);
      found.set(repository, {...listed, repository});
    }
    if (found.size > NAME_LIMITS.items)
      throw tooMany(lister, `more than ${NAME_LIMITS.items} repositories`);
    if (unlisted.length > UNLISTED_LIMIT)
      throw tooMany(lister, `more than ${UNLISTED_LIMIT} parts that cannot be read`);
    progress(found.size);
  }
  if (prefix !== '' && found.size === 0 && unlisted.length === 0) throw nothingAt(lister, prefix);
  return {
    repositories: [...found.values()].sort((a, b) => compareText(a.repository, b.repository)),
    unlisted,
  };
}

function tooMany({name}: RepositoryLister, what: string): TransshipError {
  return new TransshipError('RESPONSE_INVALID', `${name} lists ${what}`, {
    side: 'source',
    hint: 'add a part of the path after the host, such as host/team',
  });
}

/** The error for a listed repository with an invalid name. */
export function notARepository(repository: string): TransshipError {
  return new TransshipError('REFERENCE_INVALID', `"${repository}" is not a repository name`, {
    side: 'source',
    hint: 'no client can read a repository with this name; rename it at the source',
  });
}

function nothingAt({name}: RepositoryLister, prefix: string): TransshipError {
  return new TransshipError(
    'REPOSITORY_NOT_FOUND',
    `${name} lists no repository at or below "${prefix}"`,
    {
      side: 'source',
      hint: 'check the name, and whether the login has access; leave out the path after the host to list all repositories',
    },
  );
}
