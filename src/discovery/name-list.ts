import {TransshipError} from '../model/error.ts';
import type {ListedRepository} from '../model/port.ts';
import {canonicalRegistry, isRepositoryPath, isWithin} from '../model/reference.ts';
import {NAME_LIMITS} from '../registry/paging.ts';

/** Maximum size of a list, in bytes. */
export const NAME_LIST_LIMIT = 16 * 1024 * 1024;

/** Wrong lines that an error names. */
const LINES_SHOWN = 10;

/**
 * Reads repositories from a text with one on each line: paths, or `host/path` with the host that is looked at. `#` begins a
 * comment.
 * @param host `host[:port]`, as `canonicalRegistry` gives it
 * @param prefix see `RepositoryLister.listRepositories`: all names must be within it
 * @throws TransshipError FILE_INVALID, which names every wrong line
 */
export function parseNameList(
  text: string,
  file: string,
  host: string,
  prefix: string,
): readonly ListedRepository[] {
  const names = new Set<string>();
  const wrong: string[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const name = withoutHost(line.replace(/(?:^|\s)#.*$/, '').trim(), host);
    if (name === '') continue;
    const why = !isRepositoryPath(name)
      ? 'is not the name of a repository'
      : isWithin(name, prefix)
        ? undefined
        : `is not below ${prefix}`;
    if (why === undefined) names.add(name);
    else wrong.push(`${file}:${at + 1}: "${name}" ${why}`);
  }
  if (names.size > NAME_LIMITS.items)
    wrong.push(`${file} has more than ${NAME_LIMITS.items} names`);
  if (wrong.length > 0) throw invalid(wrong);
  return [...names].map((repository) => ({repository}));
}

function withoutHost(name: string, host: string): string {
  const bare = name.replace(/^docker:\/\//, '');
  const slash = bare.indexOf('/');
  const isHost = slash > 0 && canonicalRegistry(bare.slice(0, slash)) === host;
  return isHost ? bare.slice(slash + 1) : bare;
}

function invalid(wrong: readonly string[]): TransshipError {
  const shown = wrong.slice(0, LINES_SHOWN).join('; ');
  const more = wrong.length - LINES_SHOWN;
  const message = more > 0 ? `${shown}; and ${more} more` : shown;
  return new TransshipError('FILE_INVALID', message, {
    side: 'local',
    hint: 'write one repository per line, without a tag, such as team/app',
  });
}
