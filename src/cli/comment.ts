import {basename} from 'node:path';
import {addressOf, hasOwnToken, hostTokenVariable, parseGitLabUrl} from '../gitlab/connection.ts';
import type {MergeRequest} from '../gitlab/merge-request-notes.ts';
import {TransshipError} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {Plan} from '../model/plan.ts';
import {renderPlan} from '../report/plan-document.ts';
import {type GitLabFlags, openGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {HostFlags} from './options.ts';
import {namedGitLab} from './plan-trust.ts';
import {withSession} from './session.ts';

type Flags = GitLabFlags & HostFlags;

/**
 * Writes the review of a plan as a comment on the merge request of the CI job, or updates its earlier comment for a
 * plan with this name. A comment is a convenience: a failure is reported, but the command succeeds.
 */
export async function commentOnMergeRequest(
  plan: Plan,
  planFile: string,
  flags: Flags,
  io: Io,
): Promise<void> {
  await withSession(io, {...flags, progress: 'plain'}, async (session) => {
    const {report, reading: call} = session;
    try {
      const {url, ...request} = mergeRequestOf(io.env);
      throwUnlessNamed(url, flags, io.env);
      const access = await openGitLab({...flags, gitlab: url.href}, io, session);
      if (access.tokenKind === 'job-token') throw withJobToken();
      const mark = markOf(planFile);
      const body = `${io.redactor.redact(renderPlan(plan, 'markdown', {planFile}))}\n${mark}\n`;
      await access.gitlab.notes.put(request, {mark, body: body.trimEnd()}, call);
    } catch (error) {
      if (io.stopping.aborted || io.aborted.aborted) throw error;
      const {code, message, hint} = errorData(error);
      const text = `no comment on the merge request: ${message} [${code}]; ${hint}`;
      report({type: 'notice', code: 'COMMENT_NOT_WRITTEN', message: text});
    }
  });
}

/** Identifies the comment. It is not displayed, and is the same for each plan with this name. */
function markOf(planFile: string): string {
  const name = basename(planFile).replace(/(?:\.plan)?\.json$/, '');
  return `<!-- transship plan ${encodeURIComponent(name)} -->`;
}

/** GitLab: doc/ci/variables/predefined_variables.md. @throws TransshipError USAGE */
function mergeRequestOf(env: Io['env']): MergeRequest & {readonly url: URL} {
  const iid = env['CI_MERGE_REQUEST_IID'] ?? '';
  const project = env['CI_MERGE_REQUEST_PROJECT_ID'] || env['CI_PROJECT_ID'];
  const address = env['CI_API_V4_URL'] || env['CI_SERVER_URL'];
  if (!/^[1-9]\d{0,9}$/.test(iid) || !project || !address) {
    throw new TransshipError(
      'USAGE',
      'this is not a job of a merge request pipeline: CI_MERGE_REQUEST_IID, CI_PROJECT_ID and CI_API_V4_URL are not all set',
      {
        side: 'local',
        hint: 'run the job with rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]',
      },
    );
  }
  return {url: parseGitLabUrl(address), project, iid: Number(iid)};
}

/**
 * A token that is not specific to this instance is sent only to the GitLab instance that the user names.
 * @throws TransshipError HOST_NOT_NAMED
 */
function throwUnlessNamed(url: URL, {gitlab, tokenFile}: Flags, env: Io['env']): void {
  if (!gitlab && tokenFile === undefined && hasOwnToken(url, env)) return;
  const address = addressOf(url);
  const tokenIsFor = addressOf(parseGitLabUrl(gitlab || namedGitLab(env) || address));
  if (tokenIsFor === address) return;
  throw new TransshipError(
    'HOST_NOT_NAMED',
    `the token is for ${tokenIsFor}, and the merge request is at ${address}`,
    {
      side: 'local',
      hint:
        url.pathname === '/'
          ? `set ${hostTokenVariable(url)} to a token of ${address}`
          : `to send the token there, add --gitlab ${address}`,
    },
  );
}

/** GitLab: doc/ci/jobs/ci_job_token.md, "Job token access"; issue 545150. */
function withJobToken(): TransshipError {
  return new TransshipError(
    'TOKEN_SCOPE_MISSING',
    'the only GitLab token is $CI_JOB_TOKEN, and a CI job token cannot write comments',
    {
      side: 'gitlab',
      hint: 'create a project access token with the role Reporter and the scope api, and pass it to the job as GITLAB_TOKEN (a masked CI/CD variable)',
    },
  );
}
