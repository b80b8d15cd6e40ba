import {TransshipError} from '../model/error.ts';
import type {FileProblem} from '../model/file-problem.ts';
import type {ListedRepository} from '../model/port.ts';
import {canonicalRegistry, isRepositoryPath, isWithin} from '../model/reference.ts';
import {NAME_LIMITS} from '../registry/paging.ts';

/** Maximum size of a list, in bytes. */
export const NAME_LIST_LIMIT = 16 * 1024 * 1024;

/** Maximum number of invalid lines that an error names. */
const PROBLEMS_LIMIT = 100;

/**
 * Reads repositories from a text, one per line: paths, or `host/path` with this host. `#` begins a comment.
 * @param host `host[:port]`, as `canonicalRegistry` gives it
 * @param prefix see `RepositoryLister.listRepositories`: all names must be within it
 * @throws TransshipError FILE_INVALID, which names the invalid lines
 */
export function parseNameList(
  text: string,
  file: string,
  host: string,
  prefix: string,
): readonly ListedRepository[] {
  const names = new Set<string>();
  const wrong: FileProblem[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const name = withoutHost(line.replace(/(?:^|\s)#.*$/, '').trim(), host);
    if (name === '') continue;
    const why = !isRepositoryPath(name)
      ? 'is not the name of a repository'
      : isWithin(name, prefix)
        ? undefined
        : `is not below ${prefix}`;
    if (why === undefined) names.add(name);
    else wrong.push({file, line: at + 1, column: 1, message: `"${name}" ${why}`});
  }
  if (wrong.length > 0) {
    const count = wrong.length === 1 ? '1 invalid line' : `${wrong.length} invalid lines`;
    const shown =
      wrong.length > PROBLEMS_LIMIT ? `, of which the first ${PROBLEMS_LIMIT} are listed` : '';
    throw invalid(`${file} has ${count}${shown}`, wrong.slice(0, PROBLEMS_LIMIT));
  }
  if (names.size > NAME_LIMITS.items)
    throw invalid(`${file} has more than ${NAME_LIMITS.items} names`);
  return [...names].map((repository) => ({repository}));
}

function withoutHost(name: string, host: string): string {
  const bare = name.replace(/^docker:\/\//, '');
  const slash = bare.indexOf('/');
  const isHost = slash > 0 && canonicalRegistry(bare.slice(0, slash)) === host;
  return isHost ? bare.slice(slash + 1) : bare;
}

function invalid(message: string, problems: readonly FileProblem[] = []): TransshipError {
  return new TransshipError('FILE_INVALID', message, {
    side: 'local',
    hint: 'write one repository per line, without a tag, such as team/app',
    problems,
  });
}
