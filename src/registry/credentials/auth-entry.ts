import type {AuthEntry} from './auth-file.ts';
import {type Credentials, credentialsInvalid} from './credentials.ts';

/**
 * The credentials of one entry; undefined where it has none (docker leaves an empty entry behind when the secret went
 * to a credential store). The most special kind wins, as in docker: registry token, identity token, password.
 * @param name the file, for messages
 * @throws TransshipError CREDENTIALS_INVALID
 */
export function readAuthEntry(
  name: string,
  key: string,
  entry: AuthEntry,
): Credentials | undefined {
  if (entry.registrytoken) return {kind: 'registry-token', token: entry.registrytoken};
  if (entry.identitytoken) return {kind: 'identity-token', token: entry.identitytoken};
  if (entry.auth) return decodeAuth(name, key, entry.auth);
  const {username = '', password = ''} = entry;
  if (username === '' && password === '') return undefined;
  if (username !== '' && password !== '') return {kind: 'basic', username, password};
  throw credentialsInvalid(
    `${name} has ${username === '' ? 'no username' : 'no password'} for ${key}`,
    'log in again, with docker login or podman login',
  );
}

function decodeAuth(name: string, key: string, auth: string): Credentials {
  // As base64(1) and YAML break it; docker passes over line breaks, too (Go: encoding/base64, `Decode`).
  const encoded = auth.replaceAll(/\s/g, '');
  const decoded = Buffer.from(encoded, 'base64').toString();
  const colon = decoded.indexOf(':');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded) || colon < 1) {
    throw credentialsInvalid(
      `"auth" for ${key} in ${name} is not base64 of username:password`,
      'log in again, with docker login or podman login',
    );
  }
  // Docker pads the decoded text with zero bytes and cuts them off again (cli/config/configfile, decodeAuth).
  const password = decoded.slice(colon + 1).replace(/\0+$/, '');
  return {kind: 'basic', username: decoded.slice(0, colon), password};
}
