import {TransshipError} from '../model/error.ts';

/** What GitLab is asked with: a personal, project or group access token, or the token of a CI job. */
export interface GitLabToken {
  readonly kind: 'access-token' | 'job-token';
  readonly value: string;
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
