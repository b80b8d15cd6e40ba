import type {HttpClient} from '../http/client.ts';
import {Account} from './account.ts';
import type {Patience} from './confirm.ts';
import {Connection, type GitLabToken} from './connection.ts';
import {ContainerRepositories} from './container-repositories.ts';
import {ForeignAccess} from './foreign-access.ts';
import {Groups} from './groups.ts';
import {MergeRequestNotes} from './merge-request-notes.ts';
import {Projects} from './projects.ts';
import {ProtectionRules} from './protection-rules.ts';

export interface GitLabOptions {
  /** As `parseGitLabUrl` gives it. */
  readonly url: URL;
  readonly token: GitLabToken;
  readonly http: HttpClient;
  /** How long to wait for what GitLab does in the background. Default: two minutes, a look every two seconds. */
  readonly patience?: Patience;
}

/**
 * A GitLab instance, through its REST API. Everything is addressed by id once it was found, since paths change in
 * a move. All failures are TransshipErrors of the side `gitlab`.
 */
export class GitLab {
  readonly url: URL;
  readonly account: Account;
  readonly projects: Projects;
  readonly groups: Groups;
  readonly repositories: ContainerRepositories;
  readonly protection: ProtectionRules;
  readonly foreignAccess: ForeignAccess;
  readonly notes: MergeRequestNotes;

  constructor({url, token, http, patience}: GitLabOptions) {
    const connection = new Connection(url, token, http);
    this.url = url;
    this.account = new Account(connection);
    this.projects = new Projects(connection, patience);
    this.groups = new Groups(connection, patience);
    this.repositories = new ContainerRepositories(connection, patience);
    this.notes = new MergeRequestNotes(connection, this.account);
    this.protection = new ProtectionRules(connection);
    this.foreignAccess = new ForeignAccess(connection);
  }
}
