import {appendFile, chmod, readFile, writeFile} from 'node:fs/promises';
import {type TempDirectory, tempDirectory} from './temp.ts';

/** A directory with credential helpers of the tests' own, to be put on a PATH. */
export interface CredentialHelpers extends AsyncDisposable {
  readonly directory: TempDirectory;
  /** The directory, and what shell scripts need. */
  readonly path: string;
  /**
   * Makes `docker-credential-NAME` from the body of a shell script. It finds the server's URL in `$server`, the verb
   * in `$1`; each call is noted down before the body runs.
   */
  add(name: string, body: string): Promise<void>;
  /** What the helpers were called with, in order: name, verb, server's URL. */
  calls(): Promise<readonly string[]>;
}

export async function credentialHelpers(): Promise<CredentialHelpers> {
  const directory = await tempDirectory();
  const log = directory.join('calls');
  await appendFile(log, '');
  return {
    directory,
    path: `${directory.path}:/usr/bin:/bin`,
    async add(name, body) {
      const file = directory.join(`docker-credential-${name}`);
      await writeFile(
        file,
        `#!/bin/sh\nread -r server\necho "${name} $1 $server" >> ${log}\n${body}\n`,
      );
      await chmod(file, 0o755);
    },
    async calls() {
      return (await readFile(log, 'utf8')).split('\n').slice(0, -1);
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** The body of a helper that answers with a user name and a secret. */
export function answering(Username: string, Secret: string): string {
  return `cat <<'END'\n${JSON.stringify({ServerURL: 'https://r.test', Username, Secret})}\nEND`;
}
