import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** A directory of its own that is gone, with all that is in it, when it is disposed of. */
export interface TempDirectory extends AsyncDisposable {
  readonly path: string;
  /** A path inside. */
  join(...parts: readonly string[]): string;
}

export async function tempDirectory(): Promise<TempDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'transship-test-'));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    async [Symbol.asyncDispose]() {
      await rm(path, {recursive: true, force: true, maxRetries: 3});
    },
  };
}
