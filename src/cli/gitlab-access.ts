import {stat} from 'node:fs/promises';
import type {Command} from 'commander';
import type {FoundKind} from '../discovery/source-kind.ts';
import {
  addressOf,
  type GitLabToken,
  hasOwnToken,
  hostTokenVariable,
  parseGitLabUrl,
} from '../gitlab/connection.ts';
import {readRegular} from '../http/regular-file.ts';
import {GITLAB_COM, GitLabAccess, type GitLabAccounts} from '../library/gitlab-access.ts';
import type {Session} from '../library/session.ts';
import {TransshipError} from '../model/error.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import type {Io} from './io.ts';
import {namedGitLab, type PlanTrust} from './plan-trust.ts';

/** Flags of all commands that access a GitLab instance. */
export interface GitLabFlags {
  readonly gitlab?: string;
  readonly tokenFile?: string;
}

/** The maximum size of a token file, in bytes. */
const TOKEN_LIMIT = 4096;

export function addGitLabFlags(command: Command): Command {
  return command
    .option(
      '--gitlab <url>',
      'the URL of GitLab, to which the token is sent (default: $TRANSSHIP_GITLAB_HOST, $CI_SERVER_URL)',
    )
    .option(
      '--token-file <file>',
      "read GitLab's token from this file (default: $TRANSSHIP_GITLAB_TOKEN_<HOST>, $TRANSSHIP_GITLAB_TOKEN, $GITLAB_TOKEN, $CI_JOB_TOKEN)",
    );
}

/**
 * Opens the instance that the user names by a flag, by the environment, or otherwise. The token never comes from the
 * command line, which other users of the machine can read.
 * @throws TransshipError USAGE, FILE_UNREADABLE, HOST_NOT_NAMED
 */
export async function openGitLab(
  flags: GitLabFlags,
  io: Io,
  session: Session,
  otherwise?: string,
): Promise<GitLabAccess> {
  const address = flags.gitlab || namedGitLab(io.env) || otherwise;
  if (address === undefined) {
    throw new TransshipError('USAGE', 'no GitLab instance is given', {
      side: 'local',
      hint: 'add its URL, such as --gitlab https://gitlab.example.com',
    });
  }
  return await access(parseGitLabUrl(address), flags, io, session);
}

/**
 * Opens the instance of a plan, if it may receive the token.
 * @throws TransshipError as `openGitLab`
 */
export async function openPlannedGitLab(
  {wish}: TransferPlan,
  trust: PlanTrust,
  flags: GitLabFlags,
  io: Io,
  session: Session,
): Promise<GitLabAccess> {
  const url = parseGitLabUrl(wish.gitlab);
  await trust.checkGitLab(url);
  return await access(url, flags, io, session);
}

/**
 * The instances that the flags and the environment name.
 * @param trust set if they come from a plan
 */
export function gitlabAccounts(
  flags: GitLabFlags,
  io: Io,
  trust: PlanTrust | undefined,
): GitLabAccounts {
  return {
    addressOf: (host, found) => gitlabAddress(host, found, flags, io),
    open: async (url, session) => {
      await trust?.checkGitLab(url);
      return await access(url, flags, io, session);
    },
  };
}

/**
 * The token is sent to the GitLab instance that the user names by a flag or a variable, if the registry confirms that
 * it belongs to that instance: a CI job names the instance that runs it, and a migration may have several sources. A
 * variable with a token for the instance that the registry names, and the name of GitLab.com's registry, count as well.
 */
function gitlabAddress(
  host: string,
  found: FoundKind,
  flags: GitLabFlags,
  {env}: Pick<Io, 'env'>,
): string | undefined {
  const own = found.gitlab === undefined ? undefined : parseGitLabUrl(found.gitlab);
  const named = [flags.gitlab, namedGitLab(env)].find(
    (url) => url && (own === undefined || parseGitLabUrl(url).href === own.href),
  );
  return (
    named ||
    (host === GITLAB_COM.registry ? GITLAB_COM.url : undefined) ||
    (own !== undefined && hasOwnToken(own, env) ? own.href : undefined)
  );
}

async function access(
  url: URL,
  flags: GitLabFlags,
  io: Io,
  session: Session,
): Promise<GitLabAccess> {
  const token = await readToken(url, flags, io);
  if (flags.tokenFile !== undefined) await warnOfOthers(flags.tokenFile, session);
  if (token.kind === 'job-token') checkJobToken(url, io);
  return new GitLabAccess(url, token, session);
}

/** A job token is valid only for the instance that runs the job. @throws TransshipError HOST_NOT_NAMED */
function checkJobToken(url: URL, {env}: Io): void {
  const server = env['CI_SERVER_URL'] ? addressOf(parseGitLabUrl(env['CI_SERVER_URL'])) : undefined;
  const address = addressOf(url);
  if (server === address) return;
  throw new TransshipError(
    'HOST_NOT_NAMED',
    `CI_JOB_TOKEN is for ${server ?? 'the GitLab in CI_SERVER_URL'}, not for ${address}`,
    {side: 'local', hint: `set GITLAB_TOKEN to an access token of ${address}`},
  );
}

/** Whoever can write the file chooses the token that is used; whoever can read it has the token. */
async function warnOfOthers(file: string, {report}: Session): Promise<void> {
  const {mode} = await stat(file);
  const may = (mode & 0o002) !== 0 ? 'change' : (mode & 0o004) !== 0 ? 'read' : undefined;
  if (may === undefined) return;
  const message = `other users of this machine can ${may} ${file}: run chmod 600 on it`;
  report({type: 'notice', code: 'TOKEN_FILE_OPEN', message});
}

/**
 * The token in the file that a flag names, or else in the variable for this instance, or in the one for any instance.
 */
async function readToken(url: URL, {tokenFile}: GitLabFlags, {env}: Io): Promise<GitLabToken> {
  if (tokenFile !== undefined)
    return {kind: 'access-token', value: checked(await readTokenFile(tokenFile), tokenFile)};
  for (const name of [hostTokenVariable(url), 'TRANSSHIP_GITLAB_TOKEN', 'GITLAB_TOKEN']) {
    const value = env[name];
    if (value) return {kind: 'access-token', value: checked(value.trim(), `$${name}`)};
  }
  const job = env['CI_JOB_TOKEN'];
  if (job) return {kind: 'job-token', value: checked(job.trim(), '$CI_JOB_TOKEN')};
  throw new TransshipError('USAGE', 'there is no token for GitLab', {
    side: 'local',
    hint: 'set GITLAB_TOKEN to an access token with the scope api, or name a file with --token-file',
  });
}

async function readTokenFile(file: string): Promise<string> {
  try {
    return (await readRegular(file, TOKEN_LIMIT, {pipe: true})).toString().trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_UNREADABLE', `the token in ${file} cannot be read: ${why}`, {
      side: 'local',
      hint: 'name a file that contains only the token',
      cause,
    });
  }
}

/** A token becomes part of a header, so it must not contain spaces or line breaks. */
function checked(value: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(value)) return value;
  throw new TransshipError('USAGE', `${where} does not contain a token`, {
    side: 'local',
    hint: 'a token is one word of ASCII characters',
  });
}
