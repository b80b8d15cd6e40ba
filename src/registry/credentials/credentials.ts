import {TransshipError} from '../../model/error.ts';
import type {Redactor} from '../../http/redaction.ts';

/**
 * Credentials for a registry. `identity-token`: exchanged for access tokens at the token service (OAuth2 refresh token,
 * docker's `identitytoken`). `registry-token`: sent to the registry unchanged, as the bearer token.
 */
export type Credentials =
  | {readonly kind: 'basic'; readonly username: string; readonly password: string}
  | {readonly kind: 'identity-token'; readonly token: string}
  | {readonly kind: 'registry-token'; readonly token: string};

/** The side of a copy; credentials may be given for one side only. */
export type CredentialSide = 'source' | 'destination';

/** Registers the secrets with the redactor. Call this before any other use of the credentials. */
export function learnCredentials(credentials: Credentials, redactor: Redactor): void {
  if (credentials.kind === 'basic') {
    redactor.learnBasic(credentials.username, credentials.password);
  } else {
    redactor.learn(credentials.token);
  }
}

/** An error about credentials in a file or a variable. */
export function credentialsInvalid(message: string, hint: string, cause?: unknown): TransshipError {
  return new TransshipError('CREDENTIALS_INVALID', message, {side: 'local', hint, cause});
}
