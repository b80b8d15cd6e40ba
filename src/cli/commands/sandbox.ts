import {once} from 'node:events';
import {type Command, InvalidArgumentError} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {isRepositoryPath, type RepositoryPath} from '../../model/reference.ts';
import type {Io} from '../io.ts';
import {wholeNumber} from '../options.ts';

interface Flags {
  readonly port: number;
  readonly dir?: string;
  readonly auth?: boolean;
  readonly user: string;
  readonly password: string;
  readonly tokenLife: number;
  readonly load?: readonly LoadArgument[];
}

interface LoadArgument {
  readonly repository: RepositoryPath;
  readonly directory: string;
}

/** `transship sandbox`: an embedded registry, until it is interrupted. */
export function addSandbox(program: Command, io: Io, done: (exitCode: number) => void): void {
  program
    .command('sandbox')
    .summary('run an embedded registry to try things out')
    .description('Serves an OCI registry on 127.0.0.1 until it is interrupted. Not for production.')
    .option('--port <port>', 'port to listen on; 0: a free one', portNumber, 5050)
    .option('--dir <dir>', 'keep the content in this folder (default: in memory)')
    .option('--auth', 'ask for a login and give tokens as GitLab does')
    .option('--user <name>', 'who may log in, with --auth', 'sandbox')
    .option('--password <password>', 'the password of that user, with --auth', 'sandbox')
    .option('--token-life <seconds>', 'how long a token lives, with --auth', wholeNumber, 300)
    .option(
      '--load <repository=dir>',
      'put an OCI image layout into a repository (repeatable)',
      collectLoad,
    )
    .addHelpText(
      'after',
      `
Examples:
  transship sandbox --port 5050
  transship sandbox --port 0 --load team/app=fixtures/layouts/busybox
  transship sandbox --auth --user me --password secret --dir ./registry`,
    )
    .action(async (flags: Flags) => {
      await serve(flags, io);
      done(0);
    });
}

async function serve(flags: Flags, io: Io): Promise<void> {
  const [{startSandbox}, {loadLayout}] = await Promise.all([
    import('../../sandbox/sandbox.ts'),
    import('../../sandbox/load-layout.ts'),
  ]);
  const {user: name, password, dir} = flags;
  const users = [{name, password, grants: [{repository: '**', actions: ['*' as const]}]}];
  const starting = startSandbox({
    port: flags.port,
    ...(dir === undefined ? {} : {storage: {kind: 'directory' as const, path: dir}}),
    ...(flags.auth === true
      ? {auth: {kind: 'token' as const, users, tokenLifeSeconds: flags.tokenLife}}
      : {}),
  });
  await using sandbox = await starting.catch((cause: unknown) => {
    throw new TransshipError('USAGE', `port ${flags.port} cannot be used: ${String(cause)}`, {
      side: 'local',
      hint: 'choose another with --port, or 0 for a free one',
      cause,
    });
  });
  for (const {repository, directory} of flags.load ?? []) {
    const tags = await loadLayout(sandbox.storage, directory, repository);
    io.stdout.write(`${sandbox.host}/${repository}: ${tags.join(', ')}\n`);
  }
  io.stdout.write(
    `registry on ${sandbox.url}${flags.auth === true ? `, log in as ${name}` : ''}; end it with Ctrl-C\n`,
  );
  if (!io.stopping.aborted) await once(io.stopping, 'abort');
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port < 65_536) return port;
  throw new InvalidArgumentError('write a port, 0 to 65535');
}

function collectLoad(text: string, before: readonly LoadArgument[] = []): readonly LoadArgument[] {
  const at = text.indexOf('=');
  const repository = text.slice(0, at);
  if (at < 0 || !isRepositoryPath(repository))
    throw new InvalidArgumentError('write repository=dir');
  return [...before, {repository, directory: text.slice(at + 1)}];
}
