import {type GitLabToken, parseGitLabUrl} from '../../src/gitlab/connection.ts';
import {GitLab} from '../../src/gitlab/gitlab.ts';
import {HttpClient} from '../../src/http/client.ts';
import {type Handler, startHttpServer} from '../support/http-server.ts';

/** A client that waits for nothing longer than it must. */
export function openGitLab(
  url: string,
  token: string | GitLabToken = 'secret-token',
): GitLab & AsyncDisposable {
  const http = new HttpClient({
    retry: {attempts: 3, attemptsAt500: 1, baseMs: 1, capMs: 1, budgetMs: 100},
  });
  const gitlab = new GitLab({
    url: parseGitLabUrl(url),
    token: typeof token === 'string' ? {kind: 'access-token', value: token} : token,
    http,
    patience: {everyMs: 5, limitMs: 2_000},
  });
  return Object.assign(gitlab, {[Symbol.asyncDispose]: () => http[Symbol.asyncDispose]()});
}

/** A server that answers as scripted, and a client for it. */
export async function scripted(handler: Handler) {
  const server = await startHttpServer(handler);
  const gitlab = openGitLab(server.url);
  return {
    server,
    gitlab,
    async [Symbol.asyncDispose]() {
      await gitlab[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** What every call takes, for tests that end no call. */
export const CALL = {signal: new AbortController().signal};

/** A project as GitLab tells of it, the least that it always tells. */
export function projectJson(fullPath: string, more: object = {}): object {
  const parts = fullPath.split('/');
  const path = parts.pop();
  return {
    id: 9,
    name: path,
    path,
    path_with_namespace: fullPath,
    namespace: {id: parts.length, kind: 'group', full_path: parts.join('/')},
    archived: false,
    ...more,
  };
}
