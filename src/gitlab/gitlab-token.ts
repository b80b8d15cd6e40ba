/** What GitLab is asked with: a personal, project or group access token, or the token of a CI job. */
export interface GitLabToken {
  readonly kind: 'access-token' | 'job-token';
  readonly value: string;
}

/** The header that carries the token (GitLab: doc/api/rest/authentication.md, doc/ci/jobs/ci_job_token.md). */
export function tokenHeaders({kind, value}: GitLabToken): Readonly<Record<string, string>> {
  return kind === 'job-token' ? {'job-token': value} : {'private-token': value};
}
