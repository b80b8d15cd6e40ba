import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import type {AccessFacts} from '../../plan/transfer/facts.ts';
import {ACCESS_LEVEL, type Group, type Project} from '../entities.ts';
import type {Surroundings} from './surroundings.ts';

/** Projects of the old groups whose allowlists are read: there may be thousands. */
const PROJECTS_LIMIT = 100;
const AT_ONCE = 8;

/** What moves from one group to another. */
export interface AccessQuestion {
  /** ID of the group that is left; undefined: none. */
  readonly from: number | undefined;
  /** ID of the group that is entered; undefined: none. */
  readonly to: number | undefined;
  /** The user whose namespace is entered. */
  readonly owner?: string;
  /** Those that move. */
  readonly projects: readonly Pick<Project, 'id' | 'fullPath'>[];
}

/**
 * Who may pull through the one group and not through the other: members, deploy tokens of groups, and CI jobs by
 * allowlists that name groups.
 * @returns undefined: the group stays
 */
export async function accessFacts(
  {from, to, owner, projects}: AccessQuestion,
  surroundings: Surroundings,
  call: Call,
): Promise<AccessFacts | undefined> {
  if (from === to) return undefined;
  const unseen: string[] = [];
  const seen = async <T>(what: string, look: Promise<T>): Promise<T | undefined> =>
    look.catch((error: unknown) => {
      if (!isHidden(error)) throw error;
      unseen.push(what);
      return undefined;
    });
  const {foreignAccess} = surroundings.gitlab;
  const [before, after] = [
    await seen('the members of the old group', readersOf(from, surroundings, call)),
    await seen('the members of the new group', readersOf(to, surroundings, call)),
  ];
  const members =
    before === undefined || after === undefined
      ? {lost: [], gained: []}
      : {
          lost: without(before, after).filter((name) => name !== owner),
          gained: without(after, before),
        };
  const [old, now] = [
    await ancestors(from, surroundings, call),
    await ancestors(to, surroundings, call),
  ];
  const left = old.filter(({id}) => now.every((group) => group.id !== id));
  const deployTokens: {group: string; name: string}[] = [];
  for (const {id, fullPath} of left) {
    const tokens = await seen(
      `the deploy tokens of ${fullPath}`,
      foreignAccess.deployTokens(id, call),
    );
    const usable = (tokens ?? []).filter(({scopes}) =>
      scopes.some((scope) => scope === 'read_registry' || scope === 'write_registry'),
    );
    deployTokens.push(...usable.map(({name}) => ({group: fullPath, name})));
  }
  const listing = async (
    all: readonly Pick<Project, 'id' | 'fullPath'>[],
  ): Promise<AccessFacts['allows']> => {
    const found = await mapAtOnce(all, AT_ONCE, async ({id, fullPath}) => {
      const groups = await foreignAccess.allowedGroups(id, call).catch((error: unknown) => {
        if (!isHidden(error)) throw error;
        return 'hidden' as const;
      });
      if (groups === 'hidden') return {fullPath, groups: undefined};
      const names = left
        .filter((group) => groups?.includes(group.id))
        .map((group) => group.fullPath);
      return {fullPath, groups: names};
    });
    const hidden = found.filter(({groups}) => groups === undefined);
    const [first, ...others] = hidden;
    if (first !== undefined) {
      const more = others.length === 0 ? '' : ` and of ${others.length} more projects`;
      unseen.push(`the job-token allowlist of ${first.fullPath}${more}`);
    }
    return found.flatMap(({fullPath, groups = []}) =>
      groups.map((group) => ({project: fullPath, group})),
    );
  };
  const moving = new Set(projects.map(({id}) => id));
  // Of all projects near by, those below the same top-level group.
  const top = left.length === 0 ? undefined : old.at(-1);
  const near = top === undefined ? [] : await surroundings.gitlab.groups.projects(top.id, call);
  const staying = near.filter(({id}) => !moving.has(id));
  if (staying.length > PROJECTS_LIMIT)
    unseen.push(
      `the job-token allowlists of ${staying.length - PROJECTS_LIMIT} of the ${staying.length} projects below ${top?.fullPath ?? ''}, which are not read`,
    );
  return {
    ...members,
    deployTokens,
    allows: await listing(projects.slice(0, PROJECTS_LIMIT)),
    allowedBy: await listing(staying.slice(0, PROJECTS_LIMIT)),
    unseen,
  };
}

/** The group and those above it, from below; those that the token may not see are left out. */
async function ancestors(
  id: number | undefined,
  {gitlab}: Surroundings,
  call: Call,
): Promise<readonly Group[]> {
  const found: Group[] = [];
  for (let next = id; next !== undefined; ) {
    const group = await gitlab.groups.find(next, call);
    if (group === undefined) break;
    found.push(group);
    next = group.parentId;
  }
  return found;
}

/** Images of a private project can be pulled from the role of a reporter on (GitLab: doc/user/permissions.md). */
async function readersOf(
  group: number | undefined,
  {gitlab}: Surroundings,
  call: Call,
): Promise<ReadonlySet<string>> {
  if (group === undefined) return new Set();
  const members = await gitlab.groups.members(group, call);
  return new Set(
    members.flatMap(({username, accessLevel}) =>
      accessLevel >= ACCESS_LEVEL.reporter ? [username] : [],
    ),
  );
}

function without(one: ReadonlySet<string>, other: ReadonlySet<string>): readonly string[] {
  return [...one].filter((name) => !other.has(name)).toSorted();
}

function isHidden(error: unknown): boolean {
  return error instanceof TransshipError && (error.status === 403 || error.status === 404);
}
