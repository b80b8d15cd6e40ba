import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {AccessFacts} from '../../plan/transfer/facts.ts';
import {ACCESS_LEVEL} from '../entities.ts';
import type {Surroundings} from './surroundings.ts';

/**
 * Who may pull through a role in the one group and not in the other.
 * @param from id of the group that is left; undefined: none
 * @param to id of the group that is entered; undefined: none
 * @returns undefined: nothing changes, or GitLab does not tell
 */
export async function accessFacts(
  from: number | undefined,
  to: number | undefined,
  surroundings: Surroundings,
  call: Call,
): Promise<AccessFacts | undefined> {
  if (from === to) return undefined;
  const [before, after] = [
    await readersOf(from, surroundings, call),
    await readersOf(to, surroundings, call),
  ];
  if (before === undefined || after === undefined) return undefined;
  return {
    lost: [...before].filter((name) => !after.has(name)).toSorted(),
    gained: [...after].filter((name) => !before.has(name)).toSorted(),
  };
}

/** Images of a private project can be pulled from the role of a reporter on (GitLab: doc/user/permissions.md). */
async function readersOf(
  group: number | undefined,
  {gitlab}: Surroundings,
  call: Call,
): Promise<ReadonlySet<string> | undefined> {
  if (group === undefined) return new Set();
  try {
    const members = await gitlab.groups.members(group, call);
    return new Set(
      members.flatMap(({username, accessLevel}) =>
        accessLevel >= ACCESS_LEVEL.reporter ? [username] : [],
      ),
    );
  } catch (error) {
    if (error instanceof TransshipError && (error.status === 403 || error.status === 404))
      return undefined;
    throw error;
  }
}
