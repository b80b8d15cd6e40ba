import {once} from 'node:events';
import {type Command, InvalidArgumentError, Option} from 'commander';
import type {Redactor} from '../../http/redaction.ts';
import {writeOutput} from '../../library/output-file.ts';
import {TransshipError} from '../../model/error.ts';
import {makeDirectory} from '../../places/durable-file.ts';
import {unwritable} from '../../places/file-error.ts';
import {isRepositoryPath, type RepositoryPath} from '../../model/reference.ts';
import type {FaultScript} from '../../sandbox/faults/fault-script.ts';
import type {RegistryMode} from '../../sandbox/gitlab/instance.ts';
import type {Seed} from '../../sandbox/gitlab/seed.ts';
import type {Io} from '../io.ts';
import {wholeNumber} from '../options.ts';
import {printableJson} from '../../report/words.ts';

interface Flags {
  readonly port: number;
  readonly dir?: string;
  readonly auth?: boolean;
  readonly user: string;
  readonly password: string;
  readonly tokenLife: number;
  readonly load?: readonly LoadArgument[];
  readonly example?: boolean;
  readonly gitlab?: boolean;
  readonly seed?: string;
  readonly mode: RegistryMode;
  readonly events?: string;
  readonly faults?: string;
}

interface LoadArgument {
  readonly repository: RepositoryPath;
  readonly directory: string;
}

/** `transship sandbox`: an embedded registry that runs until it is interrupted. */
export function addSandbox(program: Command, io: Io, done: (exitCode: number) => void): void {
  program
    .command('sandbox')
    .summary('run an embedded registry for tests')
    .description(
      'Serves an OCI registry, or with --gitlab a GitLab-like instance, on 127.0.0.1 until it is interrupted. Not for production.',
    )
    .option('--port <port>', 'port to listen on; 0: a free one', portNumber, 5050)
    .option('--dir <dir>', 'keep the content in this directory (default: in memory)')
    .option('--auth', 'require a login and issue tokens as GitLab does')
    .option('--user <name>', 'the user name to log in with, with --auth', 'sandbox')
    .option('--password <password>', 'the password of that user, with --auth', 'sandbox')
    .option('--token-life <seconds>', 'lifetime of a token, with --auth', wholeNumber, 300)
    .option(
      '--load <repository=dir>',
      'put an OCI image layout into a repository (repeatable)',
      collectLoad,
    )
    .option('--example', 'begin with images to copy; with --gitlab, with a project to move')
    .option('--gitlab', 'serve a GitLab-like instance: REST API, token service and registry')
    .option('--seed <file>', 'initial content of the instance, such as plans/sandbox.yaml')
    .addOption(
      new Option(
        '--mode <mode>',
        'the registry of the instance: metadata-db can move images itself, legacy cannot',
      )
        .choices(['legacy', 'metadata-db'])
        .default('metadata-db'),
    )
    .option(
      '--events <file>',
      'on exit, write the events of the instance to this file, as JSON lines',
    )
    .option('--faults <file>', 'the faults to inject, as a JSON list')
    .addHelpText(
      'after',
      `
Examples:
  transship sandbox --example
  transship sandbox --gitlab --example --port 8080
  transship sandbox --gitlab --seed plans/sandbox.yaml --mode legacy
  transship sandbox --port 0 --load team/app=fixtures/layouts/busybox
  transship sandbox --auth --user me --password secret --dir ./registry`,
    )
    .action(async (flags: Flags) => {
      const {dir} = flags;
      if (dir !== undefined) await prepareDirectory(dir);
      await (flags.gitlab === true ? serveGitLab(flags, io) : serve(flags, io));
      done(0);
    });
}

/** @throws TransshipError FILE_WRITE_FAILED, FILE_INVALID */
async function prepareDirectory(dir: string): Promise<void> {
  const {checkDirectory} = await import('../../sandbox/file-tree.ts');
  await makeDirectory(dir).catch((error: unknown) => {
    throw unwritable(dir, error);
  });
  await checkDirectory(dir).catch((cause: unknown) => {
    throw new TransshipError(
      'FILE_INVALID',
      `the directory ${dir} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      {side: 'local', hint: 'name an empty directory with --dir', cause},
    );
  });
}

async function serve(flags: Flags, io: Io): Promise<void> {
  const [{startSandbox}, {loadLayout}] = await Promise.all([
    import('../../sandbox/sandbox.ts'),
    import('../../sandbox/load-layout.ts'),
  ]);
  const {user: name, password, dir} = flags;
  const faults = await faultsOf(flags);
  const users = [{name, password, grants: [{repository: '**', actions: ['*' as const]}]}];
  const starting = startSandbox({
    port: flags.port,
    ...(dir === undefined ? {} : {storage: {kind: 'directory' as const, path: dir}}),
    ...(faults === undefined ? {} : {intercept: faults.intercept}),
    ...(flags.auth === true
      ? {auth: {kind: 'token' as const, users, tokenLifeSeconds: flags.tokenLife}}
      : {}),
  });
  await using sandbox = await starting.catch((error: unknown) => {
    throw notServed(flags, error);
  });
  if (flags.example === true) {
    const {putExamples} = await import('../../sandbox/example.ts');
    const put = await putExamples(sandbox.storage).catch((error: unknown) => {
      throw notServed(flags, error);
    });
    for (const [repository, tags] of put)
      io.stdout.write(`${sandbox.host}/${repository}: ${tags.join(', ')}\n`);
  }
  for (const {repository, directory} of flags.load ?? []) {
    const tags = await loadLayout(sandbox.storage, directory, repository);
    io.stdout.write(`${sandbox.host}/${repository}: ${tags.join(', ')}\n`);
  }
  io.stdout.write(
    `registry on ${sandbox.url}${flags.auth === true ? `, log in as ${name}` : ''}; stop it with Ctrl-C\n`,
  );
  if (!io.stopping.aborted) await once(io.stopping, 'abort');
  if (faults !== undefined) io.stdout.write(listInjected(faults));
}

async function serveGitLab(flags: Flags, io: Io): Promise<void> {
  const {port, dir, mode, tokenLife, events} = flags;
  const {startGitLabSandbox} = await import('../../sandbox/gitlab/gitlab-sandbox.ts');
  const faults = await faultsOf(flags);
  const world = await seedOf(flags, io);
  for (const {value} of world.tokens) io.redactor.learn(value);
  const starting = startGitLabSandbox({
    port,
    ...(faults === undefined ? {} : {intercept: faults.intercept}),
    seed: world,
    mode,
    tokenLifeSeconds: tokenLife,
    ...(dir === undefined ? {} : {storage: {kind: 'directory' as const, path: dir}}),
  });
  await using sandbox = await starting.catch((error: unknown) => {
    throw notServed(flags, error);
  });
  io.stdout.write(`GitLab on ${sandbox.url}, registry on ${sandbox.url}; stop it with Ctrl-C\n`);
  if (!io.stopping.aborted) await once(io.stopping, 'abort');
  if (faults !== undefined) io.stdout.write(listInjected(faults));
  if (events !== undefined) await writeEvents(events, sandbox.events.events, io.redactor);
}

/** @throws TransshipError USAGE if the instance would be empty */
async function seedOf({seed, example}: Flags, io: Io): Promise<Seed> {
  const {parseSeed, readSeed} = await import('../../sandbox/gitlab/seed.ts');
  if (seed !== undefined) return await readSeed(seed);
  if (example === true) {
    const {EXAMPLE_SEED, EXAMPLE_MOVE} = await import('../../sandbox/example.ts');
    const {project, to, token} = EXAMPLE_MOVE;
    io.stdout.write(`${project} can be moved to ${to} with GITLAB_TOKEN=${token}\n`);
    return parseSeed(EXAMPLE_SEED);
  }
  throw new TransshipError('USAGE', '--gitlab needs groups, projects and tokens', {
    side: 'local',
    hint: 'add --example, or name a file with --seed, such as plans/sandbox.yaml',
  });
}

async function faultsOf({faults}: Flags): Promise<FaultScript | undefined> {
  if (faults === undefined) return undefined;
  const {readFaults} = await import('../fault-file.ts');
  return readFaults(faults);
}

/** A line for each injected fault, so that the test of another client can check that its script took effect. */
function listInjected({injected}: FaultScript): string {
  const lines = injected.map(({method, path, rule}) => `${rule.fault.kind}: ${method} ${path}\n`);
  return lines.join('') || 'no fault occurred\n';
}

/** Without secrets and control characters: clients choose the names in events. */
async function writeEvents(
  file: string,
  events: readonly object[],
  redactor: Redactor,
): Promise<void> {
  const lines = events.map((event) => `${redactor.redact(printableJson(event))}\n`);
  await writeOutput(file, lines).catch((cause: unknown) => {
    throw new TransshipError('FILE_WRITE_FAILED', `the events cannot be written to ${file}`, {
      side: 'local',
      hint: 'name a file in a writable directory with --events',
      cause,
    });
  });
}

/** The error for a server that cannot start, or cannot load its content. */
function notServed({port, dir}: Flags, error: unknown): unknown {
  const {code, syscall} = error as NodeJS.ErrnoException;
  if (syscall === 'listen') return portTaken(port, error);
  return dir !== undefined && code !== undefined && syscall !== undefined
    ? unwritable(dir, error)
    : error;
}

function portTaken(port: number, cause: unknown): TransshipError {
  return new TransshipError('USAGE', `port ${port} cannot be used: ${String(cause)}`, {
    side: 'local',
    hint: 'choose another with --port, or 0 for a free one',
    cause,
  });
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
