import type {Credentials} from '../account.ts';
import type {Person} from './rights.ts';
import type {World, WorldToken} from './world.ts';

/** The token with this value, if it has not ended. */
export function tokenOf(world: World, value: string, now: number): WorldToken | undefined {
  const token = world.tokens.find((candidate) => candidate.value === value);
  // GitLab ends a token at the beginning of its last day (UTC).
  return token?.expiresOn !== undefined && Date.parse(token.expiresOn) <= now ? undefined : token;
}

/** Whose token it is. */
export function bearerOf(world: World, token: WorldToken | undefined): Person | undefined {
  const user = token && world.users.get(token.userId);
  return user && {user, token};
}

/**
 * Who signs in at the token service (GitLab: lib/gitlab/auth.rb, `find_for_git_client`): with an access token the name
 * is not looked at, a job is called `gitlab-ci-token`, a deploy token has a name of its own.
 */
export function signIn(
  world: World,
  {name, password}: Credentials,
  now: number,
): Person | undefined {
  const token = tokenOf(world, password, now);
  const nameFits =
    token?.kind === 'access' ||
    (token?.kind === 'job' && name === 'gitlab-ci-token') ||
    (token?.kind === 'deploy' && name === token.name);
  if (nameFits) return bearerOf(world, token);
  const user = world.userNamed(name);
  return user?.password === password && password !== '' ? {user, token: undefined} : undefined;
}
