/** What a member may do, as a number that can be compared (GitLab: lib/gitlab/access.rb). */
export const ACCESS_LEVEL = {
  guest: 10,
  planner: 15,
  reporter: 20,
  developer: 30,
  maintainer: 40,
  owner: 50,
  admin: 60,
} as const;

export type AccessLevelName = keyof typeof ACCESS_LEVEL;

/** The level as rules write it; undefined: not a level we know. */
export function accessLevelOf(name: string): number | undefined {
  return Object.hasOwn(ACCESS_LEVEL, name) ? ACCESS_LEVEL[name as AccessLevelName] : undefined;
}
