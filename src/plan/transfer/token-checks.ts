import type {Check} from '../../model/plan.ts';
import type {TransferFacts} from './facts.ts';
import {forbid, pass, warn} from './finding.ts';
import type {Move} from './moves.ts';

const DAY_MS = 86_400_000;

/** Whether the token may do at GitLab what moving takes (GitLab: doc/user/profile/personal_access_tokens.md, scopes). */
export function tokenChecks({token, now}: TransferFacts, moves: readonly Move[]): readonly Check[] {
  const checks: Check[] = [];
  if (token.kind === 'job-token') {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        'a CI job token cannot move projects',
        'create an access token with the api scope, and set GITLAB_TOKEN to it',
      ),
    );
  } else if (token.scopes !== undefined && !token.scopes.includes('api')) {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        `the token has the scopes ${token.scopes.join(', ') || 'none'}; moving a project requires api`,
        'create a token with the api scope',
      ),
    );
  } else if (moves.length > 0 && token.scopes !== undefined) {
    checks.push(pass('TOKEN_READY', 'token', 'the token has the scope api'));
  }
  if (token.expiresAt !== undefined && token.expiresAt - now < DAY_MS) {
    checks.push(
      warn(
        'TOKEN_ENDS_SOON',
        'token',
        'the token expires within 24 hours',
        'create one that outlasts the move',
      ),
    );
  }
  return checks;
}
