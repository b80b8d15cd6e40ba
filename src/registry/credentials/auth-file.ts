import {LineCounter, parseDocument} from 'yaml';
import {readRegular} from '../../http/regular-file.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson} from '../../model/json.ts';
import {z} from '../../model/schema.ts';
import {type Credentials, credentialsInvalid} from './credentials.ts';
import {join} from 'node:path';
import type {Environment} from '../../http/proxy.ts';

const FILE_LIMIT = DOCUMENT_LIMITS.size;

const entrySchema = z.object({
  /** Base64 of `username:password`. */
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
  registrytoken: z.string().optional(),
});
const fileSchema = z.object({
  auths: z.record(z.string(), entrySchema).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});

/** One host's or namespace's entry under `auths`. */
export type AuthEntry = z.infer<typeof entrySchema>;

/** The relevant parts of docker's `config.json` or podman's `auth.json`. */
export interface AuthFile {
  /** For messages: the file, or the environment variable that contained it. */
  readonly name: string;
  readonly auths: Readonly<Record<string, AuthEntry>>;
  /** The credential helpers by host; an empty name means none, not even `credsStore`. */
  readonly credHelpers: Readonly<Record<string, string>>;
  readonly credsStore: string | undefined;
}

/**
 * Reads a credentials file; undefined: it does not exist.
 * @throws TransshipError CREDENTIALS_INVALID
 */
export async function readAuthFile(file: string): Promise<AuthFile | undefined> {
  let content: string;
  try {
    content = (await readRegular(file, FILE_LIMIT)).toString();
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw credentialsInvalid(
      `the credentials file ${file} cannot be read (${code ?? `it ${message}`})`,
      'name a file that docker login or podman login wrote, and that you may read, with --authfile',
      error,
    );
  }
  return await parseAuthFile(file, content);
}

/**
 * Parser errors are left out of messages and causes: they quote the text, which contains passwords.
 * @throws TransshipError CREDENTIALS_INVALID
 */
export async function parseAuthFile(name: string, content: string): Promise<AuthFile> {
  const hint =
    'correct its format, or move it elsewhere and log in again with docker login or podman login';
  let json: unknown;
  try {
    // Docker treats a blank file as one without entries.
    json = content.trim() === '' ? {} : parseJson(content);
  } catch (error) {
    const {message, cause} = error as JsonError;
    const where = cause === undefined ? '' : whereNotJson(content, cause);
    throw credentialsInvalid(`${name}${where} ${message}`, hint);
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue?.path.length ? ` at ${issue.path.join('.')}` : '';
    throw credentialsInvalid(`${name}${at} is invalid: ${issue?.message}`, hint);
  }
  const {auths, credHelpers, credsStore} = parsed.data;
  return {
    name,
    auths: auths ?? {},
    credHelpers: credHelpers ?? {},
    credsStore: credsStore || undefined,
  };
}

/** Characters in which a syntax error is looked for: the YAML parser takes up to 2,500 times their size in memory. */
const SEARCHED = 64 * 1024;

/**
 * `:line:column` of the first syntax error. V8 reports it for some errors; the YAML parser finds most of the others.
 */
function whereNotJson(content: string, error: unknown): string {
  const told = /\(line (\d+) column (\d+)\)$/.exec(error instanceof Error ? error.message : '');
  if (told) return `:${told[1]}:${told[2]}`;
  if (content.length > SEARCHED) return '';
  const options = {schema: 'json', lineCounter: new LineCounter(), logLevel: 'silent'} as const;
  const mistake = parseDocument(content, options).errors[0]?.linePos?.[0];
  return mistake ? `:${mistake.line}:${mistake.col}` : '';
}

/**
 * The credentials of one entry; undefined if it has none (docker leaves an empty entry when the secret is in a
 * credential store). The most specific kind wins, as in docker: registry token, identity token, password.
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
  // Line breaks as base64(1) and YAML insert them; docker ignores them, too (Go: encoding/base64, `Decode`).
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

/** The properties of the system's user on which the paths of credentials files depend. */
export interface SystemUser {
  /** The home directory; absent: there is none. */
  readonly home?: string;
  /** The user id; absent on systems without one. */
  readonly uid?: number;
}

/**
 * Where podman keeps its logins (containers-auth.json(5)): the run-time directory, then the user's configuration.
 * Without XDG_RUNTIME_DIR podman takes /run/containers/UID.
 */
export function podmanAuthFiles(env: Environment, {home, uid}: SystemUser): readonly string[] {
  const directories: string[] = [];
  const runtime = env['XDG_RUNTIME_DIR'];
  if (runtime) directories.push(join(runtime, 'containers'));
  else if (uid !== undefined) directories.push(`/run/containers/${uid}`);
  const config = env['XDG_CONFIG_HOME'] || (home && join(home, '.config'));
  if (config) directories.push(join(config, 'containers'));
  return directories.map((directory) => join(directory, 'auth.json'));
}

/** Docker's `config.json`: in DOCKER_CONFIG, or else in `~/.docker`. */
export function dockerConfigFile(env: Environment, {home}: SystemUser): string | undefined {
  const directory = env['DOCKER_CONFIG'] || (home && join(home, '.docker'));
  return directory ? join(directory, 'config.json') : undefined;
}
