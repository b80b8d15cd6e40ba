import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Command} from './npm-package.ts';
import {run} from './program.ts';

/** Checks that the program starts and is the one that was built. */
export async function tryVersion({file, args, env}: Command, version: string): Promise<void> {
  const printed = await run(file, [...args, '--version'], {env});
  if (!printed.startsWith(`${version} (Node ${process.versions.node}, `))
    throw new Error(`--version prints ${printed}`);
}

/**
 * Does with the program what its first user does: starts two registries, one with images, plans, applies and verifies a
 * copy, and saves it as an archive.
 * @param files a directory to write to, as the program sees it
 */
export async function tryCopy(command: Command, files: string): Promise<void> {
  const {file, args, env} = command;
  const call = async (...more: readonly string[]): Promise<string> =>
    await run(file, [...args, ...more], {env});
  const plan = join(files, 'app.plan.json');
  await withRegistry(command, ['--example'], async (source) =>
    withRegistry(command, [], async (destination) => {
      const [from, to] = [`${source}/team/app`, `${destination}/group/app`];
      await call('plan', 'copy', from, to, '--out', plan);
      await call('apply', plan);
      const verified = await call('verify', plan);
      if (!/^Verified: 3 tags/m.test(verified)) throw new Error(`verify prints ${verified}`);
      await call('copy', to, `oci-archive:${join(files, 'app.tar')}`);
    }),
  );
}

/** Runs `transship sandbox` while `use` is under way. */
export async function withRegistry<T>(
  {file, args, env}: Command,
  flags: readonly string[],
  use: (host: string) => Promise<T>,
): Promise<T> {
  const child = spawn(file, [...args, 'sandbox', '--port', '0', ...flags], {
    env: {...env},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    return await use(await hostOf(child));
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
    }
  }
}

/** @throws Error if the program ends before it serves */
async function hostOf({stdout}: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error('the output of the registry is not read');
  for await (const line of createInterface({input: stdout})) {
    const host = /^registry on http:\/\/([^\s,;]+)/.exec(line)?.[1];
    if (host !== undefined) return host;
  }
  throw new Error('the registry ended before it served');
}
