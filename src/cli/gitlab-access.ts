import {stat} from 'node:fs/promises';
import type {Command} from 'commander';
import type {Namespaces} from '../apply/creations.ts';
import {
  addressOf,
  type GitLabToken,
  hostTokenVariable,
  parseGitLabUrl,
} from '../gitlab/connection.ts';
import {createNamespace, namespaceExists} from '../gitlab/create-namespace.ts';
import {GitLab} from '../gitlab/gitlab.ts';
import {readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import {type CopyPlan, type CreateStep, creationsOf} from '../model/plan.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import type {Registry} from '../registry/registry.ts';
import type {Io} from './io.ts';
import {namedGitLab, type PlanTrust} from './plan-trust.ts';
import type {Session} from './session.ts';

/** Flags of everything that talks to a GitLab instance. */
export interface GitLabFlags {
  readonly gitlab?: string;
  readonly tokenFile?: string;
}

/** The most that is read as a token, in bytes. */
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

/** A GitLab instance and its registry, both asked with one token. */
export class GitLabAccess {
  readonly gitlab: GitLab;
  readonly tokenKind: GitLabToken['kind'];
  readonly #token: GitLabToken;
  readonly #session: Session;

  constructor(url: URL, token: GitLabToken, session: Session) {
    this.gitlab = new GitLab({url, token, http: session.http});
    this.tokenKind = token.kind;
    this.#token = token;
    this.#session = session;
  }

  /** Opens the registry of the instance; with the token, unless the user has a login for it. */
  openRegistry(host: string, side: 'source' | 'destination' = 'source'): Registry {
    this.#session.credentials.logIn(host, credentialsOf(this.#token));
    return this.#session.places.registry(host, side);
  }
}

/**
 * Opens the instance that the flags or the environment name, or else the user in another way. The token never comes from the command line, where other
 * users of the machine could read it.
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
 * Opens the instance of a plan, if it may get the token.
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
 * Where a plan creates its groups and projects; undefined: it creates none. Each GitLab is opened when it is asked for first.
 * @throws TransshipError from its methods: as `openGitLab`
 */
export function plannedNamespaces(
  plan: CopyPlan,
  trust: PlanTrust,
  flags: GitLabFlags,
  io: Io,
  session: Session,
): Namespaces | undefined {
  if (creationsOf(plan).length === 0) return undefined;
  const opened = new Map<string, Promise<GitLab>>();
  const open = async (address: string): Promise<GitLab> => {
    const url = parseGitLabUrl(address);
    await trust.checkGitLab(url);
    return (await access(url, flags, io, session)).gitlab;
  };
  const gitlabOf = ({gitlab}: CreateStep): Promise<GitLab> => {
    const one = opened.get(gitlab) ?? open(gitlab);
    opened.set(gitlab, one);
    return one;
  };
  return {
    exists: async (step, call) => await namespaceExists(await gitlabOf(step), step, call),
    create: async (step, call) => await createNamespace(await gitlabOf(step), step, call),
  };
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
  io.redactor.learn(token.value);
  const {username, password} = credentialsOf(token);
  io.redactor.learnBasic(username, password);
  return new GitLabAccess(url, token, session);
}

/** A job's token is that of the instance which runs the job. @throws TransshipError HOST_NOT_NAMED */
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

/** Whoever may write the file chooses whose token is used; whoever may read it has the token. */
async function warnOfOthers(file: string, {report}: Session): Promise<void> {
  const {mode} = await stat(file);
  const may = (mode & 0o002) !== 0 ? 'change' : (mode & 0o004) !== 0 ? 'read' : undefined;
  if (may === undefined) return;
  const message = `other users of this machine can ${may} ${file}: run chmod 600 on it`;
  report({type: 'notice', code: 'TOKEN_FILE_OPEN', message});
}

/** The registry takes an access token under any name, a job's under that of jobs (GitLab: lib/gitlab/auth.rb). */
function credentialsOf({kind, value}: GitLabToken): Extract<Credentials, {kind: 'basic'}> {
  const username = kind === 'job-token' ? 'gitlab-ci-token' : 'transship';
  return {kind: 'basic', username, password: value};
}

/** The file that a flag names, else the variable for this instance, else those for any. */
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

/** A token goes into a header: no blanks, no line breaks. */
function checked(value: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(value)) return value;
  throw new TransshipError('USAGE', `${where} does not contain a token`, {
    side: 'local',
    hint: 'a token is one word of ASCII characters',
  });
}
