import {execFile, type ExecFileException} from 'node:child_process';
import {onAbort} from '../../http/abort.ts';
import {readJson} from '../../model/json.ts';
import {z} from '../../model/schema.ts';
import type {Environment} from '../../http/proxy.ts';
import type {Redactor} from '../../http/redaction.ts';
import {TransshipError} from '../../model/error.ts';
import {type Credentials, credentialsInvalid} from './credentials.ts';

/** Timeout of a helper, in ms, after which it is killed: it may query a cloud service or prompt for a passphrase. */
const HELPER_TIMEOUT_MS = 60_000;
/** How long a process that a helper started may keep the helper's output open after its end, in ms. */
const OUTPUT_GRACE_MS = 1000;
/** Maximum output of a helper, in bytes, after which it is killed: some clouds issue tokens of 10 KB. */
const OUTPUT_LIMIT = 256 * 1024;
/** Characters that are quoted from the output of a failed helper. */
const QUOTE_LIMIT = 300;

const responseSchema = z.object({Username: z.string(), Secret: z.string()});

/** Options for running a credential helper. */
export interface HelperCall {
  /** The environment of the helper, without TRANSSHIP_* variables; the helper is searched in its PATH. */
  readonly env: Environment;
  readonly redactor: Redactor;
  readonly signal: AbortSignal;
  /** Timeout of the helper, in ms. Default: 60 000. */
  readonly timeoutMs?: number;
}

/**
 * The program of a helper's name.
 * @param where the file that names it, for messages
 * @throws TransshipError CREDENTIALS_INVALID if the name contains a path: it must not refer to another directory
 */
export function helperProgram(name: string, where: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name)) return `docker-credential-${name}`;
  throw credentialsInvalid(
    `"${name}" in ${where} is not the name of a credential helper`,
    'write what follows "docker-credential-" in the name of the program, for example ecr-login',
  );
}

/**
 * Asks a credential helper (https://github.com/docker/docker-credential-helpers#development): `PROGRAM get`, started
 * without a shell, gets the server's URL on its stdin and answers with JSON. Undefined: it has no credentials for the
 * server. Rejects with the signal's reason when that is aborted.
 * @throws TransshipError CREDENTIAL_HELPER_FAILED
 */
export async function askHelper(
  program: string,
  serverUrl: string,
  call: HelperCall,
): Promise<Credentials | undefined> {
  const {error, stdout, stderr} = await run(program, serverUrl, call);
  call.signal.throwIfAborted();
  if (error) {
    if (isNotFound(stdout) || isNotFound(stderr)) return undefined;
    throw failed(program, serverUrl, whyFailed(error, stdout, stderr, call));
  }
  const response = readJson(stdout, responseSchema);
  if (response === undefined) {
    // Not quoted: it may contain the secret in an unknown format.
    throw failed(program, serverUrl, 'its output is not {"Username": …, "Secret": …}');
  }
  const {Username: username, Secret: secret} = response;
  if (secret === '') return undefined;
  return username === '<token>'
    ? {kind: 'identity-token', token: secret}
    : {kind: 'basic', username, password: secret};
}

interface Outcome {
  readonly error: ExecFileException | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, serverUrl: string, call: HelperCall): Promise<Outcome> {
  const options = {
    env: Object.fromEntries(
      Object.entries(call.env).filter(([name]) => !name.startsWith('TRANSSHIP_')),
    ),
    timeout: call.timeoutMs ?? HELPER_TIMEOUT_MS,
    maxBuffer: OUTPUT_LIMIT,
    signal: call.signal,
    killSignal: 'SIGKILL',
    windowsHide: true,
  } as const;
  return new Promise((resolve) => {
    const child = execFile(program, ['get'], options, (error, stdout, stderr) =>
      resolve({error, stdout, stderr}),
    );
    // The process of an agent, for example. What the helper wrote is there.
    child.once('exit', () => {
      const timer = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, OUTPUT_GRACE_MS);
      child.once('close', () => clearTimeout(timer));
    });
    // Node would send SIGTERM, which a helper may ignore.
    const forget = onAbort(call.signal, () => void child.kill('SIGKILL'));
    child.once('close', forget);
    // A helper need not read its input, so a write error is ignored: its output and exit status decide.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${serverUrl}\n`);
  });
}

function whyFailed(
  error: ExecFileException,
  stdout: string,
  stderr: string,
  {redactor, timeoutMs = HELPER_TIMEOUT_MS}: HelperCall,
): string {
  if (error.code === 'ENOENT') return 'there is no such program on the PATH';
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
    return `it wrote more than ${OUTPUT_LIMIT} bytes`;
  }
  if (typeof error.code === 'string') return `it cannot be started (${error.code})`;
  if (error.killed) return `it did not respond within ${timeoutMs} ms`;
  const ended = error.signal ? `it was killed by ${error.signal}` : `exit status ${error.code}`;
  // Helpers of the docker family write errors to stdout; output with a secret would be JSON.
  const words = `${stderr} ${/[{"]/.test(stdout) ? '' : stdout}`
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  if (words === '') return ended;
  return `${ended}: ${redactor.redact(words).slice(0, QUOTE_LIMIT)}`;
}

/** The message is part of the protocol (docker-credential-helpers, credentials/error.go). */
function isNotFound(output: string): boolean {
  return /^credentials not found\b/im.test(output.trim());
}

function failed(program: string, serverUrl: string, why: string): TransshipError {
  return new TransshipError(
    'CREDENTIAL_HELPER_FAILED',
    `the credential helper ${program} failed for ${serverUrl}: ${why}`,
    {
      side: 'local',
      hint: `try it: echo ${serverUrl} | ${program} get; or give another file with --authfile`,
    },
  );
}
