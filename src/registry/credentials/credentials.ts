import {TransshipError} from '../../model/error.ts';
import type {Redactor} from '../../http/secrets.ts';

/**
 * What a registry is told about who we are.
 * `identity-token`: traded for access tokens at the token service (OAuth2 refresh token, docker's `identitytoken`).
 * `registry-token`: sent to the registry as the bearer token, as it is.
 */
export type Credentials =
  | {readonly kind: 'basic'; readonly username: string; readonly password: string}
  | {readonly kind: 'identity-token'; readonly token: string}
  | {readonly kind: 'registry-token'; readonly token: string};

/** Which side of a copy asks; credentials may be given for one side only. */
export type CredentialSide = 'source' | 'destination';

/** Teaches the redactor what must not be shown; to be called before anything else is done with credentials. */
export function learnCredentials(credentials: Credentials, redactor: Redactor): void {
  if (credentials.kind === 'basic') {
    redactor.learnBasic(credentials.username, credentials.password);
  } else {
    redactor.learn(credentials.token);
  }
}

/** An error about credentials as they were given, in a file or in a variable. */
export function credentialsInvalid(message: string, hint: string, cause?: unknown): TransshipError {
  return new TransshipError('CREDENTIALS_INVALID', message, {side: 'local', hint, cause});
}
