import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {COMPILE_CACHE, MAIN} from './cli.ts';
import {needTool} from './debian-tool.ts';
import {type ProgramResult, runProgram} from './program.ts';
import {type TempDirectory, tempDirectory} from './temp.ts';

const PROGRAM = fileURLToPath(
  new URL('../../node_modules/gitlab-ci-local/dist/index.js', import.meta.url),
);

/** A project of GitLab on this machine: a repository, and a runner that carries out its pipelines in a shell. */
export interface CiProject extends AsyncDisposable {
  readonly path: string;
  readonly join: TempDirectory['join'];
  /** @param args of gitlab-ci-local */
  readonly run: (args: readonly string[]) => Promise<ProgramResult>;
  /** Runs one line of a shell as a job would. */
  readonly shell: (line: string) => Promise<ProgramResult>;
}

/**
 * Makes a project of files. Its jobs find transship on the PATH.
 * @param env of the jobs, as variables of the project
 */
export async function ciProject(
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<CiProject> {
  const rsync = await needTool('rsync');
  const temp = await tempDirectory();
  const project = temp.join('project');
  const bin = temp.join('bin');
  await mkdir(bin);
  await writeFile(join(bin, 'transship'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  await chmod(join(bin, 'transship'), 0o755);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(project, name)), {recursive: true});
    await writeFile(join(project, name), text);
  }
  const all = {
    HOME: temp.path,
    PATH: [bin, dirname(rsync), dirname(process.execPath), process.env['PATH']].join(':'),
    TRANSSHIP_NO_CACHE: '1',
    ...COMPILE_CACHE,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GITHUB_STEP_SUMMARY: temp.join('summary.md'),
    ...env,
  };
  const git = async (...args: readonly string[]): Promise<void> => {
    const {code, stderr} = await runProgram('git', args, {cwd: project, env: all});
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  };
  await git('init', '-q', '-b', 'main');
  await git('config', 'user.name', 'ada');
  await git('config', 'user.email', 'ada@example.com');
  await git('remote', 'add', 'origin', 'git@gitlab.example.com:acme/move.git');
  await git('add', '-A');
  await git('commit', '-qm', 'Start');
  await git('update-ref', 'refs/remotes/origin/main', 'HEAD');
  await git('symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main');
  return {
    path: project,
    join: (...names) => join(project, ...names),
    run: (args) =>
      runProgram(process.execPath, [PROGRAM, '--force-shell-executor', ...args], {
        cwd: project,
        env: all,
      }),
    shell: (line) => runProgram('sh', ['-ec', line], {cwd: project, env: all}),
    [Symbol.asyncDispose]: () => temp[Symbol.asyncDispose](),
  };
}
