import {LineCounter, parseDocument} from 'yaml';
import {readRegular} from '../../http/regular-file.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson} from '../../model/json.ts';
import {z} from '../../model/schema.ts';
import {credentialsInvalid} from './credentials.ts';

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

/** What matters of docker's `config.json` or of podman's `auth.json`. */
export interface AuthFile {
  /** For messages: the file, or the variable whose value it was. */
  readonly name: string;
  readonly auths: Readonly<Record<string, AuthEntry>>;
  /** The credential helper of a host; an empty name means none, whatever `credsStore` says. */
  readonly credHelpers: Readonly<Record<string, string>>;
  readonly credsStore: string | undefined;
}

/**
 * Reads a credentials file; undefined: there is none.
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
 * The parsers' words are left out of messages and causes: they quote the text, and the text has passwords in it.
 * @throws TransshipError CREDENTIALS_INVALID
 */
export async function parseAuthFile(name: string, content: string): Promise<AuthFile> {
  const hint = 'write it as docker login or podman login do, or move it away and log in again';
  let json: unknown;
  try {
    // Docker takes a blank file for one without entries.
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
    throw credentialsInvalid(`${name}${at} is not what it should be: ${issue?.message}`, hint);
  }
  const {auths, credHelpers, credsStore} = parsed.data;
  return {
    name,
    auths: auths ?? {},
    credHelpers: credHelpers ?? {},
    credsStore: credsStore || undefined,
  };
}

/** `:line:column` of the first mistake. V8 tells it for some mistakes; of the others most are none in YAML either. */
function whereNotJson(content: string, error: unknown): string {
  const told = /\(line (\d+) column (\d+)\)$/.exec(error instanceof Error ? error.message : '');
  if (told) return `:${told[1]}:${told[2]}`;
  const options = {schema: 'json', lineCounter: new LineCounter(), logLevel: 'silent'} as const;
  const mistake = parseDocument(content, options).errors[0]?.linePos?.[0];
  return mistake ? `:${mistake.line}:${mistake.col}` : '';
}
