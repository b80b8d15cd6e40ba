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
        'the token of a CI job moves no projects',
        'make an access token with the scope api, and give it in GITLAB_TOKEN',
      ),
    );
  } else if (token.scopes !== undefined && !token.scopes.includes('api')) {
    checks.push(
      forbid(
        'TOKEN_SCOPE_MISSING',
        'token',
        `the token has the scopes ${token.scopes.join(', ') || 'none'}, and moving a project takes api`,
        'make a token with the scope api',
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
        'the token ends within a day',
        'make one that lasts longer than the move',
      ),
    );
  }
  return checks;
}
