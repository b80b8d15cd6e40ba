import {TransshipError} from '../model/error.ts';

/** What GitLab is asked with: a personal, project or group access token, or the token of a CI job. */
export interface GitLabToken {
  readonly kind: 'access-token' | 'job-token';
  readonly value: string;
}

/**
 * The variable that may hold a token for one instance and no other, `TRANSSHIP_GITLAB_TOKEN_GITLAB_EXAMPLE_COM`. As in
 * terraform's TF_TOKEN_*, a hyphen is two underscores, so that no two hosts have the same one.
 */
export function hostTokenVariable({host}: URL): string {
  const name = host
    .toUpperCase()
    .replaceAll('-', '__')
    .replace(/[^A-Z0-9_]/g, '_');
  return `TRANSSHIP_GITLAB_TOKEN_${name}`;
}

/** The header that carries the token (GitLab: doc/api/rest/authentication.md, doc/ci/jobs/ci_job_token.md). */
export function tokenHeaders({kind, value}: GitLabToken): Readonly<Record<string, string>> {
  return kind === 'job-token' ? {'job-token': value} : {'private-token': value};
}

/**
 * A job's token opens next to nothing of the API, and moves no project (GitLab: doc/ci/jobs/ci_job_token.md).
 * @throws TransshipError TOKEN_SCOPE_MISSING
 */
export function throwIfJobToken(kind: GitLabToken['kind']): void {
  if (kind !== 'job-token') return;
  throw new TransshipError(
    'TOKEN_SCOPE_MISSING',
    'the only token for GitLab is $CI_JOB_TOKEN, and the token of a CI job cannot move a project',
    {
      side: 'gitlab',
      hint: 'create an access token with the scope api, and pass it to the job in GITLAB_TOKEN (a masked CI/CD variable)',
    },
  );
}
