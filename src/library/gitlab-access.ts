import type {Namespaces} from '../apply/creations.ts';
import type {FoundKind} from '../discovery/source-kind.ts';
import {addressOf, type GitLabToken, parseGitLabUrl} from '../gitlab/connection.ts';
import {createNamespace, namespaceExists} from '../gitlab/create-namespace.ts';
import {GitLab} from '../gitlab/gitlab.ts';
import {TransshipError} from '../model/error.ts';
import {type CopyPlan, type CreateStep, creationsOf} from '../model/plan.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import type {Registry} from '../registry/registry.ts';
import type {Session} from './session.ts';

/** A GitLab instance and an access token for it. The token also opens the registry of the instance. */
export interface GitLabLogin {
  /** Such as `https://gitlab.example.com`. */
  readonly url: string;
  /** With the scope `read_api` to list repositories, `api` to create groups and projects. */
  readonly token: string;
}

/** The GitLab instances that whoever opened the session has tokens for. */
export interface GitLabAccounts {
  /**
   * The address of the GitLab that a registry belongs to, as far as the user names it; undefined: not at all. That the
   * registry names one is no reason to send a token there.
   */
  readonly addressOf: (host: string, found: FoundKind) => string | undefined;
  /** @throws TransshipError USAGE where there is no token for it; HOST_NOT_NAMED */
  readonly open: (url: URL, session: Session) => Promise<GitLabAccess>;
}

/** A GitLab instance and its registry, both asked with one token. */
export class GitLabAccess {
  readonly gitlab: GitLab;
  readonly tokenKind: GitLabToken['kind'];
  readonly #token: GitLabToken;
  readonly #session: Session;

  constructor(url: URL, token: GitLabToken, session: Session) {
    const {username, password} = credentialsOf(token);
    session.redactor.learnBasic(username, password);
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

/** The registry takes an access token under any name, a job's under that of jobs (GitLab: lib/gitlab/auth.rb). */
function credentialsOf({kind, value}: GitLabToken): Extract<Credentials, {kind: 'basic'}> {
  const username = kind === 'job-token' ? 'gitlab-ci-token' : 'transship';
  return {kind: 'basic', username, password: value};
}

/** Instances whose tokens are known. @throws TransshipError USAGE for an address that is none */
export function accountsOf(logins: readonly GitLabLogin[]): GitLabAccounts {
  const known = logins.map(({url, token}) => ({address: addressOf(parseGitLabUrl(url)), token}));
  return {
    addressOf: (host, found) => {
      const address = found.gitlab ?? (host === GITLAB_COM.registry ? GITLAB_COM.url : undefined);
      const own = address === undefined ? undefined : addressOf(parseGitLabUrl(address));
      return known.find((one) => own === undefined || one.address === own)?.address;
    },
    open: (url, session) => {
      const address = addressOf(url);
      const login = known.find((one) => one.address === address);
      if (login === undefined) return Promise.reject(noToken(address));
      const token = {kind: 'access-token', value: login.token} as const;
      return Promise.resolve(new GitLabAccess(url, token, session));
    },
  };
}

/** GitLab's own service, whose registry is known to be its. */
export const GITLAB_COM = {registry: 'registry.gitlab.com', url: 'https://gitlab.com'};

function noToken(address: string): TransshipError {
  return new TransshipError('USAGE', `there is no token for the GitLab at ${address}`, {
    side: 'local',
    hint: 'open the session with a token for it (option "gitlab")',
  });
}

/**
 * Where a plan creates its groups and projects; undefined: it creates none. Each GitLab is opened when it is asked for
 * first.
 * @throws TransshipError from its methods: as `GitLabAccounts.open`
 */
export function plannedNamespaces(plan: CopyPlan, session: Session): Namespaces | undefined {
  if (creationsOf(plan).length === 0) return undefined;
  const opened = new Map<string, Promise<GitLab>>();
  const open = async (address: string): Promise<GitLab> =>
    (await session.gitlabs.open(parseGitLabUrl(address), session)).gitlab;
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
